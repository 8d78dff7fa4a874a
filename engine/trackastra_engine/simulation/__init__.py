"""Simulate movies with their truth: for training, the demo, benchmarks and tests.

`population.py` moves and divides cells, `observation.py` measures them as detections, and
`rendering.py` draws them as masks and images.
"""

import numpy as np

from trackastra_engine.simulation.observation import observe, voxel_size
from trackastra_engine.simulation.parameters import (
    Brightness,
    Division,
    Errors,
    Motion,
    Pace,
    Regime,
    Shape,
    SimulationParameters,
    random_parameters,
)
from trackastra_engine.simulation.population import simulate_outlines
from trackastra_engine.simulation.rendering import RenderedMovie, draw, write_frames
from trackastra_engine.simulation.truth import KnownMovie, count_children, known_movie

__all__ = [
    "Brightness",
    "Division",
    "Errors",
    "KnownMovie",
    "Motion",
    "Pace",
    "Regime",
    "RenderedMovie",
    "Shape",
    "SimulationParameters",
    "count_children",
    "known_movie",
    "random_parameters",
    "render",
    "simulate",
    "voxel_size",
    "write_frames",
]


def simulate(parameters: SimulationParameters, seed: int) -> KnownMovie:
    """Return the detections of a movie and their truth, without images."""
    rng = np.random.default_rng(seed)
    return observe(list(simulate_outlines(parameters, rng)), parameters, rng)


def render(parameters: SimulationParameters, seed: int) -> RenderedMovie:
    """Return images, masks and true edges of the same cells, without segmentation errors."""
    rng = np.random.default_rng(seed)
    return draw(list(simulate_outlines(parameters, rng)), parameters, rng)
