"""The mean of models that were trained one from the other, which is often better than either.

The mean keeps what a model learned from few new movies, and most of what the one before had learned
(Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import torch

from trackastra_engine.errors import ModelError
from trackastra_engine.model.spec import ModelSpec, TrainingRates
from trackastra_training.from_onnx import read_model
from trackastra_training.transformer import TrackingTransformer


def average_models(models: Sequence[str | Path]) -> tuple[TrackingTransformer, ModelSpec]:
    """Return the network with the mean weights of some models, and the ModelSpec of the last.

    Parameters
    ----------
    models : sequence of str or Path
        As for `read_model`; one that is given twice counts twice.

    Returns
    -------
    network : TrackingTransformer
    spec : ModelSpec

    Raises
    ------
    ModelError
        If they have different shapes, or see movies differently.

    Examples
    --------
    >>> network, spec = average_models(["general_2d", "general_2d"])
    >>> spec.name
    'general_2d'
    """
    read = [read_model(model) for model in models]
    network, spec = read[-1]
    for model, (other, its_spec) in zip(models, read, strict=True):
        seen = replace(
            its_spec,
            name=spec.name,
            description=spec.description,
            training_rates=spec.training_rates,
            adaptation=spec.adaptation,
            n_parameters=spec.n_parameters,  # counted when a model is exported
        )
        if (other.config, seen) != (network.config, spec):
            raise ModelError(
                f"{model} is another kind of network than {models[-1]}; average models that were "
                "trained one from the other"
            )
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parts = [other.get_parameter(name) for other, _ in read]
            parameter.copy_(torch.stack(parts).mean(dim=0))
    rates = [its_spec.training_rates for _, its_spec in read]
    return network, replace(spec, training_rates=_mean_rates(rates), adaptation=None)


def _mean_rates(rates: Sequence[TrainingRates | None]) -> TrainingRates | None:
    """Return the mean of the rates of some trainings, None if one of them is unknown."""
    known = [astuple(one) for one in rates if one is not None]
    if len(known) < len(rates):
        return None
    return TrainingRates(*np.mean(known, axis=0).round(4).tolist())
