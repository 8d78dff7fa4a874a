"""Writes a checkpoint as an ONNX file if the file gives the same scores as the checkpoint."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from trackastra_engine.detection.transform import inertias
from trackastra_engine.errors import ModelError
from trackastra_engine.files.atomic import new_file
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import Tokens, token_feature_count
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import check_fit
from trackastra_training.transformer import TrackingTransformer

MAX_SCORE_DIFFERENCE = 1e-4  # float32 rounding gave up to 1e-5 on the golden models
VERIFIED_SIZES = (1, 2, 10, 100, 1000)  # tokens
VERIFIED_EXTENTS = (0.5, 4.0)  # cutoffs: all tokens see each other; few do
MAX_DIAMETER_PX = 40.0  # of the random detections of `upstream` tokens
LEAST_THICKNESS = 0.1  # standard deviation, in diameters, of the thinnest shapes drawn
COORDINATE_STEPS = 64  # per cutoff, see `verification_windows`


def export_model(model: TrackingTransformer, spec: ModelSpec, path: Path) -> float:
    """Write the model as an ONNX file; return the largest difference of a score from PyTorch's.

    Parameters
    ----------
    model : TrackingTransformer
    spec : ModelSpec
        Of the model.
    path : Path
        The .onnx file, which is replaced if it exists.

    Returns
    -------
    float

    Raises
    ------
    ModelError
        If spec and network disagree, or a score differs by more than 1e-4 from PyTorch's in
        float64. Nothing is written then.

    Examples
    --------
    >>> export_model(network, spec, Path("model.onnx")) < 1e-4
    True
    """
    check_fit(model.config, spec)
    spec = replace(spec, n_parameters=sum(learned.numel() for learned in model.parameters()))
    with new_file(Path(path)) as unfinished:
        unfinished.write_bytes(build_graph(model, spec).SerializeToString())
        difference = largest_difference(model, unfinished)
        # Written so that NaN is rejected, too.
        if not difference <= MAX_SCORE_DIFFERENCE:
            raise ModelError(
                f"the ONNX model of {spec.name!r} differs from its checkpoint by {difference:.1e} "
                f"in a score, more than {MAX_SCORE_DIFFERENCE:.0e}; nothing was written"
            )
    return difference


def largest_difference(model: TrackingTransformer, path: Path) -> float:
    """Return the largest difference of a score between the engine and PyTorch in float64.

    NaN if any score of either is NaN. The windows are those of `verification_windows`; pairs that
    the engine leaves out count as 0.
    """
    engine = AssociationModel.load(path, device="cpu", all_sources=True)
    reference = TrackingTransformer(model.config).double().eval()
    reference.load_state_dict(model.state_dict())
    differences = [
        np.abs(score_matrix(engine, tokens) - _torch_scores(reference, tokens)).max()
        for tokens in verification_windows(engine.spec)
    ]
    return float(np.max(differences))


def verification_windows(spec: ModelSpec, seed: int = 0) -> Iterator[Tokens]:
    """Yield random windows of 1 to 1000 tokens, crowded and sparse, that miss a frame."""
    rng = np.random.default_rng(seed)
    for n_tokens in VERIFIED_SIZES:
        for extent in VERIFIED_EXTENTS:
            n_filled = min(spec.window, max(2, spec.window - 1))
            filled = rng.choice(spec.window, size=n_filled, replace=False)
            # Steps are powers of 2 when the cutoff is one. Float32 and float64 then agree which
            # pairs are beyond the cutoff, where scores jump.
            steps = int(extent * COORDINATE_STEPS)
            position = rng.integers(0, steps, (n_tokens, spec.ndim)) * (
                spec.cutoff / COORDINATE_STEPS
            )
            coordinates = np.column_stack([np.sort(rng.choice(filled, n_tokens)), position])
            features = random_features(rng, spec, n_tokens)
            yield Tokens(coordinates.astype(np.float32), features.astype(np.float32))


def random_features(
    rng: np.random.Generator, spec: ModelSpec, n_tokens: int
) -> NDArray[np.float64]:
    """Return random features (N, F) of tokens."""
    n_features, ndim = token_feature_count(spec.recipe, spec.ndim), spec.ndim
    if spec.recipe == "relative":
        features = rng.normal(size=(n_tokens, n_features))
        # Sizes around the spacing, and ellipses of every form, which the pair terms use.
        features[:, 0] *= 0.3
        features[:, 1] = np.log(rng.uniform(0.25, 1))
        root = rng.normal(size=(n_tokens, ndim, ndim)) / 4
        features[:, 2 : 2 + ndim**2] = inertias(
            root @ root.swapaxes(1, 2) + LEAST_THICKNESS**2 * np.eye(ndim)
        )
        return features
    diameter = rng.uniform(2, MAX_DIAMETER_PX, (n_tokens, 1))
    fraction = rng.uniform(size=(n_tokens, 2))
    inertia = rng.normal(size=(n_tokens, n_features - 3)) * diameter**2 / 16
    return np.column_stack([diameter, fraction[:, :1], inertia, fraction[:, 1:]])


def score_matrix(engine: AssociationModel, tokens: Tokens) -> NDArray[np.float64]:
    """Return the engine's scores (N, N) of all pairs of tokens, row = source, later targets."""
    edges = engine.associate(tokens, max_gap=max(1, engine.spec.window - 1))
    scores = np.zeros((len(tokens.features),) * 2)
    scores[edges.source, edges.target] = edges.score
    return scores


@torch.inference_mode()
def _torch_scores(model: TrackingTransformer, tokens: Tokens) -> NDArray[np.float64]:
    coordinates = torch.from_numpy(tokens.coordinates).double()[None]
    features = torch.from_numpy(tokens.features).double()[None]
    logits = model(coordinates, features)
    frame = coordinates[..., 0].long()
    return model.normalised_scores(logits, frame, coordinates, forward_only=True)[0].numpy()
