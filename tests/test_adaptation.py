"""Scores adapted to corrections: the terms, the fit and its proof, the file, and the command."""

import json
import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
import tifffile
from hypothesis import given, settings

from command_line import error_of, exported, run
from equal_edges import assert_equal_edges
from random_graphs import detections_in, graphs
from trackastra_engine import Tracker
from trackastra_engine.errors import InputError
from trackastra_engine.jobs.adapt import adapt
from trackastra_engine.linking import linker
from trackastra_engine.linking.adaptation import FARTHEST, FLOOR, N_TERMS, adapted, gather
from trackastra_engine.linking.adaptation_fit import (
    MIN_DECISIONS,
    MIN_GAIN,
    Anchor,
    Fit,
    decided_groups,
    fit,
    joined,
    joined_evidence,
)
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.correction_table import write_corrections
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.model_file import with_metadata
from trackastra_engine.model.onnx_model import AssociationModel, model_path
from trackastra_engine.model.spec import METADATA_KEY, Adaptation, ModelSpec
from trackastra_engine.online import Session
from trackastra_engine.simulation import Motion, SimulationParameters, render

SQUARE = np.ones(2)
NOTHING = Adaptation(*[0.0] * N_TERMS)
STRONG = Adaptation(-0.3, 0.4, 0.2, -1.5, 0.1, -0.4, 0.8, 0.1)
PARAMETERS = SimulationParameters(n_frames=12, n_cells=30, motion=Motion(diffusion=0.3))


def possible(graph):
    """Return the graph with scores that are probabilities: at most 1 for each target and gap."""
    edges = graph.edges
    key = edges.target * 10 + graph.n_missed
    total = np.bincount(key, edges.score, minlength=1)[key] if len(edges) else edges.score
    return replace(
        graph, edges=Edges(edges.source, edges.target, edges.score / (1.1 * total + 1e-9))
    )


@given(graphs(levels=None))
@settings(deadline=None)
def test_scores_follow_their_twin(graph):
    """Slow twin: each target and gap by itself, each term from its definition."""
    graph = possible(graph)
    edges, found, gap = graph.edges, graph.detections, graph.n_missed
    found.features[:, 0] = np.random.default_rng(0).uniform(1, 50, len(found))
    diameter, weights = found.features[:, 0], STRONG
    expected = np.zeros(len(edges))
    for target, g in {*zip(edges.target.tolist(), gap.tolist(), strict=True)}:
        rows = np.flatnonzero((edges.target == target) & (gap == g)).tolist()
        none = min(1, max(FLOOR, 1 - edges.score[rows].sum()))
        value = {None: none * np.exp(weights.none + weights.none_score * np.log(none))}
        for e in rows:
            source = edges.source[e]
            others = [
                edges.score[o]
                for o in range(len(edges))
                if o != e and edges.source[o] == source and gap[o] == g
            ]
            score = max(edges.score[e], FLOOR)
            length = np.linalg.norm(found.centroid[target] - found.centroid[source])
            growth = np.log(diameter[target] / diameter[source])
            value[e] = score * np.exp(
                weights.score * np.log(score)
                + weights.second_child * (max(others, default=0) > edges.score[e])
                + weights.rival * max(others, default=0)
                + weights.distance * min(length / diameter[target], FARTHEST)
                + weights.growth * growth
                + weights.size_change * abs(growth)
            )
        for e in rows:
            expected[e] = value[e] / sum(value.values())
    got = adapted(graph, STRONG, SQUARE)
    np.testing.assert_allclose(got.edges.score, expected, rtol=1e-9)
    np.testing.assert_array_equal(got.edges.source, edges.source)
    same = adapted(graph, NOTHING, SQUARE).edges.score
    np.testing.assert_allclose(same, edges.score, atol=2 * len(edges) * FLOOR)


# ---- learning ----


