"""The command line: it parses, calls one function and prints; all imports are where they serve."""

import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import click

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError

Arguments = ParamSpec("Arguments")

FAILED, INTERRUPTED, TERMINATED = 2, 130, 143  # exit codes; the last two as shells have them
PATH = click.Path(path_type=Path)
MODES = click.Choice(["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
DEVICES = click.Choice(["auto", "cpu", "cuda"])
MODEL_OPTION = click.option(
    "--model", default="general_2d", show_default=True, help="Name of a model, or an .onnx file."
)


def one_sentence_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Say what went wrong in one sentence, and leave with an exit code."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            with _logging_to_terminal(), _stopped_by_terminate():
                command(*args, **kwargs)
        except (InputError, ModelError, MissingDependencyError) as error:
            _fail(str(error))
        except OSError as error:
            place = error.filename or "a file"
            _fail(f"{place} could not be read or written ({error.strerror or error})")
        except KeyboardInterrupt:
            click.echo("Stopped; nothing was written.", err=True)
            sys.exit(INTERRUPTED)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trackastra-engine")
def main() -> None:
    """Track cells in movies with transformers: images and masks in, tracks out."""


@main.command()
@click.argument("images_path", metavar="[IMAGES", required=False, type=PATH)
@click.argument("masks_path", metavar="MASKS]", required=False, type=PATH)
@click.option("-i", "--images", type=PATH, help="Images, in place of IMAGES.")
@click.option("-m", "--masks", type=PATH, help="Masks, in place of MASKS; images are optional.")
@click.option(
    "-o", "--output", type=PATH, help="Folder for all results: ctc/, edges.csv, tracks.svg."
)
@click.option("--output-ctc", type=PATH, help="Folder for Cell Tracking Challenge results.")
@click.option("--output-edge-table", type=PATH, help="CSV file for the edges.")
@MODEL_OPTION
@click.option("--mode", type=MODES, default="greedy", show_default=True, help="How to link.")
@click.option(
    "--max-distance", type=float, help="Longest link, in pixels.  [default: the model's reach]"
)
@click.option("--device", type=DEVICES, default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace earlier results.")
@one_sentence_errors
def track(
    images_path: Path | None,
    masks_path: Path | None,
    images: Path | None,
    masks: Path | None,
    output: Path | None,
    output_ctc: Path | None,
    output_edge_table: Path | None,
    overwrite: bool,
    **options: Any,
) -> None:
    """Link the objects in MASKS over time.

    IMAGES and MASKS are folders with one TIFF per frame, or TIFF stacks (t, y, x) or (t, z, y, x).
    Masks hold 0 for background and a number for each object. Without images, give masks alone:

        trackastra-engine track --masks MASKS -o OUT
    """
    found_images, found_masks = _movie_paths(images_path, masks_path, images, masks)
    from trackastra_engine.job import Job, run_job
    from trackastra_engine.output.results import Outputs
    from trackastra_engine.terminal import shown_progress

    outputs = Outputs(output, output_ctc, output_edge_table, overwrite)
    job = Job(found_images, found_masks, outputs, **options)
    with shown_progress() as progress:
        result = run_job(job, progress=progress)
    click.echo(f"{result}; see {', '.join(map(str, outputs.paths))}")


@main.command()
@click.argument("model")
@one_sentence_errors
def info(model: str) -> None:
    """Print what MODEL is: the name of an embedded model, or an .onnx file."""
    from trackastra_engine.model_info import describe_model

    for name, value in describe_model(model):
        click.echo(f"{name:<16} {value}")


@main.command()
@click.option(
    "-o", "--output", type=PATH, default=Path("trackastra-demo"), show_default=True, help="Folder."
)
@MODEL_OPTION
@one_sentence_errors
def demo(output: Path, model: str) -> None:
    """Track a small simulated movie, and compare the tracks with the truth."""
    from trackastra_engine.demo import run_demo
    from trackastra_engine.terminal import shown_progress

    with shown_progress() as progress:
        result = run_demo(output, model=model, progress=progress)
    click.echo(result)


@main.command()
@click.argument("tracks", type=PATH)
@click.argument("ground_truth", type=PATH)
@click.option("--json", "json_file", type=PATH, help="File for all figures, as JSON.")
@one_sentence_errors
def evaluate(tracks: Path, ground_truth: Path, json_file: Path | None) -> None:
    """Compare TRACKS with a GROUND_TRUTH of the same movie.

    Both are folders in the format of the Cell Tracking Challenge: TRACKS with mask*.tif and
    res_track.txt (or a results folder of `track`), GROUND_TRUTH with man_track*.tif and
    man_track.txt (or with these in TRA/).
    """
    from trackastra_engine.evaluation import check_report, evaluate, write_report
    from trackastra_engine.terminal import shown_progress

    if json_file is not None:
        check_report(json_file)
    with shown_progress() as progress:
        result = evaluate(tracks, ground_truth, progress=progress)
    if json_file is not None:
        write_report(result, json_file)
    click.echo(result)


def _movie_paths(
    images_path: Path | None, masks_path: Path | None, images: Path | None, masks: Path | None
) -> tuple[Path | None, Path]:
    """Return the paths of images and masks, however they were given.

    One argument alone is never taken for masks: images taken for masks would give nonsense.
    """
    if images_path and images:
        raise InputError("images are given twice, as IMAGES and with --images; give them once")
    if masks_path and masks:
        raise InputError("masks are given twice, as MASKS and with --masks; give them once")
    if images_path and images is None and masks_path is None and masks is None:
        raise InputError(
            f"there are no masks, only {images_path}; give IMAGES and MASKS, or --masks alone to "
            f"track without images"
        )
    found_masks = masks_path or masks
    if found_masks is None:
        raise InputError("there are no masks; give IMAGES and MASKS, or --masks alone")
    return images_path or images, found_masks


@contextmanager
def _logging_to_terminal() -> Iterator[None]:
    """Show our warnings as plain lines, and none of tifffile's: our checks say it better."""
    tifffile_logger = logging.getLogger("tifffile")
    ours, level = logging.getLogger("trackastra_engine"), tifffile_logger.level
    handler = _EchoHandler(logging.WARNING)
    ours.addHandler(handler)
    tifffile_logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        ours.removeHandler(handler)
        tifffile_logger.setLevel(level)


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.capitalize()}: {record.getMessage()}", err=True)


@contextmanager
def _stopped_by_terminate() -> Iterator[None]:
    """Let a kill (SIGTERM) unwind the program, so that no unfinished results stay behind."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(message: str) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(FAILED)
