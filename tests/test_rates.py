"""Scores are corrected for the rates of a movie: found again, bounded, and the same on all ways."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from command_line import run
from equal_edges import assert_equal_edges
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import association as chunk_module
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking import linker
from trackastra_engine.linking.rates import (
    FIRST,
    LIMITS,
    MIN_TARGETS,
    NONE,
    SECOND,
    RateCounts,
    RateLimits,
    corrected,
    count_parents,
    movie_rates,
    second_children,
)
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import ModelSpec, TrainingRates
from trackastra_engine.online import Session, load_session, save_session
from trackastra_engine.simulation import Division, Motion, SimulationParameters, render

TRAINING = TrainingRates(0.05, 0.2, 0.05, 0.04)
SQUARE = np.ones(2)
NO_FLOOR = RateLimits(begins_per_end=0)
PARAMETERS = SimulationParameters(
    n_frames=14, n_cells=30, motion=Motion(drift=(0.1, 0.1)), division=Division(cycle_frames=12.0)
)


def cells(frames, margin=100.0):
    """Return cells of diameter 10 in some frames (N,), so far from the border."""
    frames = np.asarray(frames, np.int32)
    features = np.zeros((len(frames), 7))
    features[:, 0], features[:, -1] = 10, margin
    return Detections(frames, np.arange(1, len(frames) + 1), np.zeros((len(frames), 2)), features)


def scored_movie(none, second, n, rng, sharpness=3.0):
    """Return a pair of frames whose scores are the posteriors under TRAINING of noisy outcomes.

    none, second: true rates of 2 n targets. Half of them are sure children, so that the others
    may be second daughters of the same mothers.
    """
    none, second = 2 * none, 2 * second
    truth = rng.choice(3, n, p=[none, 1 - none - second, second])
    trained = 2 * TRAINING.shares()[0]
    trained[FIRST] -= 1
    evidence = rng.normal(size=(n, 3))
    evidence[np.arange(n), truth] += sharpness
    likelihood = np.exp(sharpness * evidence)
    posterior = trained * likelihood
    posterior /= posterior.sum(axis=1, keepdims=True)
    # Two sources for each target: one of its own, and one whose child is surer.
    own, other = np.arange(n), np.arange(n, 2 * n)
    target, sure = np.arange(2 * n, 3 * n), np.arange(3 * n, 4 * n)
    edges = Edges(
        np.concatenate([own, other, other]),
        np.concatenate([target, target, sure]),
        np.concatenate([posterior[:, FIRST], posterior[:, SECOND], np.ones(n)]),
    )
    order = np.lexsort((edges.target, edges.source))
    detections = cells(np.repeat([0, 1], 2 * n))
    return FrameEdges(0, 1, 0, detections, edges.rows(order))


def found_rates(part, training=TRAINING):
    return movie_rates(count_parents(part, SQUARE), training)


def test_rates_are_found_again():
    rng = np.random.default_rng(0)
    for none, second in ((0.06, 0.01), (0.04, 0.02), (0.08, 0.07)):
        part = scored_movie(none, second, 20_000, rng)
        found = found_rates(part).found[0]
        # The bins blur the shares.
        assert found[NONE] == pytest.approx(none, rel=0.1, abs=0.001)
        assert found[SECOND] == pytest.approx(second, rel=0.1, abs=0.001)
        assert found.sum() == pytest.approx(1)


def test_rarer_outcomes_lose_and_no_outcome_gains_against_a_first_child():
    rng = np.random.default_rng(1)
    part = scored_movie(1e-4, 1e-4, 20_000, rng)
    rare = movie_rates(count_parents(part, SQUARE), TRAINING, NO_FLOOR).weights
    assert rare[0, NONE] < 0.1
    assert rare[0, SECOND] == LIMITS.least_second
    frequent = found_rates(scored_movie(0.2, 0.15, 20_000, rng)).weights
    np.testing.assert_array_equal(frequent[0], 1)
    np.testing.assert_array_equal(rare[1], 1)  # no cell is at the border


def test_cells_without_a_parent_are_rare_only_below_a_share_of_the_training_rate():
    counts = count_parents(scored_movie(0.02, 0.05, 20_000, np.random.default_rng(3)), SQUARE)
    assert NO_FLOOR.rare_none * TRAINING.no_parent_inside < 0.02 < TRAINING.no_parent_inside
    assert movie_rates(counts, TRAINING, NO_FLOOR).weights[0, NONE] == 1
    all_count = replace(NO_FLOOR, rare_none=1)
    assert movie_rates(counts, TRAINING, all_count).weights[0, NONE] < 0.5


def test_outcomes_that_the_training_never_showed_have_a_weight():
    part = scored_movie(0.02, 0.01, 2000, np.random.default_rng(6))
    for never in (TrainingRates(0.05, 0.2, 0, 0), TrainingRates(0, 0, 0.05, 0.04)):
        assert np.isfinite(found_rates(part, never).weights).all()


def test_a_short_movie_changes_little():
    rng = np.random.default_rng(2)
    weights = found_rates(scored_movie(1e-6, 1e-6, MIN_TARGETS, rng)).weights
    assert 0.6 < weights[0, NONE] < 1


def test_segmentation_errors_that_show_only_in_ends_keep_cells_without_a_parent_likely():
    """Each target has a likely parent, but of the sources, a tenth has no child."""
    n = 2000
    source, target = np.arange(n), np.arange(n) + n
    score = np.full(n, 0.999)
    for ends in (0, n // 10):
        kept = np.arange(ends, n)
        edges = Edges(source[kept], target[kept], score[kept])
        detections = cells(np.repeat([0, 1], n)[: 2 * n])
        detections = detections.rows(np.append(np.arange(n), target[kept]))
        edges = Edges(edges.source, n + np.arange(len(kept)), edges.score)
        rates = found_rates(FrameEdges(0, 1, 0, detections, edges))
        assert rates.found[0, NONE] < 0.02
        assert (rates.weights[0, NONE] == 1) == (ends > 0)


def test_cells_that_end_change_neither_the_estimate_nor_the_weight_of_divisions():
    counts = count_parents(scored_movie(1e-3, 0.03, 20_000, np.random.default_rng(7)), SQUARE)
    few, many = (
        movie_rates(RateCounts(counts.targets, np.array([[ends, 20_000], [0, 0]])), TRAINING)
        for ends in (0, 1000)
    )
    np.testing.assert_array_equal(many.found, few.found)
    assert few.weights[0, NONE] < many.weights[0, NONE] == 1
    assert many.weights[0, SECOND] == few.weights[0, SECOND] < 1


def corrected_by_loops(edges, detections, weights):
    """Twin: each edge over the sum of its rivals from the same frame, and of no parent there."""
    frame = detections.frame
    kind = (detections.features[:, -1] < detections.features[:, 0]).astype(int)
    rows = range(len(edges))
    pair = [(frame[edges.source[e]], edges.target[e]) for e in rows]

    def is_second(e):
        rivals = [
            f
            for f in rows
            if edges.source[f] == edges.source[e]
            and frame[edges.target[f]] == frame[edges.target[e]]
        ]
        best = max(edges.score[f] for f in rivals)
        return e != next(f for f in rivals if edges.score[f] == best)

    second = np.array([is_second(e) for e in rows])
    result = []
    for e in rows:
        weight = weights[kind[edges.target[e]]]
        group = [f for f in rows if pair[f] == pair[e]]
        likely = {f: edges.score[f] * (weight[SECOND] if second[f] else 1) for f in group}
        none = weight[NONE] * max(0, 1 - sum(edges.score[f] for f in group))
        result.append(likely[e] / (sum(likely.values()) + none))
    return second, np.array(result)


def test_correction_matches_its_twin():
    rng = np.random.default_rng(3)
    detections = cells(np.repeat(np.arange(4), 6), rng.choice([1.0, 100.0], 24))
    frame = detections.frame
    pairs = [(i, j) for i in range(24) for j in range(24) if 1 <= frame[j] - frame[i] <= 2]
    weights = np.array([[0.2, 1, 0.4], [0.5, 1, 0.125]])
    for _ in range(20):
        chosen = sorted(rng.choice(len(pairs), 30, replace=False).tolist())
        source, target = np.array([pairs[i] for i in chosen]).T
        edges = Edges(source, target, rng.choice([0.1, 0.2, 0.3], 30) / 2)
        second, score = corrected_by_loops(edges, detections, weights)
        np.testing.assert_array_equal(second_children(edges, frame), second)
        np.testing.assert_allclose(
            corrected(edges, detections, weights, SQUARE).score, score, rtol=1e-12
        )


def test_counts_do_not_depend_on_the_parts_of_a_movie():
    rng = np.random.default_rng(4)
    frames = np.repeat([0, 1, 2, 4, 5], 8)  # one frame is empty
    whole = cells(frames, rng.choice([1.0, 100.0], len(frames)))
    gap = frames[None] - frames[:, None]
    source, target = np.nonzero((gap >= 1) & (gap <= 2) & (rng.random(gap.shape) < 0.4))
    edges = Edges(source, target, rng.uniform(0.05, 0.4, len(source)))

    def counts(bounds):
        total = RateCounts.none()
        for first, stop in bounds:
            rows = slice(*np.searchsorted(frames, [first, stop + 2]).tolist())
            own = np.flatnonzero((frames[source] >= first) & (frames[source] < stop))
            part = edges.rows(own).shifted(-rows.start)
            parts = FrameEdges(first, stop, rows.start, whole.rows(rows), part)
            total += count_parents(parts, SQUARE)
        return total

    expected = counts([(0, 6)])
    assert expected.targets.sum() == 8 * 3  # none in frame 0, nor after the empty frame
    for bounds in ([(0, 2), (2, 6)], [(frame, frame + 1) for frame in range(6)]):
        for name in ("targets", "sources"):
            np.testing.assert_array_equal(getattr(counts(bounds), name), getattr(expected, name))


@pytest.mark.parametrize("score", [0.01, 0.3])
def test_garbage_and_few_cells_are_not_corrected_which_is_logged(score, caplog):
    n = 500
    rng = np.random.default_rng(5)
    edges = Edges(np.arange(n), n + rng.permutation(n), np.full(n, score))
    part = FrameEdges(0, 1, 0, cells(np.repeat([0, 1], n)), edges)
    few = scored_movie(0.01, 0.01, MIN_TARGETS // 4, rng)
    for movie in (part, few):
        links = LinkStream(
            linker("greedy", probabilities=True), None, None, 2, training_rates=TRAINING
        )
        links.push([movie])
        with caplog.at_level(logging.DEBUG):
            plain = LinkStream(linker("greedy", probabilities=True), None, None, 2)
            plain.push([movie])
            found = links.finish(movie.detections)
        assert links.rates is None
        np.testing.assert_array_equal(found.edges.score, plain.finish(movie.detections).edges.score)
        assert "scores are not corrected" in caplog.text
        caplog.clear()


def test_models_without_rates_and_rates_that_are_off_change_no_score():
    model = AssociationModel.load(device="cpu")
    assert model.spec.training_rates is not None
    assert ModelSpec.from_json(model.spec.to_json()) == model.spec
    old = json.loads(model.spec.to_json())
    del old["training_rates"]
    assert ModelSpec.from_json(json.dumps(old)).training_rates is None
    assert Tracker(model, linker("greedy"), rates="off").training_rates is None
    with pytest.raises(InputError, match="choose one of auto, off"):
        Tracker(model, linker("greedy"), rates="on")


@pytest.fixture(scope="module")
def masks():
    return render(PARAMETERS, seed=1).masks


def test_online_ends_as_offline_also_after_a_restart(masks, tmp_path):
    told = []
    tracker = Tracker.load(device="cpu")
    watched = Tracker(
        tracker.model, tracker.link, on_found=lambda rates, motion: told.append(rates)
    )
    expected = watched.track(None, masks)
    plain = Tracker(tracker.model, tracker.link, rates="off").track(None, masks)
    assert not np.array_equal(plain.edges.score, expected.edges.score)
    assert len(told) == 1
    session = Session(tracker)
    for number, mask in enumerate(masks):
        session.push(None, mask)
        if number == 7:
            save_session(session, tmp_path / "session.npz")
            session = load_session(tmp_path / "session.npz", tracker)
    assert_equal_edges(session.finish().edges, expected.edges)
    save_session(Session(tracker), tmp_path / "session.npz")
    off = Tracker(tracker.model, tracker.link, rates="off")
    with pytest.raises(InputError, match="saved with rates='on'; load it"):
        load_session(tmp_path / "session.npz", off)


def test_chunks_links_again_and_clusters_give_the_same_edges(masks, tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_module, "CHUNK_FRAMES", 5)
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, masks, photometric="minisblack")
    figures = tmp_path / "figures.json"
    for mode, gap in (("greedy", "1"), ("ilp", "2")):
        options = ("--mode", mode, "--max-gap", gap)
        out, other = tmp_path / mode, tmp_path / f"{mode}-dask"
        command = ("track", "--masks", path, *options)
        result = run(*command, "-o", out, "--json", figures)
        assert result.exit_code == 0, result.output
        assert "cells without a parent:" in result.stderr
        assert json.loads(figures.read_text())["no_parent_inside_in_training"] > 0
        figures.unlink()
        assert "cells without a parent" in (out / "report.html").read_text("utf-8")
        assert run("link", out, "-o", tmp_path / f"{mode}-again", *options).exit_code == 0
        table = (out / "edges.csv").read_text()
        assert (tmp_path / f"{mode}-again" / "edges.csv").read_text() == table
        if mode == "greedy":
            assert run(*command, "-o", other, "--dask", "local:2").exit_code == 0
            assert (other / "edges.csv").read_text() == table
            off = run("link", out, "-o", tmp_path / "off", "--rates", "off")
            assert off.exit_code == 0
            assert (tmp_path / "off" / "edges.csv").read_text() != table


def test_weights_are_numbers_where_all_cells_of_a_place_end():
    counts = RateCounts.none()
    counts.targets[0, 0, 0] = 200  # inside, all are sure children
    counts.sources[:] = [[0, 200], [30, 0]]  # at the border, none has a likely child
    weights = movie_rates(counts, TRAINING).weights
    assert np.isfinite(weights).all()
    assert (weights[1, NONE], weights[1, FIRST]) == (1, 1)