def chain(n, rng, rule):
    """Return a graph and decisions: n targets with a near and a far source, of score 0.5 each.

    rule(i) says whether the near one is right.
    """
    frame = np.repeat([0, 1], [2 * n, n])
    found = detections_in(frame)
    found.centroid[2 * n :] = np.column_stack([100.0 * np.arange(n), np.zeros(n)])
    found.centroid[: 2 * n] = np.repeat(found.centroid[2 * n :], 2, axis=0)
    found.centroid[: 2 * n : 2, 1] += rng.uniform(2, 4, n)
    found.centroid[1 : 2 * n : 2, 1] -= rng.uniform(6, 12, n)
    found.features[:, 0] = 10.0
    edges = Edges(np.arange(2 * n), np.repeat(np.arange(2 * n, 3 * n), 2), np.full(2 * n, 0.5))
    decided = Corrections.of(
        [((0, 2 * i + (1 if rule(i) else 2)), (1, i + 1), True) for i in range(n)]
    )
    return CandidateGraph(found, edges), decided


def fitted(graph, corrections):
    evidence = gather(graph, SQUARE)
    return fit(decided_groups(graph, evidence, corrections), evidence)


def test_a_rule_is_learned_and_accidents_are_not_proven():
    rng = np.random.default_rng(0)
    learned = fitted(*chain(60, rng, lambda i: True))
    assert learned.adaptation.distance < -0.2
    assert learned.is_proven
    graph, _ = chain(10, rng, lambda i: True)
    score = adapted(graph, learned.adaptation, SQUARE).edges.score
    assert (score[::2] > 0.6).all()
    assert (score[1::2] < 0.4).all()
    at_random = [fitted(*chain(60, rng, lambda i: rng.random() < 0.5)) for _ in range(20)]
    assert sum(one.is_proven for one in at_random) <= 2  # 5 % at random


def test_a_gain_by_which_no_decision_becomes_right_is_not_proven():
    graph, decided = chain(60, np.random.default_rng(0), lambda i: True)
    score = np.tile([0.7, 0.2], 60)  # of the near source, which is always right, and the far one
    edges = Edges(graph.edges.source, graph.edges.target, score)
    learned = fitted(replace(graph, edges=edges), decided)
    assert learned.gain > MIN_GAIN * learned.error
    assert learned.n_more_right == 0
    assert not learned.is_proven
    assert fitted(graph, decided).n_more_right == 60


def test_undecided_detections_hold_the_scores():
    """The more of them, the less a few decisions change."""
    rng = np.random.default_rng(1)
    graph, decided = chain(200, rng, lambda i: True)
    few = Corrections.of(decided.decisions()[:MIN_DECISIONS])
    all_of_it, evidence = fitted(graph, decided), gather(graph, SQUARE)
    part = decided_groups(graph, evidence, few)
    by_few = fit(part, evidence).adaptation
    assert abs(by_few.distance) < 0.3 * abs(all_of_it.adaptation.distance)
    assert abs(fit(part, part.evidence).adaptation.distance) > 2 * abs(by_few.distance)


def test_gradients_are_those_of_the_losses():
    graph, decided = chain(30, np.random.default_rng(2), lambda i: i % 3 > 0)
    evidence = gather(graph, SQUARE)
    groups, anchor = decided_groups(graph, evidence, decided), Anchor.of(evidence)
    at = np.random.default_rng(3).normal(size=N_TERMS)
    for loss, gradient in (
        (lambda w: groups.losses(w).sum(), groups.gradient(at)),
        (lambda w: anchor.loss(w)[0], anchor.loss(at)[1]),
    ):
        step = 1e-6 * np.eye(N_TERMS)
        slopes = [(loss(at + one) - loss(at - one)) / 2e-6 for one in step]
        np.testing.assert_allclose(gradient, slopes, atol=1e-5)


def test_what_each_verdict_rules_out():
    """Sources 1 to 3 of frame 0, targets 1 to 3 of frame 1, all pairs scored, sources first."""
    found = detections_in([0, 0, 0, 1, 1, 1])
    pairs = [(s, t) for s in range(3) for t in range(3, 6)]
    graph = CandidateGraph(found, Edges(*np.array(pairs).T, np.full(9, 0.3)))

    def left(*decisions):
        """Return for each decided target: which of the sources are left, and whether none is."""
        groups = decided_groups(graph, gather(graph, SQUARE), Corrections.of(decisions))
        n_decided = len(groups)
        by_target = [groups.edge[groups.evidence.group == row].tolist() for row in range(n_decided)]
        return [
            (*sources, bool(none)) for sources, none in zip(by_target, groups.none, strict=True)
        ]

    assert left(((0, 1), (1, 2), True)) == [(True, False, False, False)]
    assert left(((0, 1), (1, 2), False)) == [(False, True, True, True)]
    assert left((None, (1, 3), True)) == [(False, False, False, True)]
    assert left(((0, 2), None, True)) == [(True, False, True, True)] * 3
    assert left(((0, 3), (1, 1), True), (None, (1, 2), True)) == [
        (False, False, True, False),
        (False, False, False, True),
    ]


