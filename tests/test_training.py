"""Training examples and the loss, compared with slow twins."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from small_networks import DIVIDING, STILL, tiny_network
from trackastra_engine.detection.detections import Detections
from trackastra_engine.simulation import (
    Division,
    Errors,
    KnownMovie,
    count_children,
    simulate,
)
from trackastra_training.batches import collate
from trackastra_training.configuration import Augmentation
from trackastra_training.examples import (
    association_matrix,
    cut_window,
    every_nth_frame,
    make_example,
    nearest_parent_share,
    random_crop,
    weight_matrix,
)
from trackastra_training.loss import association_loss
from trackastra_training.start import spec_of
from trackastra_training.validation import true_links, validate


def ancestors(movie: KnownMovie, row: int) -> set[int]:
    found = set()
    while (row := int(movie.parent[row])) >= 0:
        found.add(row)
    return found


def test_association_is_descent_within_the_window():
    movie = simulate(DIVIDING, 1)
    window = cut_window(movie, 1, 4)
    first = int(np.searchsorted(movie.detections.frame, 1))
    matrix = association_matrix(window)
    for a, b in itertools.product(range(len(window.parent)), repeat=2):
        related = a + first in ancestors(movie, b + first) or b + first in ancestors(
            movie, a + first
        )
        assert matrix[a, b] == related


def test_weights_are_those_of_the_paper():
    window = cut_window(simulate(DIVIDING, 2), 0, 4)
    frame, n_children = window.detections.frame, window.n_children
    weight = weight_matrix(frame, n_children)
    assert set(np.unique(n_children)) >= {0, 1, 2}
    for source, target in itertools.product(range(len(frame)), repeat=2):
        is_used = 1 <= frame[target] - frame[source] <= 2
        expected = {0: 1, 1: 2, 2: 11}[int(n_children[source])] if is_used else 0
        assert weight[source, target] == expected


def naive_loss(logits, frame, coordinates, association, weight, cutoff) -> float:
    """Eq. (5) to (7), one pair at a time."""
    logits, total = logits.astype(float), 0.0
    n_tokens = len(frame)
    distance = np.linalg.norm(coordinates[:, None, 1:] - coordinates[None, :, 1:], axis=-1)
    for j, i in itertools.product(range(n_tokens), repeat=2):
        rivals = [k for k in range(n_tokens) if frame[k] == frame[i] and distance[k, j] <= cutoff]
        score = 0.0
        if frame[j] > frame[i] and distance[i, j] <= cutoff:
            score = np.exp(logits[i, j]) / (1 + np.exp(logits[rivals, j]).sum())
        for share, probability in ((1, score), (0.01, 1 / (1 + np.exp(-logits[i, j])))):
            probability = probability if association[i, j] else 1 - probability
            total -= share * weight[i, j] * max(np.log(probability), -100) if weight[i, j] else 0
    return total


def test_loss_is_that_of_the_paper_and_padding_does_not_matter():
    model, rng = tiny_network(), np.random.default_rng(3)
    windows = [cut_window(simulate(replace(DIVIDING, n_cells=n), 3), 0, 4) for n in (4, 9)]
    parts = [make_example(window, "relative", 40, STILL, rng) for window in windows]
    batch = collate(parts)
    logits = 3 * torch.randn(batch.association.shape, generator=torch.Generator().manual_seed(4))
    scores = model.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)
    expected = sum(
        naive_loss(
            logits[row, : len(part.frame), : len(part.frame)].numpy(),
            *(part.frame, part.tokens.coordinates, part.association, part.weight),
            model.config.spatial_pos_cutoff,
        )
        for row, part in enumerate(parts)
    )
    # float32 sums, and 1e-6 in the denominator of the network's softmax
    assert association_loss(logits, scores, batch).item() == pytest.approx(expected, rel=1e-3)


def test_targets_whose_parent_was_cut_away_have_no_weight():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 6), 0, 4)
    rng = np.random.default_rng(6)
    kept = random_crop(window.detections.centroid, 50, rng)
    example = make_example(window, "relative", 50, STILL, np.random.default_rng(6))
    has_parent = window.parent[kept] >= 0
    lost_parent = has_parent & ~np.isin(window.parent[kept], kept)
    assert lost_parent.any()
    assert not example.weight[:, lost_parent].any()
    assert example.weight[:, ~lost_parent & (example.frame > 0)].any(axis=0).all()


def tokens_of_two_seeds(recipe):
    """Return the tokens of one window, twice, without other changes than a turn."""
    window = cut_window(simulate(DIVIDING, 7), 0, 4)
    moving = replace(STILL, offset=1000.0, stretch=0)
    return [
        make_example(window, recipe, 500, moving, np.random.default_rng(seed)).tokens
        for seed in (1, 2)
    ]


@pytest.mark.parametrize("recipe", ["upstream", "relative"])
def test_absolute_positions_are_lost(recipe):
    """As in use, relative tokens begin at 0; others are shifted, in the same arrangement."""
    places = [tokens.coordinates[:, 1:] for tokens in tokens_of_two_seeds(recipe)]
    apart = [np.linalg.norm(p[:, None] - p[None, :], axis=-1) for p in places]
    # float32 coordinates of up to 1000; the turn is rounded, too
    np.testing.assert_allclose(apart[0], apart[1], atol=0.01)
    if recipe == "relative":
        np.testing.assert_array_equal([place.min(axis=0) for place in places], 0)
    else:
        assert np.abs(places[0][0] - places[1][0]).max() > 10


def test_every_second_frame_keeps_the_descent():
    movie = simulate(DIVIDING, 8)
    half = every_nth_frame(movie, 2)
    kept = np.flatnonzero(movie.detections.frame % 2 == 0)
    np.testing.assert_array_equal(half.detections.centroid, movie.detections.centroid[kept])
    assert half.detections.frame.max() == movie.detections.frame.max() // 2
    for row, old_row in enumerate(kept):
        older = [r for r in ancestors(movie, int(old_row)) if movie.detections.frame[r] % 2 == 0]
        assert half.parent[row] == (np.searchsorted(kept, max(older)) if older else -1)
    np.testing.assert_array_equal(half.n_children, count_children(half.parent))


def test_the_nearest_parent_is_mostly_right_in_a_calm_movie():
    calm = replace(DIVIDING, spacing=4.0, division=Division(cycle_frames=np.inf), errors=Errors())
    assert nearest_parent_share(simulate(calm, 9)) > 0.95


def test_true_links_join_neighbouring_frames_only():
    movie = simulate(DIVIDING, 13)
    source, target = true_links(movie)
    frame = movie.detections.frame
    gap = frame - frame[movie.parent]
    assert ((movie.parent >= 0) & (gap > 1)).any()  # cells that were missed for a frame
    assert (frame[target] - frame[source] == 1).all()
    assert len(target) == ((movie.parent >= 0) & (gap == 1)).sum()


def test_an_untrained_network_is_measured_on_all_true_edges():
    movie, network = simulate(DIVIDING, 13), tiny_network()
    scores = validate(network, spec_of(network.config, "tiny", ""), [movie])
    assert scores.edges.expected == len(true_links(movie)[0])


def test_empty_frames_do_not_matter():
    """Two cells in frame 0, none in frame 1, one in frame 2."""
    detections = Detections(
        np.array([0, 0, 2], np.int32),
        np.array([1, 2, 1]),
        np.array([[5.0, 5], [20, 20], [6, 6]]),
        np.column_stack([np.full(3, 4.0), np.full(3, np.nan), np.ones((3, 4)), np.zeros(3)]),
    )
    window = KnownMovie(detections, np.array([-1, -1, 0]), np.array([1, 0, 0]))
    example = make_example(
        window, "relative", 10, Augmentation(missed=0, merged=0, split=0), np.random.default_rng(14)
    )
    assert example.weight[0, 2] == 2
    assert np.isfinite(example.tokens.features).all()
