"""The mean of models is a model, whose weights lie between theirs."""

import torch

from quick_training import invoke
from small_networks import tiny_network
from trackastra_training.checkpoint import load_model, load_spec, save_model
from trackastra_training.train import spec_of


def test_the_mean_of_models_counts_one_twice_that_is_given_twice(tmp_path):
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
