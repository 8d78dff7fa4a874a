"""The mean of models is a model whose weights are their mean."""

from dataclasses import astuple, replace

import numpy as np
import pytest
import torch

from quick_training import invoke
from small_networks import fixed_batches, tiny_network
from trackastra_engine.model.edges import MIN_SCORE
from trackastra_engine.model.spec import TrainingRates
from trackastra_training.averaging import average_models
from trackastra_training.checkpoint import load_model, load_spec, save_model
from trackastra_training.from_onnx import read_model
from trackastra_training.rates import measure_rates
from trackastra_training.start import spec_of


def test_a_model_that_is_given_twice_counts_twice_in_the_mean(tmp_path):
    networks = [tiny_network(seed) for seed in (0, 1)]
    for name, network in zip("ab", networks, strict=True):
        save_model(network, spec_of(network.config, name, "of a test"), tmp_path / name)
    result = invoke("average", tmp_path / "a", tmp_path / "b", tmp_path / "b", "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    a, b, mean = (network.state_dict() for network in (*networks, load_model(tmp_path / "m")))
    for name, weights in mean.items():
        torch.testing.assert_close(weights, (a[name] + 2 * b[name]) / 3)
    assert load_spec(tmp_path / "m").name == "b"

    again = invoke("average", tmp_path / "a", "-o", tmp_path / "m")
    assert (again.exit_code, "exists" in again.output) == (2, True)
    other = invoke("average", "general_3d", tmp_path / "a", "-o", tmp_path / "n")
    assert (other.exit_code, "general_3d is another kind" in other.output) == (2, True)
    assert not (tmp_path / "n").exists()


def test_an_exported_model_and_its_checkpoint_have_a_mean(tmp_path):
    network, spec = read_model("general_2d")
    assert spec.n_parameters > 0
    save_model(network, replace(spec, n_parameters=0), tmp_path / "a")  # as training saves it
    for models in ((tmp_path / "a", "general_2d"), ("general_2d", tmp_path / "a")):
        assert average_models(models)[1].name == "general_2d"


def test_the_mean_has_the_mean_rates_if_all_are_known(tmp_path):
    network = tiny_network()
    spec = spec_of(network.config, "a", "of a test")
    rates = {
        "a": TrainingRates(0.02, 0.1, 0.04, 0.02),
        "b": TrainingRates(0.04, 0.3, 0, 0),
        "c": None,
    }
    for name, known in rates.items():
        save_model(network, replace(spec, training_rates=known), tmp_path / name)
    for other, expected in (("b", (0.03, 0.2, 0.02, 0.01)), ("c", None)):
        mean = tmp_path / f"mean-{other}"
        result = invoke("average", tmp_path / "a", tmp_path / other, "-o", mean)
        assert result.exit_code == 0, result.output
        found = load_spec(mean).training_rates
        assert (found and astuple(found)) == (expected and pytest.approx(expected))


def test_rates_of_a_training_are_those_of_its_scores():
    """Twin: by windows and targets, one by one."""
    network, batches = tiny_network(), fixed_batches()
    found = {False: [], True: []}
    for batch in batches:
        with torch.no_grad():
            logits = network.eval()(batch.coordinates, batch.features, batch.frame < 0)
            scores = network.normalised_scores(
                logits, batch.frame, batch.coordinates, forward_only=True
            ).numpy()
        frame, feature = batch.frame.numpy(), batch.features.double().numpy()
        for window in range(len(frame)):
            for target in np.flatnonzero(frame[window] > 0):
                sources = np.flatnonzero(frame[window] == frame[window, target] - 1)
                if not (batch.weight[window, sources, target] > 0).any():
                    continue
                rivals = np.flatnonzero(frame[window] == frame[window, target])
                block = scores[window][np.ix_(sources, rivals)]
                block = np.where(block >= MIN_SCORE, block, 0)
                own = block[:, rivals == target][:, 0]
                second = own[own < block.max(axis=1)].sum()
                margin = -np.log(feature[window, target, -1] + 1e-30)
                is_near = margin < np.exp(feature[window, target, :2].sum())
                found[is_near].append((1 - own.sum(), second))
    expected = np.stack([np.mean(found[kind], axis=0) for kind in (False, True)]).T.ravel()
    rates = measure_rates(network, batches)
    np.testing.assert_allclose(astuple(rates), expected, atol=1e-4)  # it rounds to 4 digits
