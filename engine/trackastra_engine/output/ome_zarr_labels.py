"""Write masks labelled by track as an OME-Zarr label image, frame by frame.

A run that dies while it writes leaves the complete frames, and the next run continues from them.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.calibration import UNKNOWN, Calibration
from trackastra_engine.movie.frames import Frame, Movie
from trackastra_engine.output.ctc import MAX_UINT16, relabel
from trackastra_engine.prefetch import computed_ahead, computed_side_by_side
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.system import patiently

OmeVersion = Literal["0.4", "0.5"]

UNFINISHED = "unfinished-labels-"  # a folder; its name ends with the key of the tracks
STORE, DONE = "labels", "frames"  # in it: the label image, and the number of complete frames
CHUNK = (16, 1024, 1024)  # pixels along z, y and x; of a frame
COARSEST_PX = 1024  # the longer side of the last level is at most as long
OME_ZARR_ENTRIES = ("zarr.json", ".zgroup", ".zattrs", "[0-9]")


@dataclass(frozen=True, slots=True, eq=False)
class LabelImage:
    """The content of an OME-Zarr of tracked masks."""

    lineage: Lineage
    movie: Movie
    calibration: Calibration = UNKNOWN
    version: OmeVersion = "0.5"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the labels; these are the numbers of tracks."""
        return np.dtype(np.uint16 if len(self.lineage.tracklets) <= MAX_UINT16 else np.uint32)

    @property
    def n_levels(self) -> int:
        """Return the number of levels, each half as wide and high as the one before."""
        side = max(self.movie.frame_shape[-2:])
        return 1 + max(0, int(np.ceil(np.log2(side / COARSEST_PX))))

    @property
    def key(self) -> str:
        """Return a hash of everything that is written."""
        lineage, total = self.lineage, hashlib.sha256()
        for found in (lineage.detections, lineage.left_out):
            for array in (found.frame, found.label, found.centroid, found.features):
                total.update(np.ascontiguousarray(array).tobytes())
        total.update(np.ascontiguousarray(lineage.tracklet_id).tobytes())
        shape = (len(self.movie), *self.movie.frame_shape)
        total.update(repr((shape, self.calibration, self.version, CHUNK)).encode())
        return total.hexdigest()[:16]


def write_ome_zarr(
    image: LabelImage,
    path: Path,
    workplace: Path,
    *,
    threads: int = 1,
    progress: Progress = no_progress,
) -> None:
    """Write masks labelled by track as OME-Zarr; the folder `path` appears when it is complete.

    workplace: folder that contains the frames until all are complete, also for the next run;
    threads: number of threads that compress frames.

    Raises InputError if the masks have changed since they were tracked.
    """
    folder = workplace / f"{UNFINISHED}{image.key}"
    for other in workplace.glob(f"{UNFINISHED}*"):
        if other != folder:  # of other tracks
            shutil.rmtree(other, ignore_errors=True)
    n_done = _frames_done(folder)
    if n_done == 0:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _create(image, folder / STORE)
    _write_frames(image, folder, n_done, threads, progress)
    patiently(lambda: (folder / STORE).rename(path))
    shutil.rmtree(folder, ignore_errors=True)


def _frames_done(folder: Path) -> int:
    try:
        return int((folder / DONE).read_text("ascii"))
    except (OSError, ValueError):
        return 0


def _write_frames(
    image: LabelImage, folder: Path, n_done: int, threads: int, progress: Progress
) -> None:
    import zarr  # 0.5 s: only when it is written

    group = zarr.open_group(str(folder / STORE), mode="r+")
    levels = [group[str(level)] for level in range(image.n_levels)]
    masks, dtype = image.movie.without_images(), image.dtype
    n_frames = len(masks)

    def write(frame: Frame) -> None:
        mask = relabel(frame, image.lineage, dtype)
        for level, array in enumerate(levels):
            array[frame.index] = mask[..., :: 2**level, :: 2**level]

    with (
        computed_ahead(masks.frames(range(n_done, n_frames))) as frames,
        computed_side_by_side(write, frames, masks.threads(threads)) as written,
    ):
        for done, _ in enumerate(written, n_done + 1):
            with new_file(folder / DONE) as partial:
                partial.write_text(str(done), "ascii")
            progress("write", done, n_frames)


def _create(image: LabelImage, path: Path) -> None:
    """Create the label image without pixels."""
    import zarr

    is_old = image.version == "0.4"
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if is_old else 3)
    axes = "tzyx" if image.movie.ndim == 3 else "tyx"
    for level in range(image.n_levels):
        *depth, height, width = image.movie.frame_shape
        shape = (*depth, -(-height // 2**level), -(-width // 2**level))
        chunk = (min(sizes) for sizes in zip(shape, CHUNK[-len(shape) :], strict=True))
        group.create_array(
            str(level),
            shape=(len(image.movie), *shape),
            dtype=image.dtype,
            chunks=(1, *chunk),
            chunk_key_encoding={"name": "v2", "separator": "/"} if is_old else None,
            dimension_names=None if is_old else list(axes),
        )
    about = {
        "multiscales": [_multiscale(image, axes)],
        "image-label": {"version": "0.4"} if is_old else {},
    }
    group.attrs.update(about if is_old else {"ome": {"version": "0.5", **about}})


def _multiscale(image: LabelImage, axes: str) -> dict[str, Any]:
    known = image.calibration
    voxel, interval_s = known.voxel_um or (1.0,) * image.movie.ndim, known.frame_interval_s
    named = [{"name": axis, "type": "time" if axis == "t" else "space"} for axis in axes]
    for axis in named:
        if axis["name"] == "t" and interval_s:
            axis["unit"] = "second"
        elif axis["name"] != "t" and known.voxel_um:
            axis["unit"] = "micrometer"
    datasets = []
    for level in range(image.n_levels):
        space = [*voxel[:-2], *(size * 2**level for size in voxel[-2:])]
        scale = {"type": "scale", "scale": [interval_s or 1.0, *space]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    multiscale = {"name": "tracks", "axes": named, "datasets": datasets}
    return {"version": "0.4", **multiscale} if image.version == "0.4" else multiscale
