"""The formats of results: the function that writes each, and the names of its files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.movie.calibration import UNKNOWN as UNCALIBRATED
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import Movie
from trackastra_engine.output.ctc import CHALLENGE_FILES, write_ctc
from trackastra_engine.output.edge_table import write_edge_table
from trackastra_engine.output.geff_graph import GEFF_ENTRIES, write_geff
from trackastra_engine.output.mastodon import write_mastodon
from trackastra_engine.output.napari_tracks import write_napari
from trackastra_engine.output.ome_zarr_labels import (
    OME_ZARR_ENTRIES,
    LabelImage,
    OmeVersion,
    write_ome_zarr,
)
from trackastra_engine.output.report import UNKNOWN, RunFacts
from trackastra_engine.output.review_table import write_review
from trackastra_engine.output.track_features import write_track_features
from trackastra_engine.output.track_table import write_track_table
from trackastra_engine.progress import Progress

EDGE_TABLE, TRACK_TABLE, REVIEW, REPORT = "edges.csv", "tracks.csv", "review.csv", "report.html"
CORRECTIONS = "corrections.csv"
CTC_FOLDER, GEFF, TRACKMATE = "ctc", "tracks.geff", "tracks.xml"
NAPARI, NAPARI_GRAPH = "napari_tracks.csv", "napari_graph.json"
FEATURES, MASTODON, OME_ZARR = "track_features.csv", "mastodon.csv", "tracks.ome.zarr"


@dataclass(frozen=True, slots=True, eq=False)
class Results:
    """The results of a tracking, which each format writes."""

    lineage: Lineage
    movie: Movie | None = None  # points have none
    doubtful: Sequence[DoubtfulLink] | None = None  # None if no linker reported them
    facts: RunFacts = UNKNOWN
    calibration: Calibration = UNCALIBRATED
    corrections: Corrections | None = None  # used for linking
    has_labels: bool = False  # whether tracked masks are also written as OME-Zarr


@dataclass(frozen=True, slots=True)
class Format:
    """A format in which results are written into their folder."""

    write: Callable[[Results, Path, int, Progress], None]  # results, folder, threads
    names: tuple[str, ...]  # of the files or folders that it writes
    entries: tuple[str, ...] = ()  # patterns of its entries, if it is a folder
    needs_masks: bool = False
    package: str | None = None  # required package, and the extra that installs it
    also: str | None = None  # a format whose tables are written, too


def _write_ctc(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    assert results.movie is not None, "points are rejected by check_outputs"
    place = folder / CTC_FOLDER
    write_ctc(results.lineage, results.movie, place, threads=threads, progress=progress)


def _write_tables(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    write_edge_table(results.lineage, folder / EDGE_TABLE)
    write_track_table(results.lineage, folder / TRACK_TABLE, results.calibration)
    write_track_features(results.lineage, folder / FEATURES, results.calibration)
    if results.doubtful is not None:
        write_review(results.doubtful, folder / REVIEW)


def _write_geff(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    labels = f"../{OME_ZARR}" if results.has_labels else None
    write_geff(results.lineage, folder / GEFF, results.calibration, labels=labels)


def _write_ome_zarr(
    version: OmeVersion, results: Results, folder: Path, threads: int, progress: Progress
) -> None:
    assert results.movie is not None, "points are rejected by check_outputs"
    image = LabelImage(results.lineage, results.movie, results.calibration, version)
    write_ome_zarr(image, folder / OME_ZARR, folder.parent, threads=threads, progress=progress)


def _write_mastodon(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    write_mastodon(results.lineage, folder / MASTODON, results.calibration)


def _write_trackmate(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    from trackastra_engine.output.trackmate import write_trackmate  # with xml: 10 ms

    path = folder / TRACKMATE
    write_trackmate(results.lineage, path, results.calibration, movie=results.movie)


def _write_napari(results: Results, folder: Path, threads: int, progress: Progress) -> None:
    write_napari(results.lineage, folder / NAPARI, folder / NAPARI_GRAPH)


_OME_ZARR = Format(
    partial(_write_ome_zarr, "0.5"), (OME_ZARR,), OME_ZARR_ENTRIES, needs_masks=True, also="csv"
)
FORMATS = {
    "ctc": Format(_write_ctc, (CTC_FOLDER,), CHALLENGE_FILES, needs_masks=True),
    "csv": Format(_write_tables, (EDGE_TABLE, TRACK_TABLE, FEATURES, REVIEW)),
    "ome-zarr": _OME_ZARR,
    "ome-zarr-0.4": replace(_OME_ZARR, write=partial(_write_ome_zarr, "0.4")),
    "geff": Format(_write_geff, (GEFF,), GEFF_ENTRIES, package="geff"),
    "trackmate": Format(_write_trackmate, (TRACKMATE,)),
    "napari": Format(_write_napari, (NAPARI, NAPARI_GRAPH)),
    "mastodon": Format(_write_mastodon, (MASTODON,)),
}
DEFAULT_FORMATS = ("ctc", "csv")  # of points, those that need no masks
RESULT_NAMES = (
    REPORT,
    CORRECTIONS,
    *{name: None for form in FORMATS.values() for name in form.names},
)
