"""Batches of examples: windows of simulated movies, and of annotated ones.

Batches are made in pools. The content of a pool follows only from the seed and its number. Any
number of processes therefore make the same batches in the same order, and a stopped run continues
with the next batch.
"""

import itertools
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.simulation import KnownMovie, SimulationParameters, random_parameters
from trackastra_training.alignment import align, align_as_tracking
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.deep_views import MOST_LAYERS, deep_view
from trackastra_training.examples import (
    Example,
    cut_window,
    every_nth_frame,
    make_example,
    nearest_parent_share,
    simulate_for,
)
from trackastra_training.flat_views import flat_view
from trackastra_training.invented_measurements import with_invented_measurements
from trackastra_training.joined_windows import MOST_OVERLAID, has_sizes, overlaid
from trackastra_training.loss import Batch
from trackastra_training.small_fields import small_field
from trackastra_training.sparse_windows import sparse_window

WINDOWS_PER_MOVIE = 2  # of a simulated movie: making a movie takes longer than a window
# Of movies of which frames are skipped.
STRIDES, STRIDE_SHARES = (2, 3, 4), (0.55, 0.3, 0.15)
MOST_CELLS = 400  # at the end of a simulated colony of which frames are skipped
HOPELESS_SHARE = 0.5  # share of nearest parents; windows below it are often left out
HOPELESS_KEPT = 0.3
UNKNOWN_VOXELS_SHARE = 0.2  # of 3D movies
POOL_SIZE = 48  # examples sorted by length, so that batches need little padding


