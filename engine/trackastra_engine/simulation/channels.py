"""Cells in the channels of a mother machine, which push each other from the closed to the open end.

Channels lie along y, side by side along x; the closed ends are at y = 0.
"""

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.simulation.cells import Cells, field_of_view, lengths
from trackastra_engine.simulation.parameters import SimulationParameters

LEAST_FILLED = 0.3  # share of the places in the channels where cells are at first


def in_channels(parameters: SimulationParameters, rng: np.random.Generator) -> FloatArray:
    """Return independent positions (M, 2) of at least one cell in channels."""
    length, width = field_of_view(parameters).tolist()
    distance = _distance(parameters)
    n_places = parameters.channel_cells * round(width / distance)
    count = max(1, rng.binomial(n_places, rng.uniform(LEAST_FILLED, 1)))
    channel = rng.integers(round(width / distance), size=count)
    return np.column_stack([rng.uniform(0, length, count), (channel + 0.5) * distance])


def stacked(cells: Cells, parameters: SimulationParameters) -> Cells:
    """Return the cells in line in their channels, in the same order, without those outside."""
    channel = np.floor(cells.position[:, 1] / _distance(parameters))
    cells = cells.rows(np.lexsort((cells.position[:, 0], channel)))
    channel = np.sort(channel)
    length = lengths(cells, parameters)[0]
    end = np.cumsum(length)
    first = np.searchsorted(channel, channel)  # row of the cell at the closed end
    middle = end - end[first] + length[first] - length / 2
    cells.position = np.column_stack([middle, (channel + 0.5) * _distance(parameters)])
    cells.axis = np.tile([1.0, 0.0], (len(cells), 1))
    return cells.rows(np.flatnonzero(middle - length / 2 < field_of_view(parameters)[0]))


def _distance(parameters: SimulationParameters) -> float:
    """Return the distance of the channels in pixels."""
    return parameters.channel_distance * parameters.shape.diameter_px