def test_parts_of_a_movie_learn_as_the_whole():
    rng = np.random.default_rng(4)
    cases = [chain(20, rng, lambda i: i % 4 > 0) for _ in range(2)]
    seen = [gather(graph, SQUARE) for graph, _ in cases]
    parts = [decided_groups(g, e, c) for (g, c), e in zip(cases, seen, strict=True)]
    whole = joined(parts)
    np.testing.assert_allclose(
        whole.losses(np.ones(N_TERMS)),
        np.concatenate([part.losses(np.ones(N_TERMS)) for part in parts]),
    )
    assert len(joined_evidence(seen).none) == 40


def test_too_few_decisions_are_not_learned():
    graph, decided = chain(MIN_DECISIONS - 1, np.random.default_rng(5), lambda i: True)
    with pytest.raises(InputError, match=f"decide {MIN_DECISIONS - 1} scored links, too few"):
        fitted(graph, decided)


# ---- the model file ----


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The embedded model with weights that change links."""
    spec = AssociationModel.load("general_2d", device="cpu").spec
    path = tmp_path_factory.mktemp("models") / "mine.onnx"
    text = replace(spec, name="mine", adaptation=STRONG).to_json()
    path.write_bytes(with_metadata(model_path("general_2d").read_bytes(), METADATA_KEY, text))
    return path


def test_metadata_is_replaced_and_nothing_else(changed):
    old, new = onnx.load(model_path("general_2d")), onnx.load(changed)
    assert new.graph == old.graph
    before, after = ({e.key: e.value for e in m.metadata_props} for m in (old, new))
    assert len(new.metadata_props) == len(old.metadata_props)
    spec = ModelSpec.from_json(after.pop(METADATA_KEY))
    assert spec.adaptation == STRONG
    earlier = json.loads(before.pop(METADATA_KEY))
    assert after == before
    earlier.pop("adaptation", None)  # of models that were exported before there were any
    assert ModelSpec.from_json(json.dumps(earlier)) == replace(
        spec, name=earlier["name"], adaptation=None
    )


@pytest.fixture(scope="module")
def masks():
    return render(PARAMETERS, seed=1).masks


def test_online_links_as_offline(changed, masks):
    tracker = Tracker.load(changed, device="cpu")
    expected = tracker.track(None, masks)
    plain = Tracker.load("general_2d", device="cpu").track(None, masks)
    assert not np.array_equal(plain.edges.score, expected.edges.score)
    session = Session(tracker)
    for mask in masks:
        session.push(None, mask)
    assert_equal_edges(session.finish().edges, expected.edges)
    ilp = Tracker(tracker.model, linker("ilp", probabilities=True, max_gap=2))
    assert 0 < len(ilp.track(None, masks).edges) < len(masks) * 60


def test_the_command_link_and_clusters_apply_the_weights(changed, masks, tmp_path):
    path = tmp_path / "masks.tif"
    tifffile.imwrite(path, masks, photometric="minisblack")
    command = ("track", "--masks", path, "--model", changed, "--no-report")
    assert run(*command, "-o", tmp_path / "out").exit_code == 0
    table = (tmp_path / "out" / "edges.csv").read_text()
    for again in (
        ("link", tmp_path / "out", "-o", tmp_path / "again", "--no-report"),
        (*command, "-o", tmp_path / "again", "--overwrite", "--dask", "local:2"),
    ):
        result = run(*again)
        assert result.exit_code == 0, result.output
        assert (tmp_path / "again" / "edges.csv").read_text() == table
    assert "adaptation" in run("info", changed).output


# ---- the command ----


@pytest.fixture(scope="module")
def tracked(masks, tmp_path_factory):
    """Results of the embedded model, and the true parents of all cells as corrections."""
    folder, movie = tmp_path_factory.mktemp("tracked"), render(PARAMETERS, seed=1)
    path = folder / "masks.tif"
    tifffile.imwrite(path, masks, photometric="minisblack")
    result = run("track", "--masks", path, "-o", folder / "out", "--no-report")
    assert result.exit_code == 0, result.output
    true = [((f, a), (g, b), True) for f, a, g, b in movie.edges.tolist()]
    return folder / "out", true


def test_a_model_is_adapted_and_tracks_with_its_weights(tracked, tmp_path):
    out, true = tracked
    write_corrections(Corrections.of(true), tmp_path / "a.csv")
    mine = tmp_path / "mine.onnx"
    result = run("adapt", out, "--corrections", tmp_path / "a.csv", "-o", mine)
    assert result.exit_code == 0, result.output
    (n_decisions,) = re.findall(r"Learned from (\d+) decisions", result.output)
    assert 0.9 * len(true) < int(n_decisions) <= len(true)  # but for links that were not scored
    spec = AssociationModel.load(mine, device="cpu").spec
    assert spec.name == "mine"
    assert spec.adaptation is not None
    before = mine.read_bytes()
    assert "exists" in error_of(tmp_path, "adapt", out, "-o", mine)
    again = run("adapt", out, "--corrections", tmp_path / "a.csv", "-o", mine, "--overwrite")
    assert again.exit_code == 0
    assert mine.read_bytes() == before


def test_decisions_that_prove_nothing_write_nothing(tracked, tmp_path, monkeypatch):
    out, true = tracked
    given = ("--corrections", tmp_path / "a.csv", "-o", tmp_path / "mine.onnx")
    for few in (true[: MIN_DECISIONS - 1], []):
        write_corrections(Corrections.of(few), tmp_path / "a.csv")
        assert "too few to learn from" in error_of(tmp_path, "adapt", out, *given)
    write_corrections(Corrections.of(true), tmp_path / "a.csv")
    unproven = Fit(NOTHING, len(true), gain=0.1, error=0.06, n_more_right=3)
    monkeypatch.setattr("trackastra_engine.jobs.adapt.fit", lambda *_: unproven)
    said = error_of(tmp_path, "adapt", out, *given)
    assert f"the {len(true)} decisions do not show that adapted scores are better" in said
    assert "(gain 0.100 ± 0.060, +3 right decisions)" in said


def test_wrong_calls_get_a_sentence(tracked, tmp_path, monkeypatch):
    out, true = tracked
    write_corrections(Corrections.of(true), tmp_path / "a.csv")
    given = ("--corrections", tmp_path / "a.csv")
    assert "is not an .onnx file" in error_of(
        tmp_path, "adapt", out, *given, "-o", tmp_path / "mine"
    )
    mine = tmp_path / "mine.onnx"
    assert "has no corrections" in error_of(tmp_path, "adapt", out, "-o", mine)
    assert "contains no cached detections" in error_of(
        tmp_path, "adapt", tmp_path, *given, "-o", mine
    )
    (tmp_path / "a.csv").write_text((tmp_path / "a.csv").read_text() + "0,1,1,999,link\n")
    assert "no such object" in error_of(tmp_path, "adapt", out, *given, "-o", mine)
    write_corrections(Corrections.of(true), tmp_path / "a.csv")
    monkeypatch.setattr("trackastra_engine.jobs.adapt.file_digest", lambda path: "another")
    assert "is not the model of" in error_of(tmp_path, "adapt", out, *given, "-o", mine)


def test_models_of_upstream_are_not_adapted(masks, tmp_path):
    path, model = tmp_path / "masks.tif", exported("rope2d", tmp_path)
    tifffile.imwrite(path, masks[:4], photometric="minisblack")
    result = run("track", "--masks", path, "-o", tmp_path / "out", "--model", model, "--no-report")
    assert result.exit_code == 0, result.output
    with pytest.raises(InputError, match="models of upstream cannot be adapted"):
        adapt(tmp_path / "out", tmp_path / "mine.onnx")
