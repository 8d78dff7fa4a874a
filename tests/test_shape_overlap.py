"""Features of the shapes of two detections, and their terms in the scores."""

from pathlib import Path

import numpy as np
import pytest
import torch

from small_networks import fixed_batches, tiny_network
from trackastra_engine.detection.detections import detect
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances
from trackastra_engine.model.tokens import SPACING_UNITS, prepare_tokens
from trackastra_engine.movie.frames import Frame
from trackastra_training.checkpoint import save_model
from trackastra_training.configuration import Configuration, ModelOptions
from trackastra_training.shape_overlap import LEAST_VARIANCE, Shapes, overlap
from trackastra_training.start import network_config, spec_of, start_from_model
from trackastra_training.transformer import TrackingTransformer


def random_covariances(rng, count, ndim):
    root = rng.normal(size=(count, ndim, ndim)) * 3
    return root @ root.swapaxes(1, 2) + 0.1 * np.eye(ndim)


def as_shapes(covariance):
    ndim = covariance.shape[1]
    entries = tuple(
        torch.tensor(covariance[:, row, column])
        for row in range(ndim)
        for column in range(row, ndim)
    )
    root = torch.tensor(np.linalg.det(covariance) ** 0.25)
    return Shapes(torch.zeros(len(covariance)), entries, root)


@pytest.mark.parametrize("ndim", [2, 3])
def test_overlap_is_the_bhattacharyya_coefficient(ndim):
    rng = np.random.default_rng(0)
    one, other = (random_covariances(rng, 50, ndim) for _ in range(2))
    step = rng.normal(size=(50, ndim)) * 4
    mean = (one + other) / 2
    exponent = np.einsum("ni,nij,nj->n", step, np.linalg.inv(mean), step) / 8
    ratio = np.linalg.det(mean) / np.sqrt(np.linalg.det(one) * np.linalg.det(other))
    expected = np.exp(-exponent - np.log(ratio) / 2)
    found = overlap(as_shapes(one), as_shapes(other), torch.tensor(step).unbind(-1))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("ndim", [2, 3])
def test_shapes_are_those_of_the_pixels(ndim):
    rng = np.random.default_rng(1)
    labels = np.zeros((40,) * ndim, np.int32)
    for label, corner in enumerate(((2, 3, 5), (20, 18, 22)), 1):
        extent = rng.integers(4, 12, ndim)
        labels[tuple(slice(c, c + n) for c, n in zip(corner[:ndim], extent, strict=True))] = label
    found = detect(Frame(0, None, labels), ndim)
    tokens = prepare_tokens(found, "relative")
    shapes = Shapes.of(torch.from_numpy(tokens.features).double().unbind(-1), ndim)
    in_units = covariances(found) * (SPACING_UNITS / typical_spacing(found)) ** 2
    expected = in_units + LEAST_VARIANCE * np.eye(ndim)
    entries = np.stack([expected[:, i, j] for i in range(ndim) for j in range(i, ndim)])
    np.testing.assert_allclose(torch.stack(shapes.covariance), entries, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(shapes.root, np.linalg.det(expected) ** 0.25, rtol=1e-4)


def test_new_pair_terms_do_not_change_scores(tmp_path: Path):
    options = ModelOptions(d_model=32, n_layers=1, pair_width=0)
    torch.manual_seed(0)
    before = TrackingTransformer(network_config(options))
    save_model(before, spec_of(before.config, "before", ""), tmp_path)
    after = start_from_model(Configuration(), tmp_path).model
    assert before.config.pair_width == 0
    assert after.config.pair_width == ModelOptions().pair_width
    batch = fixed_batches()[0]
    given = (batch.coordinates, batch.features, batch.frame < 0)
    torch.testing.assert_close(after(*given), before(*given))


def test_shapes_change_scores_and_have_gradients():
    model, batch = tiny_network(), fixed_batches()[0]
    for parameter in model.pair_terms.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    given = (batch.coordinates, batch.features, batch.frame < 0)
    with_terms = model(*given)
    with_terms.square().mean().backward()
    assert all(p.grad.abs().max() > 0 for p in model.pair_terms.parameters())
    model.pair_terms = None
    is_later = batch.coordinates[:, None, :, 0] > batch.coordinates[:, :, None, 0]
    changed = with_terms != model(*given)
    assert changed[is_later].any()
    assert not changed[~is_later].any()
