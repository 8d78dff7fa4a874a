"""Stage 8: everything that a tracking leaves on disk, all of it or nothing."""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.frames import Movie
from trackastra_engine.lineage import Lineage
from trackastra_engine.output.atomic import (
    check_output_file,
    check_output_folder,
    new_file,
    new_folder,
)
from trackastra_engine.output.ctc import CHALLENGE_FILES, UPSTREAM, write_ctc
from trackastra_engine.output.edge_table import COLUMNS, write_edge_table
from trackastra_engine.output.picture import draw_tracks
from trackastra_engine.output.review_table import write_review
from trackastra_engine.output.track_table import write_track_table
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.review import DoubtfulLink

CTC_FOLDER, PICTURE = "ctc", "tracks.svg"  # of masks only
EDGE_TABLE, TRACK_TABLE, REVIEW = "edges.csv", "tracks.csv", "review.csv"
RESULT_FILES = (CTC_FOLDER, PICTURE, EDGE_TABLE, TRACK_TABLE, REVIEW)


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where results go; None where they are not wanted."""

    folder: Path | None = None  # gets RESULT_FILES
    ctc: Path | None = None  # folder in which masks and tracks have upstream's names
    edge_table: Path | None = None
    overwrite: bool = False

    @property
    def paths(self) -> list[Path]:
        """Return the places that are written."""
        return [path for path in (self.folder, self.ctc, self.edge_table) if path is not None]


def check_outputs(outputs: Outputs, inputs: Iterable[Path]) -> None:
    """Raise InputError if results cannot be written, or would replace what they are made from."""
    if not outputs.paths:
        raise InputError(
            "there is nowhere to write to; give --output, --output-ctc or --output-edge-table"
        )
    if outputs.folder is not None:
        check_output_folder(outputs.folder, overwrite=outputs.overwrite, ours=RESULT_FILES)
        if (outputs.folder / CTC_FOLDER).is_dir():
            nested = outputs.folder / CTC_FOLDER
            check_output_folder(nested, overwrite=outputs.overwrite, ours=CHALLENGE_FILES)
    if outputs.ctc is not None:
        if (outputs.ctc / UPSTREAM.table).exists():
            raise InputError(
                f"the output folder {outputs.ctc} holds {UPSTREAM.table}, which may be a ground "
                "truth and is never replaced; choose another folder or remove it"
            )
        check_output_folder(outputs.ctc, overwrite=outputs.overwrite, ours=())
    if outputs.edge_table is not None:
        check_output_file(outputs.edge_table, overwrite=outputs.overwrite, first_line=COLUMNS)
    _refuse_overlap(outputs, list(inputs))


def write_outputs(
    lineage: Lineage,
    movie: Movie | None,
    doubtful: Iterable[DoubtfulLink],
    outputs: Outputs,
    *,
    progress: Progress = no_progress,
) -> None:
    """Write results to all places of `outputs`, which appear together when all are complete.

    Without a movie, as points have none, there are tables alone.
    """
    with ExitStack() as places:
        # Left first is renamed last: readers take the edge table for the sign of success.
        if outputs.edge_table is not None:
            write_edge_table(lineage, places.enter_context(new_file(outputs.edge_table)))
        if outputs.folder is not None:
            folder = places.enter_context(new_folder(outputs.folder))
            write_edge_table(lineage, folder / EDGE_TABLE)
            write_track_table(lineage, folder / TRACK_TABLE)
            write_review(doubtful, folder / REVIEW)
            if movie is not None:
                write_ctc(lineage, movie, folder / CTC_FOLDER, progress=progress)
                draw_tracks(lineage, movie, folder / PICTURE)
        if outputs.ctc is not None and movie is not None:
            folder = places.enter_context(new_folder(outputs.ctc))
            write_ctc(lineage, movie, folder, names=UPSTREAM, progress=progress)


def _refuse_overlap(outputs: Outputs, inputs: list[Path]) -> None:
    resolved = [path.resolve() for path in outputs.paths]
    for place in resolved:
        for given in inputs:
            if given.resolve().is_relative_to(place):
                raise InputError(
                    f"the output {place} would replace the input {given}; choose another output"
                )
        for other in resolved:
            if other is not place and other.is_relative_to(place):
                raise InputError(
                    f"the output {other} lies inside the output {place}; "
                    f"choose places apart from each other"
                )
