"""An endless stream of batches: windows of simulated movies, and of annotated ones."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from trackastra_engine.simulation import KnownMovie, random_parameters, simulate
from trackastra_training.augmentation import Augmentation
from trackastra_training.examples import (
    Example,
    cut_window,
    every_nth_frame,
    make_example,
    nearest_parent_share,
)
from trackastra_training.loss import Batch

WINDOWS_PER_MOVIE = 2  # of a simulated movie, which takes longer to make than a window
STRIDES, STRIDE_CHANCES = (1, 2, 3), (0.75, 0.18, 0.07)  # annotated movies, made faster
HOPELESS_SHARE = 0.5  # windows in which fewer parents are the nearest are often left out
HOPELESS_KEPT = 0.3
SORTED_EXAMPLES = 48  # examples that are sorted by length, so that batches need little padding


@dataclass(frozen=True, slots=True)
class DataOptions:
    """What the examples are like."""

    ndim: int = 2
    window: int = 4  # frames
    max_tokens: int = 256  # of an example
    batch_tokens: int = 800  # of a batch, padding included
    real_share: float = 0.25  # of the examples, where annotated movies are given
    augmentation: Augmentation = field(default_factory=Augmentation)


def batches(movies: Sequence[KnownMovie], options: DataOptions, seed: int) -> Iterable[Batch]:
    """Return an endless stream of batches, made by one other process."""
    dataset = _BatchStream(movies, options, seed)
    return DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=8)


class _BatchStream(IterableDataset[Batch]):
    def __init__(self, movies: Sequence[KnownMovie], options: DataOptions, seed: int) -> None:
        self.movies, self.options, self.seed = movies, options, seed

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        rng = np.random.default_rng(self.seed)
        return pack(examples(self.movies, self.options, rng), self.options.batch_tokens, rng)


def examples(
    movies: Sequence[KnownMovie], options: DataOptions, rng: np.random.Generator
) -> Iterator[Example]:
    """Yield examples without end."""
    annotated = {stride: [every_nth_frame(m, stride) for m in movies] for stride in STRIDES}
    annotated = {stride: _long_enough(known, options.window) for stride, known in annotated.items()}
    simulated = _simulated_windows(options, rng)
    while True:
        if annotated[1] and rng.random() < options.real_share:
            usable = annotated[rng.choice(STRIDES, p=STRIDE_CHANCES)] or annotated[1]
            window = _random_window(usable[rng.integers(len(usable))], options.window, rng)
        else:
            window = next(simulated)
        yield make_example(window, options.max_tokens, options.augmentation, rng)


def _long_enough(movies: Sequence[KnownMovie], window: int) -> list[KnownMovie]:
    return [movie for movie in movies if movie.detections.frame[-1] + 1 >= window]


def _random_window(movie: KnownMovie, size: int, rng: np.random.Generator) -> KnownMovie:
    n_frames = int(movie.detections.frame[-1]) + 1
    return cut_window(movie, int(rng.integers(n_frames - size + 1)), size)


def _simulated_windows(options: DataOptions, rng: np.random.Generator) -> Iterator[KnownMovie]:
    while True:
        parameters = random_parameters(rng, ndim=options.ndim)
        movie = simulate(parameters, int(rng.integers(2**32)))
        last_start = parameters.n_frames - options.window
        starts = rng.permutation(last_start + 1)[:WINDOWS_PER_MOVIE]
        for window in (cut_window(movie, int(start), options.window) for start in starts):
            if len(np.unique(window.detections.frame)) < 2:
                continue
            if nearest_parent_share(window) > HOPELESS_SHARE or rng.random() < HOPELESS_KEPT:
                yield window


def pack(stream: Iterator[Example], batch_tokens: int, rng: np.random.Generator) -> Iterator[Batch]:
    """Yield batches of at most `batch_tokens` tokens, padding included, of similar examples."""
    while True:
        pool = sorted((next(stream) for _ in range(SORTED_EXAMPLES)), key=lambda e: len(e.frame))
        groups: list[list[Example]] = [[]]
        for example in pool:
            if groups[-1] and (len(groups[-1]) + 1) * len(example.frame) > batch_tokens:
                groups.append([])
            groups[-1].append(example)
        for index in rng.permutation(len(groups)):
            yield collate(groups[index])


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
