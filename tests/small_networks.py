"""Networks that learn in a second, and batches without augmentation."""

from dataclasses import fields

import numpy as np
import torch

from trackastra_engine.simulation import Division, Errors, SimulationParameters, simulate
from trackastra_training.batches import collate
from trackastra_training.configuration import Augmentation, ModelOptions
from trackastra_training.examples import cut_window, make_example
from trackastra_training.start import network_config
from trackastra_training.transformer import TrackingTransformer

DIVIDING = SimulationParameters(
    n_frames=6, n_cells=20, spacing=1.3, division=Division(cycle_frames=6.0), errors=Errors(0.1)
)
STILL = Augmentation(**{field.name: 0.0 for field in fields(Augmentation)})


def tiny_network(seed=0, dropout=0.0):
    torch.manual_seed(seed)
    options = ModelOptions(d_model=32, n_layers=1, dropout=dropout)
    return TrackingTransformer(network_config(options))


def fixed_batches(rank=0, n_processes=1):
    """Return three batches; of several processes each gets every n-th window."""
    rng = np.random.default_rng(1)
    windows = [cut_window(simulate(DIVIDING, seed), 0, 4) for seed in range(6)]
    examples = [
        make_example(window, "relative", 40 + 5 * i, STILL, rng) for i, window in enumerate(windows)
    ]
    return [collate(examples[i : i + 2][rank::n_processes]) for i in (0, 2, 4)]
