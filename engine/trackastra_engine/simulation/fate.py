"""Division and death of the cells of a simulated movie."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.simulation.cells import Cells, lengths, typical_spacing_px
from trackastra_engine.simulation.parameters import SimulationParameters

CLOSED = 0.25  # distance by which neighbours of a leaving cell move in, in spacings
NEIGHBOUR_SPACINGS = 1.5  # distance of its neighbours at most
BUD_CYCLES = 0.8  # time until a bud is a cell, in cycles of the cells
BUD_SPREAD = 0.2  # standard deviation of the logarithm of the diameter of a new bud


def unit(vectors: FloatArray) -> FloatArray:
    """Return the vectors (..., D) at length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def random_cycles(
    count: int, parameters: SimulationParameters, rng: np.random.Generator
) -> FloatArray:
    """Return random numbers of frames (M,) from birth to division."""
    division = parameters.division
    return division.cycle_frames * np.exp(rng.normal(size=count) * division.cycle_spread)


def leave(cells: Cells, parameters: SimulationParameters, rng: np.random.Generator) -> Cells:
    """Return the cells that remain a frame later; some begin to leave and shrink."""
    division, is_fated = parameters.division, rng.random(len(cells))
    begins = is_fated < division.death_probability
    if not division.leave_frames:
        return cells.rows(np.flatnonzero(~begins))
    leaving = np.where(cells.leaving >= 0, cells.leaving + 1, np.where(begins, 0.0, -1.0))
    shrinkage = division.leave_shrinkage * (leaving > 0)
    cells = replace(
        cells,
        leaving=leaving,
        log_size=cells.log_size - shrinkage,
        cycle=np.where(leaving >= 0, np.inf, cells.cycle),  # it will not divide
    )
    _close_gaps(cells, parameters)
    return cells.rows(np.flatnonzero(leaving < division.leave_frames))


def _close_gaps(cells: Cells, parameters: SimulationParameters) -> None:
    """Move the neighbours of cells that leave towards them."""
    spacing, tree = typical_spacing_px(parameters), cKDTree(cells.position)
    step = np.zeros_like(cells.position)
    for row in np.flatnonzero(cells.leaving > 0):
        near = tree.query_ball_point(cells.position[row], NEIGHBOUR_SPACINGS * spacing)
        others = np.array([other for other in near if other != row], int)
        if len(others):
            step[others] += unit(cells.position[row] - cells.position[others])
    cells.position = cells.position + step * CLOSED * spacing / parameters.division.leave_frames


def divide(
    cells: Cells, next_identity: int, parameters: SimulationParameters, rng: np.random.Generator
) -> tuple[Cells, int]:
    """Return the cells one frame later, with daughters instead of those that divide."""
    division = parameters.division
    cells = replace(
        cells,
        phase=cells.phase + 1 / cells.cycle,
        age=cells.age + 1,
        deficit=np.maximum(cells.deficit - _bud_growth(parameters), 0),
    )
    is_due = cells.phase >= 1
    mothers, others = (cells.rows(np.flatnonzero(rows)) for rows in (is_due, ~is_due))
    count = len(mothers)
    if division.bud:
        return others.joined(_with_buds(mothers, next_identity, parameters, rng)), (
            next_identity + 2 * count
        )
    length, width = lengths(replace(mothers, phase=np.ones(count)), parameters)
    along = unit(
        division.alignment * mothers.axis
        + (1 - division.alignment) * unit(rng.normal(size=mothers.axis.shape))
    )
    if parameters.shape.is_rod:
        along, half = mothers.axis, length / 4
    else:
        diameter = (length * width ** (parameters.ndim - 1)) ** (1 / parameters.ndim)
        half = 0.5 * division.distance * diameter
        half = half * np.exp(rng.normal(size=count) * division.distance_spread)
    unequal = rng.normal(size=count) * division.asymmetry / parameters.ndim
    inherited_size = 0.5 * mothers.log_size
    if division.is_cleavage:
        inherited_size = mothers.log_size - np.log(2) / parameters.ndim
    shift = rng.normal(size=mothers.position.shape) * 0.05 * width[:, None]
    result = others
    for sign in (-1, 1):
        daughters = replace(
            mothers,
            identity=next_identity + np.arange(count),
            mother=mothers.identity,
            position=mothers.position + shift + sign * half[:, None] * along,
            axis=unit(along + 0.2 * rng.normal(size=along.shape)),
            phase=rng.uniform(0, 0.05, count),
            cycle=random_cycles(count, parameters, rng),
            age=np.zeros(count),
            log_size=inherited_size + sign * unequal,
            log_aspect=rng.normal(size=count) * parameters.shape.aspect_spread,
            log_intensity=_inherited(mothers.log_intensity, parameters, rng),
        )
        next_identity += count
        result = result.joined(daughters)
    return result, next_identity


def _bud_growth(parameters: SimulationParameters) -> float:
    """Return the logarithm of the factor on the diameter of a bud per frame."""
    division = parameters.division
    return -np.log(division.bud) / (BUD_CYCLES * division.cycle_frames) if division.bud else 0.0


def _with_buds(
    mothers: Cells, next_identity: int, parameters: SimulationParameters, rng: np.random.Generator
) -> Cells:
    """Return cells as they were, then their new buds, which touch them; all have new identities."""
    division, count, ndim = parameters.division, len(mothers), parameters.ndim
    cells = replace(
        mothers,
        identity=next_identity + np.arange(count),
        mother=mothers.identity,
        phase=np.zeros(count),
        cycle=random_cycles(count, parameters, rng),
        age=np.zeros(count),
    )
    share = np.minimum(division.bud * np.exp(rng.normal(size=count) * BUD_SPREAD), 1)
    apart = 0.5 * (1 + share) * lengths(mothers, parameters)[1]
    axis = unit(rng.normal(size=mothers.axis.shape))
    unequal = rng.normal(size=count) * division.asymmetry / ndim
    buds = replace(
        cells,
        identity=next_identity + count + np.arange(count),
        position=mothers.position + apart[:, None] * axis,
        axis=axis,
        # A bud has no buds before it is a cell.
        cycle=random_cycles(count, parameters, rng) + BUD_CYCLES * division.cycle_frames,
        log_size=0.5 * mothers.log_size + unequal,
        log_aspect=rng.normal(size=count) * parameters.shape.aspect_spread,
        log_intensity=_inherited(mothers.log_intensity, parameters, rng),
        deficit=-np.log(share),
    )
    return cells.joined(buds)


def _inherited(
    log_intensity: FloatArray, parameters: SimulationParameters, rng: np.random.Generator
) -> FloatArray:
    share, spread = parameters.brightness.inheritance, parameters.brightness.spread
    own = rng.normal(size=len(log_intensity)) * spread
    return share * log_intensity + float(np.sqrt(1 - share**2)) * own