@dataclass(frozen=True, slots=True)
class ExampleOptions:
    """All that examples depend on, besides the movies and the seed."""

    spec: ModelSpec  # of the model to be trained
    data: DataOptions
    augmentation: Augmentation


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a process in its batches."""

    pool: int  # its number
    n_taken: int  # batches used of this pool


class Pools(Dataset[list[Batch]]):
    """Pool number i, for any i from 0, as a list of batches in random order."""

    def __init__(self, movies: Sequence[KnownMovie], options: ExampleOptions, seed: int) -> None:
        self.options, self.seed = options, seed
        self.annotated = {
            stride: [
                movie
                for movie in (every_nth_frame(movie, stride) for movie in movies)
                if movie.detections.frame[-1] + 1 >= options.spec.window
            ]
            for stride in (1, *STRIDES)
        }

    def changed(self, **augmentation: float) -> "Pools":
        """Return the pools of the same movies with other options of augmentation."""
        other = copy(self)
        changed = replace(self.options.augmentation, **augmentation)
        other.options = replace(self.options, augmentation=changed)
        return other

    def __getitem__(self, number: int) -> list[Batch]:
        """Return the batches of a pool."""
        rng = np.random.default_rng((self.seed, number))
        pool = itertools.islice(self._examples(rng), POOL_SIZE)
        return pack(list(pool), self.options.data.batch_tokens, rng)

    def _examples(self, rng: np.random.Generator) -> Iterator[Example]:
        spec, data = self.options.spec, self.options.data
        augmentation = self.options.augmentation
        simulated = _simulated_windows(self.options, rng)
        while True:
            if self.annotated[1] and rng.random() < data.real_share:
                stride = _random_stride(augmentation.skipped_frames, rng)
                usable = self.annotated[stride] or self.annotated[1]
                window = _seen_by(spec, usable, augmentation.overlaid, rng)
                if spec.recipe == "relative":  # `upstream` tracks without images as with equal ones
                    window = with_invented_measurements(window, augmentation, rng)
                window = _as_seen(window, augmentation, rng)
            else:
                window = next(simulated)
            if len(window.parent):
                yield make_example(window, spec.recipe, data.max_tokens, augmentation, rng)


class BatchStream:
    """The endless batches of one of several processes, which share out the pools."""

    def __init__(
        self, pools: Pools, start: Position | None = None, *, rank: int = 0, n_processes: int = 1
    ) -> None:
        self.position = Position(rank, 0) if start is None else start
        self._pools, self._stride = pools, n_processes

    def __iter__(self) -> Iterator[Batch]:
        numbers = itertools.count(self.position.pool, self._stride)
        n_workers = self._pools.options.data.n_workers
        # A loader of single items keeps their order for any number of workers.
        loader = DataLoader(
            self._pools,
            batch_size=None,
            sampler=numbers,
            num_workers=n_workers,
            prefetch_factor=2 if n_workers else None,
        )
        n_taken = self.position.n_taken
        for number, pool in zip(
            itertools.count(self.position.pool, self._stride), loader, strict=False
        ):
            for index, batch in enumerate(pool[n_taken:], n_taken):
                self.position = Position(number, index + 1)
                yield batch
            n_taken = 0


def _random_stride(probability: float, rng: np.random.Generator) -> int:
    is_skipped = probability > 0 and rng.random() < probability
    return int(rng.choice(STRIDES, p=STRIDE_SHARES)) if is_skipped else 1


def longer(parameters: SimulationParameters, n_seen: int, stride: int) -> SimulationParameters:
    """Return the parameters of a movie of which every `stride`-th frame, `n_seen` in all, is seen.

    A colony starts with fewer cells. The field drifts as far from frame to frame seen as without
    skipped frames; a wider drift would need many cells outside the view.
    """
    n_cells, n_frames, motion = parameters.n_cells, n_seen * stride, parameters.motion
    if parameters.is_colony:
        growth = 2 ** (n_frames / parameters.division.cycle_frames)
        n_cells = int(np.clip(MOST_CELLS / growth, 2, n_cells))
    motion = replace(motion, drift=tuple(step / stride for step in motion.drift))
    return replace(parameters, n_frames=n_frames, n_cells=n_cells, motion=motion)


def _random_window(movie: KnownMovie, size: int, rng: np.random.Generator) -> KnownMovie:
    """Return a window around a random detection: frames with many cells are in more windows."""
    frame = movie.detections.frame
    first = int(frame[rng.integers(len(frame))]) - int(rng.integers(size))
    return cut_window(movie, int(np.clip(first, 0, frame[-1] + 1 - size)), size)


def _seen_by(
    spec: ModelSpec, movies: Sequence[KnownMovie], share: float, rng: np.random.Generator
) -> KnownMovie:
    """Return a random window of a random movie, in the dimensions of the model.

    share: of the 2D windows without sizes, of those upon which others lie.
    """
    movie = movies[rng.integers(len(movies))]
    window = _random_window(movie, spec.window, rng)
    ndim = window.detections.ndim
    if ndim > spec.ndim:
        return flat_view(window, rng)
    if ndim < spec.ndim and not spec.accepts_planes:
        n_more = int(rng.integers(MOST_LAYERS))
        more = [_random_window(movie, spec.window, rng) for _ in range(n_more)]
        return deep_view([window, *more], rng)
    if ndim == spec.ndim == 2 and share and not has_sizes(movie) and rng.random() < share:
        alike = [other for other in movies if other.detections.ndim == 2 and not has_sizes(other)]
        n_more = 1 + int(rng.integers(MOST_OVERLAID))
        chosen = [alike[rng.integers(len(alike))] for _ in range(n_more)]
        return overlaid([window, *(_random_window(one, spec.window, rng) for one in chosen)], rng)
    return window


def _as_seen(
    window: KnownMovie, augmentation: Augmentation, rng: np.random.Generator
) -> KnownMovie:
    """Return a window in its field of view, aligned as in tracking."""
    if augmentation.small_fields and rng.random() < augmentation.small_fields:
        window = small_field(window, rng)
    elif augmentation.sparse and rng.random() < augmentation.sparse:
        window = sparse_window(window, rng)
    if rng.random() < augmentation.unaligned:
        return window
    if augmentation.estimated_flow and rng.random() < augmentation.estimated_flow:
        return align_as_tracking(window)
    return align(window, rng)


def _simulated_windows(options: ExampleOptions, rng: np.random.Generator) -> Iterator[KnownMovie]:
    spec = options.spec
    while True:
        parameters = random_parameters(rng, ndim=spec.ndim)
        seed, knows_voxels = int(rng.integers(2**32)), True
        if spec.uses_voxel_size:
            knows_voxels = rng.random() >= UNKNOWN_VOXELS_SHARE
        stride = _random_stride(options.augmentation.skipped_simulated, rng)
        if stride > 1:
            parameters = longer(parameters, spec.window + 1, stride)
        movie = simulate_for(spec, parameters, seed, knows_voxels=knows_voxels)
        if stride > 1:
            movie = every_nth_frame(movie, stride)
        last_start = max(ceil(parameters.n_frames / stride) - spec.window, 0)
        starts = rng.permutation(last_start + 1)[:WINDOWS_PER_MOVIE]
        for window in (cut_window(movie, int(start), spec.window) for start in starts):
            window = _as_seen(window, options.augmentation, rng)
            if len(np.unique(window.detections.frame)) < 2:
                continue
            if nearest_parent_share(window) > HOPELESS_SHARE or rng.random() < HOPELESS_KEPT:
                yield window


def pack(examples: Sequence[Example], n_tokens: int, rng: np.random.Generator) -> list[Batch]:
    """Return batches of at most `n_tokens` tokens, padding included, of similar examples."""
    groups: list[list[Example]] = [[]]
    for example in sorted(examples, key=lambda example: len(example.frame)):
        if groups[-1] and (len(groups[-1]) + 1) * len(example.frame) > n_tokens:
            groups.append([])
        groups[-1].append(example)
    return [collate(groups[index]) for index in rng.permutation(len(groups))]


def collate(group: Sequence[Example]) -> Batch:
    """Return the examples as one batch, padded to the longest."""
    size, n_tokens = len(group), max(len(example.frame) for example in group)
    first = group[0].tokens
    coordinates = np.zeros((size, n_tokens, first.coordinates.shape[1]), np.float32)
    features = np.zeros((size, n_tokens, first.features.shape[1]), np.float32)
    frame = np.full((size, n_tokens), -1, np.int64)
    association = np.zeros((size, n_tokens, n_tokens), np.float32)
    weight = np.zeros((size, n_tokens, n_tokens), np.float32)
    for row, example in enumerate(group):
        n = len(example.frame)
        coordinates[row, :n], features[row, :n] = (
            example.tokens.coordinates,
            example.tokens.features,
        )
        frame[row, :n] = example.frame
        association[row, :n, :n], weight[row, :n, :n] = example.association, example.weight
    arrays = (coordinates, features, frame, association, weight)
    return Batch(*(torch.from_numpy(array) for array in arrays))
