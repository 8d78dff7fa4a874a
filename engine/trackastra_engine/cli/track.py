"""The command `track`."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from trackastra_engine.cli.exit import one_sentence_errors, only_warnings
from trackastra_engine.cli.options import (
    ALIGN_OPTION,
    CORRECTIONS_OPTION,
    DEVICES,
    PATH,
    THREADS_OPTION,
    linking_of,
    selection_options,
    with_linking_options,
)
from trackastra_engine.cli.upstream_flags import upstream_flags
from trackastra_engine.errors import InputError


@click.command()
@click.argument("images_path", metavar="[IMAGES", required=False, type=PATH)
@click.argument("masks_path", metavar="MASKS]", required=False, type=PATH)
@click.option("-i", "--images", "--imgs", type=PATH, help="Images, instead of IMAGES.")
@click.option("-m", "--masks", type=PATH, help="Masks, instead of MASKS; images are optional.")
@click.option("--points", type=PATH, help="Points (.csv), instead of images and masks.")
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="Folder for all results: report.html and the files of --format.",
)
@click.option(
    "--format",
    "formats",
    metavar="FORMAT,...",
    multiple=True,
    help="Formats in --output: ctc (masks and tracks of the Cell Tracking Challenge), csv (tables "
    "of tracks, their features, links, and links to check), ome-zarr (tracked masks, and csv; "
    "ome-zarr-0.4 for older programs), geff, trackmate, napari, mastodon.  [default: ctc,csv]",
)
@click.option("--output-ctc", type=PATH, help="Folder for masks and tracks, named as upstream's.")
@click.option("--output-edge-table", type=PATH, help="CSV file for the edges.")
@click.option(
    "--model",
    default="auto",
    help="Name of a model, or an .onnx file.  [default: general_2d; for 3D movies general_3d, "
    "unless all cells lie in one layer]",
)
@with_linking_options
@CORRECTIONS_OPTION
@click.option(
    "--voxel",
    metavar="Z,Y,X",
    help="Size of a voxel in micrometres.  [default: from the files]",
)
@click.option(
    "--interval",
    "interval_s",
    metavar="SECONDS",
    type=float,
    help="Time between frames.  [default: from the files]",
)
@click.option(
    "--stride",
    type=int,
    help="Frames from a window to the next; more is faster. Windows of at most 100 detections "
    "begin at every frame.  [default: 2, with upstream's models 1]",
)
@ALIGN_OPTION
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Dask cluster to use, such as tcp://HOST:8786, or local:N for N processes.",
)
@click.option(
    "--device",
    type=DEVICES,
    default="auto",
    show_default=True,
    help="Device for the network; auto uses CUDA if it works.",
)
@THREADS_OPTION
@click.option(
    "--report/--no-report", default=True, help="Write report.html into --output.  [default: report]"
)
@click.option("--json", "json_file", type=PATH, help="File for counts and times, as JSON.")
@click.option(
    "--cache",
    type=PATH,
    help="Folder for detections and scores, which later runs reuse.  [default: OUTPUT/.trackastra]",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@click.option("--quiet", is_flag=True, help="Print warnings and errors only.")
@one_sentence_errors
@upstream_flags
@selection_options
def track(
    images_path: Path | None,
    masks_path: Path | None,
    images: Path | None,
    masks: Path | None,
    output: Path | None,
    output_ctc: Path | None,
    output_edge_table: Path | None,
    points: Path | None,
    formats: tuple[str, ...],
    report: bool,
    json_file: Path | None,
    cache: Path | None,
    overwrite: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Link the objects in MASKS over time.

    IMAGES and MASKS are folders with one file per frame (TIFF, PNG, JPEG-2000 or .npy), TIFF stacks
    (ImageJ, OME or plain), OME-Zarr images (also zipped), .npy, .npz or Cellpose's _seg.npy. The
    number that varies in the names of a folder's files is the frame; --pattern chooses the files of
    one series with a glob, or with a regular expression whose group (?P<frame>...) is the number.
    In masks, 0 is background and each object has its own number. Without images, give only masks:

        trackastra-engine track --masks MASKS -o OUT

    With the extra `remote`, OME-Zarr images may be at https:// or s3:// (credentials are read from
    the environment); with the extra `formats`, images and masks may be CZI, ND2, LIF and others.

    If files do not name their axes, (t, y, x) or (t, z, y, x) is assumed and reported; --axes names
    them, also those of masks given with images, except for the channels. --channel applies to the
    images. --position and --level apply to masks, too, if they have several. If MASKS is an
    OME-Zarr image with labels, its labels are the masks.

    Spots and particles are given as a .csv instead of images and masks: frame,y,x or frame,z,y,x,
    and optionally label, diameter and intensity, or with the column names of TrackMate, Mastodon,
    CellProfiler, trackpy or napari.
    """
    found_images, found_masks, are_points = _inputs(images_path, masks_path, images, masks, points)
    from trackastra_engine.cli.terminal import shown_progress
    from trackastra_engine.files.figures import check_figures_file, write_figures
    from trackastra_engine.files.replace import PRIVATE
    from trackastra_engine.jobs.track import Job, run_job
    from trackastra_engine.output.results import Outputs, parse_formats, reject_inside
    from trackastra_engine.progress import no_progress

    outputs = Outputs(
        output, output_ctc, output_edge_table, overwrite, parse_formats(formats), report
    )
    kept = cache or (None if output is None or are_points else output / PRIVATE)
    inputs = found_images, found_masks, outputs, are_points
    job = Job(*inputs, linking=linking_of(options), cache=kept, **options)
    if json_file is not None:
        check_figures_file(json_file, "frames")
    for place in (cache, json_file):
        if place is not None:
            reject_inside(place, outputs.paths)
    if quiet:
        only_warnings()
    with nullcontext(no_progress) if quiet else shown_progress() as progress:
        result = run_job(job, progress=progress)
    if json_file is not None:
        write_figures(result.figures(), json_file)
    if not quiet:
        click.echo(f"{result}; see {', '.join(map(str, outputs.paths))}")


def _inputs(
    images_path: Path | None,
    masks_path: Path | None,
    images: Path | None,
    masks: Path | None,
    points: Path | None,
) -> tuple[Path | None, Path, bool]:
    """Return the paths of images and masks, or of points; and whether they are points.

    A single argument is never used as masks: images used as masks would give nonsense.
    """
    given = [path for path in (images_path, masks_path, images, masks, points) if path is not None]
    if points is not None or any(path.suffix.lower() in (".csv", ".tsv") for path in given):
        if len(given) > 1:
            raise InputError(
                "points have neither images nor masks; give only the .csv (intensities and "
                "diameters may be columns of it)"
            )
        return None, given[0], True
    if images_path and images:
        raise InputError("images are given twice, as IMAGES and with --images; give them once")
    if masks_path and masks:
        raise InputError("masks are given twice, as MASKS and with --masks; give them once")
    if images_path and images is None and masks_path is None and masks is None:
        raise InputError(
            f"{images_path} is given without masks; give IMAGES and MASKS, or only --masks to "
            f"track without images"
        )
    found_masks = masks_path or masks
    if found_masks is None:
        raise InputError("there are no masks; give IMAGES and MASKS, or only --masks")
    return images_path or images, found_masks, False
