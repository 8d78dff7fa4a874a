"""Convert the files of tracks to formats of other programs: the command `convert`."""

from dataclasses import replace
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.files.lock import alone_in
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.calibration import check_interval
from trackastra_engine.movie.voxels import check_voxel_size, parse_voxel_size
from trackastra_engine.output.formats import EDGE_TABLE, FORMATS, Results
from trackastra_engine.output.results import Outputs, check_outputs, reject_inside, write_outputs
from trackastra_engine.output.saved_tracks import read_tracks


def convert(
    tracks: Path,
    formats: tuple[str, ...],
    output: Path,
    *,
    voxel: str | None = None,
    interval_s: float | None = None,
    overwrite: bool = False,
) -> Lineage:
    """Write the tracks of a folder in other formats to a new folder, and return them.

    voxel: "z,y,x" in micrometres, and interval_s: seconds between frames, instead of those in the
    folder. Raises InputError or MissingDependencyError; then nothing is written.
    """
    for name in formats:
        if FORMATS[name].needs_masks:
            raise InputError(
                f"convert writes no masks, so --to {name} is not possible; leave it out"
            )
    outputs = Outputs(output, overwrite=overwrite, formats=formats, report=False)
    if (tracks / EDGE_TABLE).exists():
        reject_inside(output, [tracks])
    check_outputs(outputs, [tracks])
    with alone_in(output):
        return _convert(tracks, outputs, voxel, interval_s)


def _convert(
    tracks: Path, outputs: Outputs, voxel: str | None, interval_s: float | None
) -> Lineage:
    saved = read_tracks(tracks)
    lineage, calibration = saved.lineage, saved.calibration
    if voxel is not None:
        voxel_um = parse_voxel_size(voxel)
        check_voxel_size(voxel_um, lineage.detections.ndim)
        calibration = replace(calibration, voxel_um=voxel_um)
    if interval_s is not None:
        check_interval(interval_s)
        calibration = replace(calibration, frame_interval_s=interval_s)
    write_outputs(Results(lineage, calibration=calibration), outputs)
    return lineage
