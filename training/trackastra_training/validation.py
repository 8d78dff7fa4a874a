"""Measures how well a network in training tracks movies whose lineages are known."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from trackastra_engine.association.edge_stream import associate_movie, usual_stride
from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.evaluation.edge_scores import Counts, Scores, score_edges
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.simulation import KnownMovie, random_parameters
from trackastra_training.examples import model_tokens, simulate_for
from trackastra_training.transformer import TrackingTransformer

FIRST_VALIDATION_SEED = 10_000


def simulated_validation_movies(n_movies: int, spec: ModelSpec) -> list[KnownMovie]:
    """Return the simulated movies that validate every training of such a model."""
    seeds = range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + n_movies)
    return [
        simulate_for(spec, random_parameters(np.random.default_rng(seed), ndim=spec.ndim), seed)
        for seed in seeds
    ]


def validate(model: TrackingTransformer, spec: ModelSpec, movies: Iterable[KnownMovie]) -> Scores:
    """Return the scores of greedy links between neighbouring frames, of all movies together.

    Parameters
    ----------
    model : TrackingTransformer
    spec : ModelSpec
        Of the model.
    movies : iterable of KnownMovie
        See `read_known_movies`, or `simulation.simulate`.

    Returns
    -------
    Scores
        Counts of right, found and expected edges and divisions.

    Examples
    --------
    >>> from trackastra_engine.simulation import simulate
    >>> validate(network, spec, [simulate(parameters, seed=1)]).edges.expected > 0
    True
    """
    scores = [
        score_edges(
            edge_table(movie, found.source, found.target), edge_table(movie, *true_links(movie))
        )
        for movie in movies
        for found in [_tracked_edges(model, spec, movie)]
    ]
    return Scores(_total(s.edges for s in scores), _total(s.divisions for s in scores))


def true_links(movie: KnownMovie) -> tuple[IntArray, IntArray]:
    """Return the sources and targets (E,) of the true edges between neighbouring frames."""
    frame = movie.detections.frame
    target = np.flatnonzero(movie.parent >= 0)
    target = target[frame[target] - frame[movie.parent[target]] == 1]
    return movie.parent[target], target


def edge_table(movie: KnownMovie, source: IntArray, target: IntArray) -> IntArray:
    """Return edges (E, 4) as source frame, source label, target frame, target label."""
    frame, label = movie.detections.frame, movie.detections.label
    return np.column_stack([frame[source], label[source], frame[target], label[target]])


def _total(parts: Iterable[Counts]) -> Counts:
    counts = [(part.correct, part.found, part.expected) for part in parts]
    return Counts(*(sum(column) for column in zip(*counts, strict=True)))


@torch.no_grad()
def _tracked_edges(model: TrackingTransformer, spec: ModelSpec, movie: KnownMovie) -> Edges:
    was_training, device = model.training, next(model.parameters()).device
    model.eval()

    def score(window: Detections) -> Edges:
        tokens = model_tokens(window, spec.recipe)
        coordinates = torch.from_numpy(tokens.coordinates)[None].to(device)
        frame = torch.from_numpy(window.frame.astype(np.int64))[None].to(device)
        logits = model(coordinates, torch.from_numpy(tokens.features)[None].to(device))
        scores = model.normalised_scores(logits, frame, coordinates, forward_only=True)
        return _neighbour_edges(scores[0].cpu().numpy(), window.frame)

    edges = associate_movie(score, spec, movie.detections, stride=usual_stride(spec))
    model.train(was_training)
    graph = candidate_graph(movie.detections, edges)
    return linker("greedy", probabilities=spec.scores_are_probabilities)(graph).edges


def _neighbour_edges(scores: NDArray[np.float32], frame: IntArray) -> Edges:
    """Return the scores (N, N), row = source, between neighbouring frames (N,) as edges."""
    source, target = np.nonzero(frame[None, :] - frame[:, None] == 1)
    return Edges(source, target, scores[source, target].astype(float))
