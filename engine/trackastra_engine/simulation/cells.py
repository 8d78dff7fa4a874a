"""The cells of a simulated movie: their state, size and visible outlines."""

from dataclasses import dataclass, fields

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.simulation.parameters import SimulationParameters

MITOSIS_FRAMES = 1.0  # time constant of the change in appearance around a division


@dataclass(slots=True, eq=False)
class Cells:
    """M cells alive in one frame; lengths in pixels of y and x."""

    identity: IntArray  # (M,) unique over the movie; a daughter is a new cell
    mother: IntArray  # (M,) identity of the mother, -1 without one
    position: FloatArray  # (M, D) relative to the tissue, over which the field of view moves
    axis: FloatArray  # (M, D) unit vector along the long axis
    memory: FloatArray  # (M, D) persistent part of the step
    mood: FloatArray  # (M,) logarithm of the cell's speed, in units of the unevenness
    phase: FloatArray  # (M,) 0 at birth to 1 at division
    cycle: FloatArray  # (M,) frames from birth to division
    age: FloatArray  # (M,) frames since birth, inf for the first cells
    log_size: FloatArray  # (M,) logarithm of the cell's factor on the diameter
    log_aspect: FloatArray  # (M,) logarithm of the cell's factor on the aspect
    log_intensity: FloatArray  # (M,)
    leaving: FloatArray  # (M,) frames since the cell began to leave, -1 if it does not
    deficit: FloatArray  # (M,) logarithm of the factor by which a bud's diameter has yet to grow

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.identity)

    def rows(self, index: IntArray) -> "Cells":
        """Return some of the cells."""
        return Cells(*(getattr(self, f.name)[index] for f in fields(self)))

    def joined(self, other: "Cells") -> "Cells":
        """Return these cells and others."""
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return Cells(*(np.concatenate(pair) for pair in pairs))


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Visible shapes of M cells in one frame; the field of view starts at 0; pixels of y and x."""

    identity: IntArray  # (M,)
    mother: IntArray  # (M,)
    center: FloatArray  # (M, D)
    axis: FloatArray  # (M, D) unit vector
    length: FloatArray  # (M,)
    width: FloatArray  # (M,)
    intensity: FloatArray  # (M,) around 1


def field_of_view(parameters: SimulationParameters) -> FloatArray:
    """Return the size (D,) of the image without its margin, in pixels of y and x.

    Random points at density n have their nearest neighbours 0.5 / sqrt(n) apart, a hexagonal
    lattice 1.07 / sqrt(n); with repulsion ours are about 0.8 apart (in 3D 0.75 / cbrt(n)).
    """
    if parameters.channel_cells:
        return channels_size(parameters)
    spacing = parameters.spacing * parameters.shape.diameter_px
    if parameters.shape.is_packed:
        spacing = (
            parameters.shape.diameter_px * 0.8 * np.sqrt(np.pi / 4) * (1 + parameters.shape.gap)
        )
    area = parameters.n_cells * (spacing / 0.8) ** parameters.ndim
    sides = np.full(parameters.ndim, area ** (1 / parameters.ndim))
    if parameters.ndim == 3:
        sides = sides * np.array([0.5, 2**0.5, 2**0.5])
    if parameters.is_colony:
        sides *= 1.6
    if parameters.is_pushed:
        sides *= parameters.shape.aspect ** (1 / parameters.ndim)
    size: FloatArray = np.maximum(sides, 2 * parameters.shape.diameter_px)
    return size


def channels_size(parameters: SimulationParameters) -> FloatArray:
    """Return the length of the channels, and the width of all of them, (2,) pixels."""
    diameter, n_cells = parameters.shape.diameter_px, parameters.channel_cells
    n_channels = max(1, round(parameters.n_cells / n_cells))
    length = n_cells * diameter * parameters.shape.aspect
    return np.array([length, n_channels * parameters.channel_distance * diameter])


def typical_spacing_px(parameters: SimulationParameters) -> float:
    """Return the unit of length for motion."""
    return parameters.spacing * parameters.shape.diameter_px


def mitosis(cells: Cells) -> FloatArray:
    """Return (M,) the closeness in time to a division, before or after it: 0 to 1."""
    ahead = (1 - cells.phase) * np.where(np.isfinite(cells.cycle), cells.cycle, 1e9)
    closeness: FloatArray = np.exp(-np.minimum(ahead, cells.age) / MITOSIS_FRAMES)
    return closeness


def lengths(cells: Cells, parameters: SimulationParameters) -> tuple[FloatArray, FloatArray]:
    """Return the length and the width (M,) of the cells in pixels."""
    shape, ndim = parameters.shape, parameters.ndim
    if shape.is_marker:
        width = np.full(len(cells), shape.diameter_px)
        return width * parameters.z_step, width
    volume = (1 + shape.growth * cells.phase) / (1 + shape.growth / 2)
    diameter = shape.diameter_px * np.exp(cells.log_size - cells.deficit)
    aspect = np.maximum(shape.aspect * np.exp(cells.log_aspect), 1)
    if shape.is_rod:
        length = shape.diameter_px * shape.aspect * volume * np.exp(cells.log_size)
        return np.maximum(length, shape.diameter_px), np.full(len(cells), shape.diameter_px)
    closeness = mitosis(cells)
    diameter = diameter * volume ** (1 / ndim)
    if shape.is_packed:
        aspect = aspect * (1 + 0.3 * cells.phase**2 * shape.growth)
    else:
        diameter = diameter * np.exp(-parameters.division.shrinkage * closeness)
        aspect = aspect ** (1 - parameters.division.rounding * closeness)
    return diameter * aspect ** (1 - 1 / ndim), diameter * aspect ** (-1 / ndim)
