"""Track one movie from files to files: the commands `track` and `demo`."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trackastra_engine.association.cache_index import FILE_NAME
from trackastra_engine.association.edge_stream import usual_gap
from trackastra_engine.detection.point_table import PointTable, read_point_table
from trackastra_engine.errors import InputError
from trackastra_engine.files.lock import alone_in
from trackastra_engine.files.replace import PRIVATE
from trackastra_engine.jobs.decided import check_same_movie, command_again, corrections_of
from trackastra_engine.linking.lineage import Lineage, without_short_tracks
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.linking.options import DEFAULT_OPTIONS, LinkingOptions
from trackastra_engine.linking.rates import MovieRates
from trackastra_engine.linking.review import Review
from trackastra_engine.model.choice import AUTO, model_for
from trackastra_engine.model.devices import Device
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.motion.alignment import Align
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.calibration import Calibration, check_interval
from trackastra_engine.movie.frames import Movie, open_movie
from trackastra_engine.movie.selection import EVERYTHING, Selection
from trackastra_engine.movie.voxels import VoxelSize, parse_voxel_size
from trackastra_engine.output.formats import Results
from trackastra_engine.output.report import RunFacts
from trackastra_engine.output.results import Outputs, check_outputs, write_outputs
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.system import peak_memory_mb
from trackastra_engine.tracker import Tracker

Adapted = tuple[MovieRates | None, MovieMotion | None]  # to which a tracking adapted itself

NO_MASKS = "which points do not have; give --output for tables of tracks and links"

# Options of a job that its report does not list.
UNLISTED = ("outputs", "are_points", "cache", "device", "threads", "title")


@dataclass(frozen=True, slots=True)
class Job:
    """A movie, how to track it, and where to write the results."""

    images: Path | None
    masks: Path  # or a table of points
    outputs: Outputs
    are_points: bool = False
    selection: Selection = EVERYTHING
    model: str = AUTO
    linking: LinkingOptions = DEFAULT_OPTIONS
    corrections: tuple[Path, ...] = ()  # tables of decided links
    voxel: str | None = None  # "z,y,x" in micrometres
    interval_s: float | None = None  # between frames; None: as in the files
    stride: int | None = None  # frames; None: the usual one
    align: Align = "auto"
    cache: Path | None = None  # folder of detections and edges that later runs reuse
    dask: str | None = None  # address of a cluster, or local:N
    device: Device = "auto"
    threads: int | None = None  # None: one per usable core
    title: str | None = None  # of the movie in the report, instead of its paths


@dataclass(frozen=True, slots=True, eq=False)
class JobResult:
    """The lineage of a job, its rates and motion, and the duration of its stages."""

    lineage: Lineage
    n_frames: int
    stage_s: tuple[tuple[str, float], ...]  # names and seconds, in order
    rates: MovieRates | None  # used to correct the scores
    motion: MovieMotion | None = None  # if windows were aligned

    @property
    def seconds(self) -> float:
        """Return the duration of the job."""
        return sum(seconds for _, seconds in self.stage_s)

    def figures(self) -> dict[str, Any]:
        """Return counts, seconds and peak memory by name."""
        peak_mb = peak_memory_mb()
        return {
            "frames": self.n_frames,
            "detections": len(self.lineage.detections),
            "tracks": len(self.lineage.tracklets),
            "divisions": self.lineage.n_divisions,
            **({} if self.rates is None else self.rates.figures()),
            **({} if self.motion is None else self.motion.figures()),
            "seconds": round(self.seconds, 3),
            **{f"{name}_s": round(seconds, 3) for name, seconds in self.stage_s},
            "peak_memory_mb": None if peak_mb is None else round(peak_mb, 1),
        }

    def __str__(self) -> str:
        lineage = self.lineage
        return (
            f"Tracked {self.n_frames} frames with {len(lineage.detections)} detections: "
            f"{len(lineage.tracklets)} tracks, {lineage.n_divisions} divisions, "
            f"{self.seconds:.1f} s"
        )


def run_job(job: Job, *, progress: Progress = no_progress) -> JobResult:
    """Check the outputs, track a movie and write the results.

    Raises InputError, ModelError, MissingDependencyError or OSError; then no results are written,
    but cached detections and edges stay.
    """
    inputs = [path for path in (job.images, job.masks) if path is not None]
    check_outputs(job.outputs, inputs, no_masks=NO_MASKS if job.are_points else "")
    with alone_in(job.outputs.folder):
        return _run(job, progress)


def _run(job: Job, progress: Progress) -> JobResult:
    """Track a movie and write the results; the outputs were checked before."""
    started = time.perf_counter()
    voxel_um = parse_voxel_size(job.voxel) if job.voxel else None
    corrections = corrections_of(job.corrections, job.outputs.folder)
    source = _open(job, voxel_um)
    movie = None if isinstance(source, PointTable) else source
    seen = source.detections if isinstance(source, PointTable) else source
    job = replace(job, model=model_for(job.model, seen, source.voxel_um))
    review, adapted = Review(), list[Adapted]()
    tracker = _tracker(job, review, adapted)
    opened = time.perf_counter()
    if isinstance(source, PointTable):
        lineage = tracker.track_detections(
            source.detections,
            voxel_um=source.voxel_um,
            corrections=corrections,
            progress=progress,
        )
        n_frames = int(source.detections.frame[-1]) + 1
    else:
        lineage = tracker.track_movie(
            source,
            corrections=corrections,
            cache=job.cache,
            index=_index(job),
            dask=job.dask,
            progress=progress,
        )
        n_frames = len(source)
    if corrections is not None and not job.corrections and job.outputs.folder is not None:
        check_same_movie(corrections, job.outputs.folder, lineage.detections)
    ((rates, motion),) = adapted
    if job.linking.min_track_length > 1:
        lineage = without_short_tracks(lineage, job.linking.min_track_length)
    tracked = time.perf_counter()
    stage_s = (("opening", opened - started), ("tracking", tracked - opened))
    settings = *_settings(job, tracker), *found_facts(rates, motion)
    facts = RunFacts(_title(job), settings, stage_s, _command(job), motion)
    interval_s = job.interval_s or (None if movie is None else movie.frame_interval_s)
    calibration = Calibration(source.voxel_um, interval_s).along(lineage.detections.ndim)
    results = Results(lineage, movie, review.links_in(lineage), facts, calibration, corrections)
    _forget_earlier(job)
    write_outputs(results, job.outputs, threads=tracker.threads, progress=progress)
    written = ("writing", time.perf_counter() - tracked)
    return JobResult(lineage, n_frames, (*stage_s, written), rates, motion)


def _open(job: Job, voxel_um: VoxelSize | None) -> Movie | PointTable:
    """Return the movie or the points of a job."""
    if job.interval_s is not None:
        check_interval(job.interval_s)
    if job.are_points:
        _reject_movie_options(job)
        return read_point_table(job.masks, voxel_um)
    movie = open_movie(job.images, job.masks, selection=job.selection, voxel_um=voxel_um)
    return replace(movie, frame_interval_s=job.interval_s or movie.frame_interval_s)


def _tracker(job: Job, review: Review, adapted: list[Adapted]) -> Tracker:
    """Return the tracker of a job, whose links `review` sees; `adapted` gets rates and motion."""
    model = AssociationModel.load(job.model, device=job.device)
    spec, longest = model.spec, job.linking.max_distance
    link = job.linking.linker(
        usual_gap=usual_gap(spec, job.stride), probabilities=spec.scores_are_probabilities
    )
    return Tracker(
        model,
        review.watch(link),
        max_distance=None if longest is None else MaxDistance.parse(longest),
        stride=job.stride,
        align=job.align,
        threads=job.threads,
        rates=job.linking.rates,
        on_found=lambda rates, motion: adapted.append((rates, motion)),
    )


def _reject_movie_options(job: Job) -> None:
    """Raise InputError if options that only movies of frames have are given for points."""
    if job.selection != EVERYTHING:
        raise InputError(
            "points have no axes, channels, positions or levels; leave these options out"
        )
    if job.cache is not None or job.dask is not None:
        raise InputError(
            "points are tracked without a cache and without a cluster; leave --cache and --dask out"
        )


def _forget_earlier(job: Job) -> None:
    """Remove the index of an earlier run if this run has no cache, so that `link` rejects it."""
    index = _index(job)
    if job.cache is None and index is not None:
        index.unlink(missing_ok=True)


def _index(job: Job) -> Path | None:
    """Return the file that lists the cached chunks of the movie, for `link`."""
    folder = job.outputs.folder
    return None if folder is None else folder / PRIVATE / FILE_NAME


def _title(job: Job) -> str:
    """Return the title, or the last two names in the path of the images or masks."""
    return job.title or "/".join((job.images or job.masks).absolute().parts[-2:])


def _command(job: Job) -> str:
    """Return the command that links the movie again; empty if there is none."""
    folder = job.outputs.folder
    if folder is None or job.title is not None or (job.cache is None and not job.are_points):
        return ""
    if not job.are_points:
        return command_again(["link", str(folder)], job.linking)
    chosen = {
        "--voxel": job.voxel,
        "--interval": job.interval_s,
        "--stride": job.stride,
        "--align": None if job.align == "auto" else job.align,
    }
    given = ["track", "--points", str(job.masks), "--model", job.model]
    given += [str(part) for pair in chosen.items() if pair[1] is not None for part in pair]
    return command_again([*given, *job.outputs.options_again()], job.linking)


def _settings(job: Job, tracker: Tracker) -> tuple[tuple[str, str], ...]:
    """Return the options of a job, without unused ones, and its device and version."""
    linking = replace(job.linking, max_gap=tracker.link.max_gap)
    return (
        *(
            pair
            for pair in given_options(replace(job, linking=linking))
            if job.title is None or pair[0] not in ("images", "masks")
        ),
        ("device", tracker.model.device),
        ("engine", version("trackastra-engine")),
    )


def found_facts(rates: MovieRates | None, motion: MovieMotion | None) -> list[tuple[str, str]]:
    """Return names and values of the rates and the motion of a movie, for people."""
    found = [] if rates is None else rates.facts()
    return found if motion is None else [*found, ("motion", str(motion))]


def given_options(options: Any) -> Iterator[tuple[str, str]]:
    """Yield names and values of the options in use, including nested ones."""
    for field in fields(options):
        value = getattr(options, field.name)
        if value is None or value == () or field.name in UNLISTED:
            continue
        if is_dataclass(value):
            yield from given_options(value)
        else:
            values = value if isinstance(value, tuple) else (value,)
            yield field.name.replace("_", " "), ", ".join(map(str, values))
