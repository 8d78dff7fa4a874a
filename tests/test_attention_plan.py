"""The plan of blocks compared with brute force: no pair within the cutoff is missed or doubled."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackastra_engine import InputError
from trackastra_engine.model import attention_plan
from trackastra_engine.model.attention_plan import KEY_MARGIN, plan_attention

CUTOFF = 10.0
# Integers, so that the twin agrees which pairs are just within the cutoff; some very far away.
POSITIONS = st.one_of(st.integers(-30, 30), st.integers(-3, 3), st.sampled_from([-(2**24), 2**24]))


@st.composite
def token_sets(draw):
    """Coordinates (N, 1 + D) of 1 to 40 tokens; frames may be empty, positions equal."""
    ndim = draw(st.integers(2, 3))
    row = st.tuples(st.integers(0, 5), *[POSITIONS] * ndim)
    return np.array(draw(st.lists(row, min_size=1, max_size=40)), np.float32)


def distances(coordinates):
    position = coordinates[:, 1:].astype(np.float64)
    return np.linalg.norm(position[:, None] - position[None, :], axis=2)


def blocks_of(plan, rows, keys, n_keys):
    """Yield the queries and keys of each block, as tokens."""
    width = len(rows) // max(1, len(keys))
    for block in range(len(keys)):
        queries = plan.token[rows[block * width : (block + 1) * width]]
        yield queries, plan.token[keys[block, : n_keys[block]]]


def check_blocks(plan, rows, keys, n_keys, expected_queries, near):
    """Check that each query occurs once, and that keys are those near any query of the block."""
    seen = []
    for queries, block_keys in blocks_of(plan, rows, keys, n_keys):
        own, counts = np.unique(queries, return_counts=True)
        # A block that is shorter than others repeats its last query.
        assert (counts[own != queries[-1]] == 1).all()
        seen += own.tolist()
        assert sorted(block_keys.tolist()) == np.flatnonzero(near[own].any(axis=0)).tolist()
    assert sorted(seen) == expected_queries.tolist()


@settings(max_examples=150)
@given(token_sets(), st.integers(1, 3), st.sampled_from([1, 3, 8, 64]))
def test_plan_equals_brute_force(coordinates, max_gap, block_size):
    plan = plan_attention(coordinates, CUTOFF, max_gap=max_gap, block_size=block_size)
    distance, frame = distances(coordinates), coordinates[:, 0]
    near = distance <= CUTOFF * (1 + KEY_MARGIN)
    everyone = np.arange(len(plan.token), dtype=np.int32)
    check_blocks(
        plan,
        everyone,
        plan.encoder_keys,
        plan.encoder_key_count,
        np.arange(len(frame)),
        near,
    )
    late = np.flatnonzero(frame > frame.min())
    check_blocks(plan, plan.target, plan.decoder_keys, plan.decoder_key_count, late, near)

    gap = frame[None, :] - frame[:, None]
    expected = np.argwhere((distance <= CUTOFF) & (gap >= 1) & (gap <= max_gap)).tolist()
    # Each candidate's score is the number of its gap.
    scores = np.broadcast_to(np.arange(1, max_gap + 1)[:, None, None], plan.candidates.shape)
    edges = plan.edges(scores)
    assert sorted(np.column_stack([edges.source, edges.target]).tolist()) == expected
    np.testing.assert_array_equal(edges.score, gap[edges.source, edges.target])


@settings(max_examples=150)
@given(token_sets(), st.integers(1, 4), st.sampled_from([3, 64]))
def test_the_nearest_sources_of_each_frame_are_candidates(coordinates, most_sources, block_size):
    plan = plan_attention(
        coordinates, CUTOFF, max_gap=2, most_sources=most_sources, block_size=block_size
    )
    distance, frame = distances(coordinates), coordinates[:, 0]
    expected = []
    for target in range(len(frame)):
        for gap in (1, 2):
            is_source = (frame == frame[target] - gap) & (distance[:, target] <= CUTOFF)
            near = np.sort(distance[is_source, target])[:most_sources]
            nearest = is_source & (distance[:, target] <= near.max(initial=-1))
            expected += [[source, target] for source in np.flatnonzero(nearest).tolist()]
    edges = plan.edges(np.zeros(plan.candidates.shape))
    assert sorted(np.column_stack([edges.source, edges.target]).tolist()) == sorted(expected)


@given(token_sets())
def test_keys_refer_to_first_copies(coordinates):
    """A token that is repeated to fill its block is one key, not two."""
    plan = plan_attention(coordinates, CUTOFF, block_size=3)
    for _, keys in blocks_of(
        plan, np.arange(len(plan.token)), plan.encoder_keys, plan.encoder_key_count
    ):
        assert len(np.unique(keys)) == len(keys)


@pytest.mark.parametrize("n_tokens", [1, 2, 63, 64, 65, 129, 1000])
def test_blocks_have_nearly_equal_sizes(n_tokens):
    rng = np.random.default_rng(n_tokens)
    coordinates = np.column_stack([np.zeros(n_tokens), rng.normal(0, 100, (n_tokens, 2))])
    plan = plan_attention(coordinates, CUTOFF, block_size=64)
    n_blocks = -(-n_tokens // 64)
    assert len(plan.encoder_keys) == n_blocks
    assert len(plan.token) <= n_tokens + 2 * n_blocks


def test_lists_longer_than_expected_are_recomputed(monkeypatch):
    rng = np.random.default_rng(0)
    coordinates = np.column_stack([np.repeat([0, 1], 50), rng.uniform(0, 20, (100, 2))])
    plan = plan_attention(coordinates, CUTOFF, block_size=8)
    monkeypatch.setattr(attention_plan, "LIKELY_KEYS", 3)
    monkeypatch.setattr(attention_plan, "LIKELY_CANDIDATES", 2)
    again = plan_attention(coordinates, CUTOFF, block_size=8)
    for name, table in plan.inputs().items():
        np.testing.assert_array_equal(again.inputs()[name], table)


def test_filled_blocks_and_lists_have_few_lengths():
    rng = np.random.default_rng(0)
    coordinates = np.column_stack([np.repeat([0, 1], 50), rng.uniform(0, 20, (100, 2))])
    plan = plan_attention(coordinates, CUTOFF, block_size=10)
    filled = plan_attention(coordinates, CUTOFF, block_size=10, filled=True)
    assert len(filled.token) == 10 * len(plan.encoder_keys)
    for name in ("encoder_keys", "decoder_keys", "candidates"):
        table = getattr(filled, name)
        assert table.shape[-1] % 16 == 0
        length = getattr(plan, name).shape[-1]
        assert (table[..., length:] == -1).all()
        assert table.max() > -1
    edges, again = (one.edges(np.zeros(one.candidates.shape)) for one in (plan, filled))
    assert sorted(zip(edges.source, edges.target, strict=True)) == sorted(
        zip(again.source, again.target, strict=True)
    )


def test_one_frame_has_no_targets():
    plan = plan_attention(np.zeros((5, 3), np.float32), CUTOFF)
    assert plan.candidates.size == 0
    assert len(plan.edges(np.zeros(plan.candidates.shape))) == 0


def test_lists_of_keys_do_not_grow_with_the_movie():
    """16 times the tokens at the same density: the mean list is longer only by the border."""
    rng = np.random.default_rng(0)

    def mean_length(n_tokens):
        place = rng.uniform(0, 3 * np.sqrt(n_tokens), (n_tokens, 2))
        coordinates = np.column_stack([rng.integers(0, 4, n_tokens), place])
        return plan_attention(coordinates, CUTOFF).encoder_key_count.mean()

    assert mean_length(32_000) < 1.25 * mean_length(2_000)


def test_more_pairs_than_fit_into_memory_are_rejected(monkeypatch):
    coordinates = np.zeros((300, 3), np.float32)
    coordinates[150:, 0] = 1
    monkeypatch.setattr(attention_plan, "MAX_ENTRIES", 150 * 150)
    plan_attention(coordinates, CUTOFF)
    monkeypatch.setattr(attention_plan, "MAX_ENTRIES", 150 * 150 - 1)
    with pytest.raises(InputError, match="150 detections of a few frames are within reach of one"):
        plan_attention(coordinates, CUTOFF)
