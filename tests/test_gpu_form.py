"""The form of models for GPUs, on the CPU: the same scores and links, in few large steps."""

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from benchmarks.rendered_movies import FILMS
from golden_cases import model_folder
from model_forms import NARROW_TOLERANCE, check_links, embedded_at_once
from trackastra_engine import Tracker
from trackastra_engine.model.model_file import AT_ONCE_KEY, computed_at_once
from trackastra_engine.model.onnx_model import AssociationModel, embedded_models, model_path
from trackastra_engine.model.tokens import Tokens, prepare_tokens
from trackastra_engine.simulation import simulate
from trackastra_export.export import score_matrix, verification_windows
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.from_onnx import read_model

UPSTREAM = model_folder("rope2d")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("name", embedded_models())
def test_embedded_models_score_as_block_by_block(name):
    in_turn, at_once = AssociationModel.load(name, device="cpu"), embedded_at_once(model_path(name))
    for tokens in verification_windows(in_turn.spec):
        scores, expected = (score_matrix(engine, tokens) for engine in (at_once, in_turn))
        np.testing.assert_allclose(scores, expected, rtol=0, atol=NARROW_TOLERANCE)


@pytest.mark.parametrize("limit", [1, 200, 10_000], ids=["alone", "some", "all"])
def test_windows_of_one_run_score_as_in_single_runs(limit, monkeypatch):
    """Small ones and large ones, one of a single frame, one without a link."""
    monkeypatch.setattr("trackastra_engine.model.onnx_model.TOKENS_AT_ONCE", limit)
    engine = embedded_at_once(model_path("general_2d"))
    windows = [window for window in verification_windows(engine.spec) if len(window.features) < 500]
    still = windows[-1].coordinates[:5] * np.float32([0, 1, 1])
    windows.insert(2, Tokens(still, windows[-1].features[:5]))
    together = list(engine.associate_together(windows, max_gap=2))
    assert len(together) == len(windows)
    for found, window in zip(together, windows, strict=True):
        expected = engine.associate(window, max_gap=2)
        np.testing.assert_array_equal(found.source, expected.source)
        np.testing.assert_array_equal(found.target, expected.target)
        # Sums of float32 in another order.
        np.testing.assert_allclose(found.score, expected.score, rtol=0, atol=1e-5)
    assert sum(len(edges) == 0 for edges in together) > 1
    assert sum(len(edges) > 5 for edges in together) > 1


def filmed(film, n_frames):
    """The detections of the first frames of such a movie, and the name of a model for them."""
    parameters = replace(FILMS[film].parameters, n_frames=n_frames)
    name = "general_3d" if parameters.ndim == 3 else "general_2d"
    return name, simulate(parameters, seed=0).detections


@pytest.mark.parametrize("film", FILMS)
def test_the_same_links_are_accepted(film):
    name, detections = filmed(film, n_frames=6)
    tracker = Tracker.load(name, device="cpu")
    expected = tracker.track_detections(detections).edges
    assert len(expected) > 30
    at_once = Tracker(embedded_at_once(model_path(name)), tracker.link)
    found = at_once.track_detections(detections).edges
    check_links(found, expected)


@pytest.mark.parametrize("name", embedded_models())
def test_scores_hardly_change_where_each_product_is_rounded(name):
    """As GPUs round; on a CPU ONNX Runtime may skip the rounding where it has no float16 kernel."""
    network, spec = read_model(name)
    film = "nuclei_3d" if spec.ndim == 3 else "epithelium"
    _, detections = filmed(film, n_frames=spec.window)
    tokens = prepare_tokens(detections, spec.recipe)
    coordinates, features = (
        torch.from_numpy(values)[None] for values in (tokens.coordinates, tokens.features)
    )

    def scores():
        with torch.inference_mode():
            logits = network(coordinates, features)
            frame = coordinates[..., 0].long()
            return network.normalised_scores(logits, frame, coordinates, forward_only=True)

    expected = scores()
    for kind, layer in network.named_modules():
        if re.fullmatch(r"(en|de)coder.*(v_pro|attn\.proj|mlp\.fc\d)", kind):
            for parameter in layer.parameters():
                parameter.data = rounded(parameter.data)
            layer.register_forward_pre_hook(lambda _, inputs: tuple(map(rounded, inputs)))
            layer.register_forward_hook(lambda _, inputs, product: rounded(product))
    change = (scores() - expected).abs().max().item()
    assert 1e-5 < change < NARROW_TOLERANCE


def rounded(values):
    return values.half().float()


def test_the_form_is_a_small_part_of_a_file_and_has_no_loop():
    graph = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    parts = [entry.value for entry in graph.metadata_props if entry.key == AT_ONCE_KEY]
    assert [len(part) < 20_000 for part in parts] == [True]  # models of the default size: 3.9 MB
    at_once = onnx.load_from_string(computed_at_once(graph.SerializeToString()))
    onnx.checker.check_model(at_once, full_check=True)
    kinds = {node.op_type for node in at_once.graph.node}
    assert "Scan" not in kinds
    assert kinds >= {"Attention", "RotaryEmbedding", "LayerNormalization", "Gelu"}


def test_each_form_has_the_weights_and_only_needed_constants():
    """ONNX Runtime would warn of constants that no node uses."""
    graph = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    names = {entry.name for entry in graph.graph.initializer}
    assert names <= used(graph.graph.node)
    at_once = onnx.load_from_string(computed_at_once(graph.SerializeToString()))
    assert load_model(UPSTREAM).state_dict().keys() & names <= used(at_once.graph.node)


def used(nodes):
    """The names of the inputs of all nodes, also within loops."""
    names = set()
    for node in nodes:
        names.update(node.input)
        for attribute in node.attribute:
            names |= used(attribute.g.node)
    return names


@pytest.mark.parametrize("file", [b"", b"nothing", b"\x0a\x05hello"])
def test_other_files_have_no_form(file):
    with pytest.raises((ValueError, IndexError)):
        computed_at_once(file)
