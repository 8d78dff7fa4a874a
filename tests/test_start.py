"""A model before its training: the reach of a new network, and of one that is trained further."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from golden_cases import model_folder
from quick_training import QUICK, invoke
from trackastra_engine.errors import InputError
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.tokens import SPACING_UNITS, Tokens
from trackastra_export.export import export_model
from trackastra_training.start import REACH, new_start, start_from_model


def with_reach(spacings, ndim=2):
    return replace(QUICK, model=replace(QUICK.model, reach=spacings, ndim=ndim))


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_new_network_has_the_usual_reach_or_the_chosen_one(ndim):
    for chosen, spacings in ((0.0, REACH[ndim]), (2.5, 2.5)):
        start = new_start(with_reach(chosen, ndim))
        assert start.spec.cutoff == spacings * SPACING_UNITS
        assert start.model.config.spatial_pos_cutoff == spacings * SPACING_UNITS
        assert start.configuration.model.reach == spacings


def test_a_model_that_is_trained_further_keeps_its_reach_unless_another_is_chosen():
    kept, changed = (
        start_from_model(with_reach(spacings), "general_2d") for spacings in (0.0, 1.5)
    )
    assert kept.spec.cutoff == AssociationModel.load("general_2d", device="cpu").spec.cutoff
    assert changed.spec.cutoff == 1.5 * SPACING_UNITS
    assert changed.configuration.model.reach == 1.5
    for name, weight in kept.model.state_dict().items():
        torch.testing.assert_close(changed.model.state_dict()[name], weight)


def test_no_link_is_longer_than_the_reach(tmp_path):
    start = start_from_model(with_reach(1.5), "general_2d")
    export_model(start.model, start.spec, tmp_path / "model.onnx")
    model = AssociationModel.load(tmp_path / "model.onnx", device="cpu")
    place = np.stack(np.meshgrid(*[np.arange(6) * SPACING_UNITS] * 2), axis=-1).reshape(-1, 2)
    frame = np.repeat(np.arange(2.0), len(place))
    coordinates = np.column_stack([frame, np.tile(place, (2, 1))]).astype(np.float32)
    features = np.zeros((len(frame), start.model.config.feat_dim), np.float32)
    edges = model.associate(Tokens(coordinates, features))
    step = coordinates[edges.target, 1:] - coordinates[edges.source, 1:]
    length = np.linalg.norm(step, axis=1) / SPACING_UNITS
    assert length.max() == pytest.approx(2**0.5)


def test_a_reach_in_spacings_is_rejected_for_models_that_see_pixels(tmp_path):
    folder = model_folder("rope2d")
    with pytest.raises(InputError, match="sees pixels"):
        start_from_model(with_reach(4.0), folder)
    assert start_from_model(with_reach(0.0), folder).configuration.model.reach == 0
    (tmp_path / "options.toml").write_text("[model]\nreach = -1.0\n")
    result = invoke("finetune", "general_2d", tmp_path / "options.toml", "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "'model.reach' must be at least 0" in result.output
