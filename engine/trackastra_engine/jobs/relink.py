"""Link a movie again from cached detections and edges, without pixels: the command `link`."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from trackastra_engine.association.cache_index import CachedMovie
from trackastra_engine.detection.detections import concatenate
from trackastra_engine.errors import InputError, option
from trackastra_engine.files.lock import alone_in
from trackastra_engine.files.replace import MOVED, PRIVATE
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.jobs.decided import (
    check_same_movie,
    command_again,
    corrections_of,
    stored_corrections,
)
from trackastra_engine.jobs.track import JobResult, found_facts, given_options
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import Lineage, without_short_tracks
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.linking.rates import MovieRates, rates_to_use
from trackastra_engine.linking.review import DoubtfulLink, Review, links_left
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.output.formats import DEFAULT_FORMATS, FORMATS, Results
from trackastra_engine.output.report import RunFacts
from trackastra_engine.output.results import Outputs, check_outputs, reject_inside, write_outputs
from trackastra_engine.progress import NOTICE, Progress, no_progress

logger = logging.getLogger(__name__)

NO_MASKS = (
    "which link does not read; run track with the same inputs and these options (detections and "
    "scores are cached)"
)


@dataclass(frozen=True, slots=True, eq=False)
class Relinked:
    """A lineage, its least certain links, and the rates and motion of the movie."""

    lineage: Lineage
    doubtful: list[DoubtfulLink]
    rates: MovieRates | None  # if scores are corrected
    motion: MovieMotion | None  # if windows were aligned


def link_again(
    tracked: Path,
    linking: LinkingOptions,
    outputs: Outputs,
    *,
    corrections: Sequence[Path] = (),
    progress: Progress = no_progress,
) -> JobResult:
    """Link the movie of a folder of results again, and write the formats that need no masks.

    corrections: tables of decided links; without any, those of the results that are replaced apply,
    or else those of the folder.
    In that folder itself, all earlier results are replaced, so that old and new never mix; without
    chosen formats, those that are there are written again.

    Raises InputError, MissingDependencyError or OSError; then nothing is changed.
    """
    in_place = outputs.folder is not None and outputs.folder.resolve() == tracked.resolve()
    outputs = replace(outputs, overwrite=outputs.overwrite or in_place)
    if in_place and outputs.formats is None:
        outputs = replace(outputs, formats=_formats_in(tracked) or None)
    if not in_place:
        for path in outputs.paths:
            reject_inside(path, [tracked])
    check_outputs(outputs, [] if in_place else [tracked], no_masks=NO_MASKS)
    with alone_in(outputs.folder):
        lost = _not_written(tracked, outputs) if in_place else []
        result = _link(tracked, linking, corrections, outputs, progress)
    for path, form in lost:
        again = f"add {form} to --format"
        if FORMATS[form].needs_masks:
            again = "run track with these options and --overwrite (scores are cached)"
        logger.log(NOTICE, "removed %s, which had the earlier tracks; %s to write it", path, again)
    return result


def _link(
    tracked: Path,
    linking: LinkingOptions,
    tables: Sequence[Path],
    outputs: Outputs,
    progress: Progress,
) -> JobResult:
    """Link a movie again and write the results; the outputs were checked before."""
    started = time.perf_counter()
    replaced = outputs.folder
    if replaced is None or stored_corrections(replaced) is None:
        replaced = tracked
    corrections = corrections_of(tables, replaced)
    cached = CachedMovie.read(tracked)
    made = relinked(cached, linking, corrections)
    lineage = made.lineage
    if corrections is not None and not tables and replaced != tracked:
        check_same_movie(corrections, replaced, lineage.detections)
    if linking.min_track_length > 1:
        lineage = without_short_tracks(lineage, linking.min_track_length)
    linked = time.perf_counter()
    stage_s = (("linking", linked - started),)
    calibration = Calibration(cached.voxel_um, cached.frame_interval_s).along(cached.ndim)
    max_gap = cached.usual_gap if linking.max_gap is None else linking.max_gap
    options = given_options(replace(linking, max_gap=max_gap))
    facts = RunFacts(
        cached.title,
        (*options, *found_facts(made.rates, made.motion)),
        stage_s,
        _command(tracked, outputs, linking),
        made.motion,
    )
    doubtful = links_left(made.doubtful, lineage)
    results = Results(lineage, None, doubtful, facts, calibration, corrections)
    write_outputs(results, outputs, progress=progress)
    written = ("writing", time.perf_counter() - linked)
    return JobResult(lineage, cached.n_frames, (*stage_s, written), made.rates, made.motion)


def relinked(
    cached: CachedMovie, linking: LinkingOptions, corrections: Corrections | None
) -> Relinked:
    """Return the lineage of a cached movie, including short tracks.

    Raises InputError if the cache is not complete, or does not fit the options.
    """
    review = Review()
    link = linking.linker(usual_gap=cached.usual_gap, probabilities=cached.scores_are_probabilities)
    longest = None if linking.max_distance is None else MaxDistance.parse(linking.max_distance)
    in_um = longest is not None and longest.unit == "um"
    if in_um and cached.voxel_um is None:
        raise InputError(
            f"the maximum distance is {linking.max_distance}, but the movie does not specify its "
            f"pixel size; track it again with {option('voxel')}, or give the distance in pixels"
        )
    voxel_um = cached.voxel_um if cached.sees_voxel or in_um else None
    links = LinkStream(
        review.watch(link),
        longest,
        voxel_um,
        cached.ndim,
        training_rates=rates_to_use(linking.rates, cached.training_rates),
        adaptation=cached.adaptation,
        corrections=corrections,
    )
    found = GrowingRows(concatenate([], cached.ndim))
    links.push(cached.edges(found, link.max_gap))
    detections = found.whole()
    motion = cached.motion(detections)
    lineage = links.finish(detections, motion)
    return Relinked(lineage, review.links_in(lineage), links.rates, motion)


def _command(tracked: Path, outputs: Outputs, linking: LinkingOptions) -> str:
    """Return the command that links the movie again into the same folder."""
    in_place = outputs.folder is None or outputs.folder.resolve() == tracked.resolve()
    place = [] if in_place else outputs.options_again()
    return command_again(["link", str(tracked), *place], linking)


def _formats_in(folder: Path) -> tuple[str, ...]:
    """Return the formats of earlier results that can be written without masks."""
    places = folder, folder / PRIVATE / MOVED  # the second is of a run that died while it moved
    return tuple(
        name
        for name, form in FORMATS.items()
        if not form.needs_masks and any((place / form.names[0]).exists() for place in places)
    )


def _not_written(folder: Path, outputs: Outputs) -> list[tuple[Path, str]]:
    """Return the earlier results, and their formats, that the new ones do not replace."""
    formats = (FORMATS[form] for form in outputs.formats or DEFAULT_FORMATS)
    written = [name for form in formats if not form.needs_masks for name in form.names]
    found = {
        folder / name: form
        for form in reversed(FORMATS)  # a folder of ome-zarr is named by its first format
        for name in FORMATS[form].names
        if name not in written and (folder / name).exists()
    }
    return list(found.items())
