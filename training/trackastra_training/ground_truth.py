"""Annotated movies as known movies, from tables or folders of the Cell Tracking Challenge."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray, concatenate, detect
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.errors import InputError
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.frame_files import frame_files
from trackastra_engine.movie.frame_pairs import check_pairs
from trackastra_engine.movie.frames import Frame, Movie, open_movie
from trackastra_engine.movie.voxels import proportions
from trackastra_engine.simulation import KnownMovie, known_movie
from trackastra_training.complaints import complain
from trackastra_training.configuration import AnnotatedMovie
from trackastra_training.lineage_table import EDGE_FILE, is_table, read_tables
from trackastra_training.track_table import (
    TRACK_FILE,
    mask_problems,
    name_problems,
    read_track_table,
)
from trackastra_training.truth_matching import MeasuredMask, match_frame

logger = logging.getLogger(__name__)


def read_known_movies(
    movies: Sequence[AnnotatedMovie], spec: ModelSpec, *, sees_otherwise: bool = False
) -> list[KnownMovie]:
    """Return the detections of movies and their truth, for a model.

    sees_otherwise: whether tables for a 2D model may be 3D (flat_views.py), and movies for a 3D
    model 2D (deep_views.py).

    Raises InputError with up to about ten problems of each folder.
    """
    known, complaints = [], []
    for movie in movies:
        try:
            known.append(read_known_movie(movie, spec, sees_otherwise=sees_otherwise))
        except InputError as error:
            complaints.append(str(error))
        else:
            if known[-1].detections.ndim < spec.ndim and not spec.accepts_planes:
                logger.info("%s: a 2D movie; its cells will seem to crawl in 3D", movie)
    if complaints:
        raise InputError("\n".join(complaints))
    return known


def read_known_movie(
    movie: AnnotatedMovie, spec: ModelSpec, *, sees_otherwise: bool = False
) -> KnownMovie:
    """Return the detections of the chosen frames, counted from 0, and their true parents.

    A detection that matches no true object has neither parent nor children. One whose direct parent
    was not detected gets its latest detected ancestor as parent. For `upstream` tokens, intensities
    are normalised by the movie's range, and lie mostly in 0..1.
    """
    if not movie.truth.exists():
        complain(movie, ["there is no such file or folder"])
    if is_table(movie):
        return read_tables(movie, spec, sees_otherwise=sees_otherwise)
    has_deep_views = sees_otherwise and not spec.accepts_planes
    opened = _open(movie, spec, has_deep_views=has_deep_views)
    ndim = opened.seen.ndim if has_deep_views else spec.ndim
    seen, problems = [], opened.problems
    try:
        for pair in opened.frame_pairs():
            seen.append(_match(movie, *pair, ndim))
            problems += mask_problems(seen[-1].index, seen[-1].true_labels, opened.tracks)
    except InputError as error:  # a damaged file: later frames are not checked
        problems.append(str(error))
    complain(movie, problems)
    detections = concatenate((frame.detections for frame in seen), ndim)
    labels = [frame.matched_label for frame in seen]
    n_matched = sum(int((part > 0).sum()) for part in labels)
    logger.info("%s: %d of %d detections are known", movie, n_matched, len(detections))
    if not n_matched:
        complain(movie, ["no detection in the chosen frames matches a true object"])
    detections.frame[:] -= seen[0].index
    if spec.recipe == "upstream":
        detections = _normalised(detections, opened.intensity)
    if spec.uses_voxel_size and ndim == spec.ndim:
        voxel_um = opened.seen.voxel_um
        voxel = None if voxel_um is None else proportions(voxel_um, ndim)
        detections = in_true_proportion(detections, voxel)
    return _with_parents(detections, labels, opened.tracks)


@dataclass(frozen=True, slots=True, eq=False)
class _MatchedFrame:
    """The N detections of a frame and the true objects that they match."""

    index: int
    detections: Detections
    matched_label: IntArray  # (N,) of the true track, 0 if none
    true_labels: IntArray  # (M,) of all objects in the true mask


@dataclass(frozen=True, slots=True, eq=False)
class _OpenMovie:
    """The files of an annotated movie, after checks that they fit each other."""

    seen: Movie
    truth: Movie | None  # None: `seen` has the masks of the truth
    tracks: IntArray  # (K, 4) of the table
    problems: list[str]  # of the table
    chosen: range  # frames
    intensity: IntensityHistogram  # filled while the frames are read

    def frame_pairs(self) -> Iterator[tuple[Frame, Frame | None]]:
        """Read the chosen frames, with the masks seen and with the true masks."""
        truth = None if self.truth is None else self.truth.frames(self.chosen)
        for frame in self.seen.frames(self.chosen):
            if frame.image is not None:
                self.intensity.add(frame.image)
            yield frame, None if truth is None else next(truth)


def _open(movie: AnnotatedMovie, spec: ModelSpec, *, has_deep_views: bool) -> _OpenMovie:
    if movie.points:
        problem = f"a movie of masks must not have points; leave them out, or add {EDGE_FILE}"
        complain(movie, [problem])
    place = movie.truth / "TRA" if (movie.truth / "TRA").is_dir() else movie.truth
    if not (place / TRACK_FILE).is_file():
        complain(movie, [f"{TRACK_FILE} is missing; it lists tracks as lines L B E P"])
    problems: list[str] = []
    try:
        problems += name_problems(frame_files(place, "truth"))
        masks = place if movie.masks is None else movie.masks
        seen = open_movie(movie.images, masks, voxel_um=movie.voxel)
        truth = None if movie.masks is None else open_movie(None, place)
        if truth is not None and len(truth) == len(seen):
            check_pairs(seen.masks, truth.masks)
    except InputError as error:
        complain(movie, [*problems, str(error)])
        raise
    n_frames = len(seen)
    if truth is not None and (len(truth), truth.frame_shape) != (n_frames, seen.frame_shape):
        problems.append(
            f"the masks are {n_frames} frames of {seen.frame_shape} but the truth has "
            f"{len(truth)} frames of {truth.frame_shape}"
        )
    accepts_planes = spec.accepts_planes or has_deep_views
    if seen.ndim > spec.ndim or (seen.ndim < spec.ndim and not accepts_planes):
        problems.append(f"the frames have {seen.ndim} axes but the model has {spec.ndim}")
    first, last = movie.frames or (0, n_frames - 1)
    if not 0 <= first < last < n_frames:
        problems.append(
            f"frames {first}-{last} are not in the movie, which has frames 0-{n_frames - 1}"
        )
    complain(movie, problems)
    tracks, problems = read_track_table(place / TRACK_FILE, n_frames)
    return _OpenMovie(seen, truth, tracks, problems, range(first, last + 1), IntensityHistogram())


def _match(movie: AnnotatedMovie, seen: Frame, truth: Frame | None, ndim: int) -> _MatchedFrame:
    detections = detect(seen, ndim)
    if truth is None:
        return _MatchedFrame(seen.index, detections, detections.label, detections.label)
    true = detect(truth, ndim)
    row = match_frame(
        MeasuredMask(seen.labels, detections),
        MeasuredMask(truth.labels, true),
        movie.match_distance,
    )
    label = np.append(true.label, 0)[row]  # -1, no match, is the last entry
    return _MatchedFrame(seen.index, detections, label, true.label)


def _normalised(detections: Detections, histogram: IntensityHistogram) -> Detections:
    if (found := histogram.range()) is None:
        return detections
    features = detections.features.copy()
    features[:, 1] = (features[:, 1] - found.low) / (found.high - found.low + 1e-8)
    return replace(detections, features=features)


def _with_parents(
    detections: Detections, labels: Sequence[IntArray], tracks: IntArray
) -> KnownMovie:
    """Return the movie; labels: per frame (M,), the track of each detection, 0 if none."""
    identity = [
        np.where(part > 0, np.searchsorted(tracks[:, 0], part), -1).astype(np.int64)
        for part in labels
    ]
    mother_of = np.where(tracks[:, 3] > 0, np.searchsorted(tracks[:, 0], tracks[:, 3]), -1)
    # Daughters of a track without any detection become those of its mother.
    is_seen = np.zeros(len(tracks), bool)
    is_seen[np.concatenate([part[part >= 0] for part in identity])] = True
    while (unseen := (mother_of >= 0) & ~is_seen[mother_of]).any():
        mother_of[unseen] = mother_of[mother_of[unseen]]
    mother = [np.where(part >= 0, mother_of[part], -1) for part in identity]
    return known_movie(detections, identity, mother)
