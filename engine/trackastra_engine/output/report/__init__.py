"""Write a lineage as one HTML page, which needs only a browser."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.correction_table import cells_of
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.calibration import UNKNOWN as UNCALIBRATED
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import Movie
from trackastra_engine.output.report.charts import charts, summary
from trackastra_engine.output.report.document import document
from trackastra_engine.output.report.film import film
from trackastra_engine.output.report.links import described_links
from trackastra_engine.output.report.positions import shown_positions
from trackastra_engine.output.report.tree import lineage_tree
from trackastra_engine.output.report.view import view_of_movie, view_of_points
from trackastra_engine.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Facts about the run, which the page shows."""

    title: str  # name of the movie
    settings: tuple[tuple[str, str], ...] = ()  # names and values
    stage_s: tuple[tuple[str, float], ...] = ()  # names of stages and their seconds
    command: str = ""  # links again with the corrections that the page saves
    motion: MovieMotion | None = None  # if windows were aligned


UNKNOWN = RunFacts("tracks")


def write_report(
    lineage: Lineage,
    movie: Movie | None,
    doubtful: Iterable[DoubtfulLink],
    facts: RunFacts,
    path: str | Path,
    *,
    calibration: Calibration = UNCALIBRATED,
    threads: int = 1,
    corrections: Corrections | None = None,
    progress: Progress = no_progress,
) -> None:
    """Write a page with the movie, its tracks, the lineage tree, charts and the doubtful links.

    The shown frames are read again, one by one, and drawn by some threads; without a movie, for
    points, dots are drawn. The corrections of the run are part of the table that the page saves.
    Long movies are thinned and large ones shown smaller, so that the page stays a few megabytes;
    the page reports this. Raises InputError if the masks have changed since they were tracked.
    """
    tree = lineage_tree(lineage)
    view = view_of_points(lineage) if movie is None else view_of_movie(lineage, movie)
    shots = None
    if movie is not None:
        shots = film(movie, lineage, view, tree, threads=threads, progress=progress)
    positions = shown_positions(lineage, view, tree)
    data = {
        "title": facts.title,
        "summary": summary(lineage, view.n_frames),
        "notes": [*view.notes, *tree.notes],
        "n_frames": view.n_frames,
        "frames": view.frames.tolist(),
        "size": [view.width, view.height],
        "um_per_pixel": calibration.voxel_um and calibration.voxel_um[-1] / view.scale,
        "interval_s": calibration.frame_interval_s,
        "n_shown": len(positions["object_x"]),
        "images": shots.images if shots else [],
        "charts": charts(lineage, view.n_frames, facts.motion),
        "links": described_links(doubtful, lineage, view, tree),
        "corrections": [] if corrections is None else list(map(list, cells_of(corrections))),
        "command": facts.command,
        "settings": [*facts.settings, *_measures(movie, calibration)],
        "stage_s": facts.stage_s,
    }
    arrays = tree.arrays() | positions | (shots.arrays if shots else {})
    with new_file(Path(path)) as partial:
        # Names of files may contain bytes that are not text; these become question marks.
        partial.write_bytes(document(facts.title, data, arrays).encode("utf-8", "replace"))


def _measures(movie: Movie | None, calibration: Calibration) -> Iterator[tuple[str, str]]:
    """Yield the size of a frame, if there is a movie, and the known voxel and frame interval."""
    if movie is not None:
        yield "frame", " x ".join(f"{size:,}" for size in movie.frame_shape[::-1]) + " pixels"
    if calibration.voxel_um is not None:
        yield "voxel", " x ".join(f"{size:.4g}" for size in calibration.voxel_um[::-1]) + " µm"
    if calibration.frame_interval_s is not None:
        yield "frame interval", f"{calibration.frame_interval_s:.4g} s"
