"""A model file contains all that the engine needs, and the network; no partial file is left."""

import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from golden_cases import CASES, model_folder
from test_export import SCORE_TOLERANCE, UPSTREAM
from trackastra_engine.cli import main
from trackastra_engine.errors import ModelError
from trackastra_engine.model.onnx_model import AssociationModel, embedded_models, model_path
from trackastra_engine.model.spec import METADATA_KEY, ModelSpec
from trackastra_export import export
from trackastra_export.builder import OPSET
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.from_onnx import read_exported, read_model

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def quick_verification(monkeypatch):
    """Leave out the windows of 1000 tokens, which take a second."""
    monkeypatch.setattr(export, "VERIFIED_SIZES", (1, 2, 10, 100))


def test_the_file_contains_the_spec_and_all_weights(tmp_path):
    spec = load_spec(UPSTREAM)
    path = tmp_path / "new" / "model.onnx"
    difference = export.export_model(load_model(UPSTREAM), spec, path)
    assert difference < export.MAX_SCORE_DIFFERENCE
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == OPSET
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    n_parameters = sum(parameter.numel() for parameter in load_model(UPSTREAM).parameters())
    expected = replace(spec, n_parameters=n_parameters)
    assert ModelSpec.from_json(metadata[METADATA_KEY]) == expected


@pytest.mark.parametrize("parameter", ["encoder.1.attn.q_pro.weight", "head_y.fc2.bias"])
@pytest.mark.usefixtures("quick_verification")
def test_a_graph_that_differs_is_rejected_and_not_written(tmp_path, monkeypatch, parameter):
    model, other = load_model(UPSTREAM), load_model(UPSTREAM)
    with torch.no_grad():
        other.get_parameter(parameter).mul_(1.01)
    monkeypatch.setattr(export, "build_graph", lambda _, spec: build_graph(other, spec))
    with pytest.raises(ModelError, match="differs from its checkpoint"):
        export.export_model(model, load_spec(UPSTREAM), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_verification")
def test_a_model_of_nan_is_rejected(tmp_path):
    model = load_model(UPSTREAM)
    with torch.no_grad():
        model.norm.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="nan"):
        export.export_model(model, load_spec(UPSTREAM), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_verification")
def test_import_writes_a_model(tmp_path):
    path = tmp_path / "model.onnx"
    result = CliRunner().invoke(main, ["import", str(UPSTREAM), "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert path.is_file()


@pytest.mark.usefixtures("quick_verification")
def test_import_reads_other_weights(tmp_path):
    """Those of Lightning, which upstream's training writes next to the best model."""
    other = load_model(UPSTREAM).state_dict()
    other["head_y.fc2.bias"] += 1
    lightning = tmp_path / "checkpoints" / "last.ckpt"
    lightning.parent.mkdir()
    torch.save({"state_dict": {f"model.{key}": value for key, value in other.items()}}, lightning)
    path = tmp_path / "model.onnx"
    command = ["import", str(UPSTREAM), "--weights", str(lightning), "-o", str(path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    (bias,) = (v for v in onnx.load(path).graph.initializer if v.name == "head_y.fc2.bias")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(bias), other["head_y.fc2.bias"])


@pytest.mark.parametrize(
    ("name", "entries", "reason"),
    [
        ("config.yaml", "pretrained_feat_dim: 256\n", "needs features of a pretrained image"),
        ("train_config.yaml", "features: pretrained_feats\n", "the features 'pretrained_feats'"),
        ("model.pt", "", "cannot be read as weights"),
        ("model.pt", None, "model.pt is missing"),
    ],
)
def test_import_reports_errors_in_one_sentence(tmp_path, name, entries, reason):
    folder = tmp_path / "model"
    shutil.copytree(UPSTREAM, folder)
    if entries is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(entries)
    result = CliRunner().invoke(main, ["import", str(folder), "-o", str(tmp_path / "a.onnx")])
    assert result.exit_code == 2
    # Not its stderr, which click 8.1 does not separate.
    assert result.output.startswith("Error: ")
    assert reason in result.output
    assert result.output.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_of_an_earlier_engine_is_rejected(tmp_path):
    graph = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    renamed = next(value for value in graph.graph.input if value.name == "candidates")
    for node in graph.graph.node:
        node.input[:] = ["pairs" if name == "candidates" else name for name in node.input]
    renamed.name = "pairs"
    path = tmp_path / "old.onnx"
    onnx.save(graph, path)
    with pytest.raises(ModelError, match="earlier engine; export it again"):
        AssociationModel.load(path, device="cpu")


@pytest.mark.parametrize("name", CASES)
def test_an_exported_model_is_read_back_without_change(name, tmp_path, quick_verification):
    """Golden models of all kinds of attention: the same weights, which give the same file."""
    model, spec = load_model(model_folder(name)), load_spec(model_folder(name))
    export.export_model(model, spec, tmp_path / "model.onnx")
    read, read_spec = read_exported(tmp_path / "model.onnx")
    assert read.config == model.config
    assert replace(read_spec, n_parameters=0) == spec
    learned = dict(read.named_parameters())
    for key, weights in model.named_parameters():
        assert torch.equal(learned[key], weights), key
    export.export_model(read, read_spec, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize("name", embedded_models())
def test_embedded_models_are_read_by_name_and_score_as_their_file(name, quick_verification):
    model, spec = read_model(name)
    assert spec.name == name
    assert export.largest_difference(model, model_path(name)) < SCORE_TOLERANCE


def test_files_that_are_not_networks_are_rejected_in_one_sentence(tmp_path, quick_verification):
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelError, match="there is no model"):
        read_model(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as an ONNX model"):
        read_model(path)
    model = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    names = [entry.name for entry in model.graph.initializer]
    del model.graph.initializer[names.index("norm.weight")]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"lacks the weights norm\.weight"):
        read_model(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: load_spec(UPSTREAM).to_json()})
    onnx.save(model, path)
    with pytest.raises(ModelError, match="does not contain the shape of its network"):
        read_model(path)
