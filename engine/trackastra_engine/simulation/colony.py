"""Motion of a colony of growing rods, which push each other outwards in ranks."""

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.simulation.cells import Cells, lengths
from trackastra_engine.simulation.fate import unit
from trackastra_engine.simulation.parameters import SimulationParameters

N_NEIGHBOURS = 4  # that a rod lines up with
COHESION = 0.95  # smallest factor on the width of a contracting colony, per frame
PACKED = 0.85  # share of a colony's area that cells fill
UNIT_BALL = {2: np.pi, 3: 4 / 3 * np.pi}
CROSS_SECTION = {2: 1.0, 3: np.pi / 4}  # of a rod of width 1
LINED_UP = 0.3  # weight of their mean axis relative to its own, per frame


def volume(cells: Cells, parameters: SimulationParameters) -> float:
    """Return the total volume of all cells, computed as rods with flat ends."""
    length, width = lengths(cells, parameters)
    return float((length * width ** (parameters.ndim - 1)).sum()) * CROSS_SECTION[parameters.ndim]


def push_outwards(cells: Cells, growth: float, parameters: SimulationParameters) -> None:
    """Move the cells away from their middle, as if the colony's volume grew by a factor.

    A colony that is wider than a round one contracts.
    """
    middle, ndim = cells.position.mean(axis=0), parameters.ndim
    place = cells.position - middle
    radius = (volume(cells, parameters) / (PACKED * UNIT_BALL[ndim])) ** (1 / ndim)
    width = float(np.sqrt((place**2).sum(axis=1).mean() * (ndim + 2) / ndim))
    draw = np.clip(radius / max(width, 1e-6), COHESION, 1.0)
    cells.position = middle + place * draw * growth ** (1 / ndim)


def line_up(cells: Cells) -> None:
    """Turn the cells towards the axes of their neighbours, as rods that push each other do."""
    count = min(N_NEIGHBOURS + 1, len(cells))
    if count < 2:
        return
    near = cells.axis[cKDTree(cells.position).query(cells.position, count)[1][:, 1:]]
    sign = np.sign((near * cells.axis[:, None]).sum(axis=-1, keepdims=True))
    cells.axis = unit(cells.axis + LINED_UP * (sign * near).mean(axis=1))
