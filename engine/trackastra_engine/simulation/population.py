"""The cells of a simulated movie: where they are, how they look, when they divide and die."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.simulation.cells import (
    Cells,
    Outlines,
    field_of_view,
    lengths,
    mitosis,
    typical_spacing_px,
)
from trackastra_engine.simulation.parameters import SimulationParameters

RELAXATION_ROUNDS = 4  # per frame; overlaps that are left are seen in real crowds too
ROD_ROUNDS = 10  # rods also have to turn out of each other's way
FIRST_ROUNDS = 30  # before the first frame, as places are drawn without regard to others
N_FLOW_WAVES = 4
PADDING_SPACINGS = 1.5  # cells are simulated this far beyond the field of view


def simulate_outlines(
    parameters: SimulationParameters, rng: np.random.Generator
) -> Iterator[Outlines]:
    """Yield what the cells look like, frame by frame."""
    spacing = typical_spacing_px(parameters)
    motion = parameters.motion
    flow = _Flow.random(parameters, rng)
    offset = np.zeros(parameters.ndim)
    cells = _first_cells(parameters, rng)
    next_identity = len(cells)
    for frame in range(parameters.n_frames):
        yield _outlines(cells, offset, frame, parameters, rng)
        offset = offset + np.asarray(motion.drift) * spacing
        if rng.random() < motion.jump_chance:
            offset = offset + rng.normal(size=parameters.ndim) * motion.jump * spacing
        cells = cells.rows(
            np.flatnonzero(rng.random(len(cells)) >= parameters.division.death_chance)
        )
        cells, next_identity = _divide(cells, next_identity, parameters, rng)
        _move(cells, flow, frame, parameters, rng)
        for _ in range(ROD_ROUNDS if parameters.shape.is_rod else RELAXATION_ROUNDS):
            _push_apart(cells, parameters)


@dataclass(frozen=True, slots=True, eq=False)
class _Flow:
    """A smooth vector field that changes slowly: a sum of W waves."""

    direction: FloatArray  # (W, D) pixels
    wave: FloatArray  # (W, D) radians per pixel
    start: FloatArray  # (W,) radians
    speed: FloatArray  # (W,) radians per frame

    @classmethod
    def random(cls, parameters: SimulationParameters, rng: np.random.Generator) -> "_Flow":
        spacing, motion, ndim = typical_spacing_px(parameters), parameters.motion, parameters.ndim
        size = (N_FLOW_WAVES, ndim)
        direction = rng.normal(size=size) * motion.flow * spacing / np.sqrt(N_FLOW_WAVES * ndim / 2)
        wave = _unit(rng.normal(size=size)) * 2 * np.pi / (motion.flow_wavelength * spacing)
        start = rng.uniform(0, 2 * np.pi, N_FLOW_WAVES)
        return cls(direction, wave, start, rng.normal(size=N_FLOW_WAVES) * 0.2)

    def at(self, position: FloatArray, frame: int) -> FloatArray:
        """Return the step (M, D) at positions (M, D)."""
        angle = position @ self.wave.T + self.start + self.speed * frame
        step: FloatArray = np.sin(angle) @ self.direction
        return step


def _unit(vectors: FloatArray) -> FloatArray:
    unit: FloatArray = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _first_cells(parameters: SimulationParameters, rng: np.random.Generator) -> Cells:
    spacing, ndim, shape = typical_spacing_px(parameters), parameters.ndim, parameters.shape
    view = field_of_view(parameters)
    drift = np.asarray(parameters.motion.drift) * spacing * parameters.n_frames
    # The view moves over the tissue by -drift, so there must be tissue where it goes.
    low = np.minimum(0, -drift) - PADDING_SPACINGS * spacing
    high = np.maximum(0, -drift) + view + PADDING_SPACINGS * spacing
    if parameters.is_colony:
        count = max(1, int(parameters.n_cells * rng.uniform(0.2, 1.0)))
        radius = shape.diameter_px * (count * shape.aspect) ** (1 / ndim)
        position = rng.normal(size=(count, ndim)) * 0.5 * radius + view / 2
    else:
        count = max(1, round(parameters.n_cells * float(np.prod(high - low) / np.prod(view))))
        position = rng.uniform(low, high, (count, ndim))
        n_clumps = max(1, count // 12)
        clump = rng.uniform(low, high, (n_clumps, ndim))[rng.integers(n_clumps, size=count)]
        clump = clump + rng.normal(size=(count, ndim)) * 1.5 * spacing
        position = np.where(rng.random((count, 1)) < parameters.clustering, clump, position)
    # Newborns are twice as frequent as cells about to divide in a growing population.
    phase = -np.log2(1 - rng.random(count) / 2)
    cells = Cells(
        identity=np.arange(count),
        mother=np.full(count, -1),
        position=position,
        axis=_unit(rng.normal(size=(count, ndim))),
        memory=rng.normal(size=(count, ndim)) * parameters.motion.persistent * spacing,
        phase=phase,
        cycle=_cycles(count, parameters, rng),
        age=np.full(count, np.inf),
        log_size=rng.normal(size=count) * shape.spread,
        log_aspect=rng.normal(size=count) * shape.aspect_spread,
        log_intensity=rng.normal(size=count) * parameters.brightness.spread,
    )
    for _ in range(FIRST_ROUNDS):
        _push_apart(cells, parameters)
    return cells


def _cycles(count: int, parameters: SimulationParameters, rng: np.random.Generator) -> FloatArray:
    division = parameters.division
    return division.cycle_frames * np.exp(rng.normal(size=count) * division.cycle_spread)


def _outlines(
    cells: Cells,
    offset: FloatArray,
    frame: int,
    parameters: SimulationParameters,
    rng: np.random.Generator,
) -> Outlines:
    spacing, brightness = typical_spacing_px(parameters), parameters.brightness
    length, width = lengths(cells, parameters)
    flicker = np.exp(rng.normal(size=(2, len(cells))) * parameters.shape.flicker)
    log_intensity = (
        cells.log_intensity
        + parameters.division.brightness * mitosis(cells)
        + rng.normal(size=len(cells)) * brightness.noise
        - brightness.bleaching * frame
    )
    jitter = rng.normal(size=cells.position.shape) * parameters.motion.jitter * spacing
    return Outlines(
        cells.identity,
        cells.mother,
        cells.position + offset + jitter,
        cells.axis,
        np.maximum(length * flicker[0], 2.0),
        np.maximum(width * flicker[1], 2.0),
        np.exp(log_intensity),
    )


def _divide(
    cells: Cells, next_identity: int, parameters: SimulationParameters, rng: np.random.Generator
) -> tuple[Cells, int]:
    """Return the cells one frame older, with daughters for those whose time has come."""
    division = parameters.division
    cells = replace(cells, phase=cells.phase + 1 / cells.cycle, age=cells.age + 1)
    is_due = cells.phase >= 1
    mothers = cells.rows(np.flatnonzero(is_due))
    count = len(mothers)
    length, width = lengths(replace(mothers, phase=np.ones(count)), parameters)
    along = _unit(
        division.alignment * mothers.axis
        + (1 - division.alignment) * _unit(rng.normal(size=mothers.axis.shape))
    )
    if parameters.shape.is_rod:
        along, half = mothers.axis, length / 4
    else:
        diameter = (length * width ** (parameters.ndim - 1)) ** (1 / parameters.ndim)
        half = 0.5 * division.distance * diameter
        half = half * np.exp(rng.normal(size=count) * division.distance_spread)
    unequal = rng.normal(size=count) * division.asymmetry / parameters.ndim
    shift = rng.normal(size=mothers.position.shape) * 0.05 * width[:, None]
    result = cells.rows(np.flatnonzero(~is_due))
    for sign in (-1, 1):
        daughters = replace(
            mothers,
            identity=next_identity + np.arange(count),
            mother=mothers.identity,
            position=mothers.position + shift + sign * half[:, None] * along,
            axis=_unit(along + 0.2 * rng.normal(size=along.shape)),
            phase=rng.uniform(0, 0.05, count),
            cycle=_cycles(count, parameters, rng),
            age=np.zeros(count),
            log_size=0.5 * mothers.log_size + sign * unequal,
            log_aspect=rng.normal(size=count) * parameters.shape.aspect_spread,
            log_intensity=_inherited(mothers.log_intensity, parameters, rng),
        )
        next_identity += count
        result = result.joined(daughters)
    return result, next_identity


def _inherited(
    log_intensity: FloatArray, parameters: SimulationParameters, rng: np.random.Generator
) -> FloatArray:
    share, spread = parameters.brightness.inheritance, parameters.brightness.spread
    own = rng.normal(size=len(log_intensity)) * spread
    return share * log_intensity + float(np.sqrt(1 - share**2)) * own


def _move(
    cells: Cells,
    flow: _Flow,
    frame: int,
    parameters: SimulationParameters,
    rng: np.random.Generator,
) -> None:
    motion, spacing = parameters.motion, typical_spacing_px(parameters)
    size = cells.position.shape
    fresh = rng.normal(size=size) * motion.persistent * spacing
    keep = motion.persistence
    cells.memory = keep * cells.memory + np.sqrt(1 - keep**2) * fresh
    random = rng.normal(size=size) * motion.diffusion * spacing
    cells.position = cells.position + flow.at(cells.position, frame) + cells.memory + random
    cells.axis = _unit(cells.axis + rng.normal(size=size) * motion.rotation)


def _push_apart(cells: Cells, parameters: SimulationParameters) -> None:
    """Move and turn the cells, seen as chains of balls, so that overlaps shrink."""
    n_balls = 4 if parameters.shape.is_rod else 2 if parameters.shape.is_packed else 1
    length, width = lengths(cells, parameters)
    along = np.linspace(-0.5, 0.5, n_balls) if n_balls > 1 else np.zeros(1)
    arm = (length - width)[:, None] * along  # (M, K) pixels along the axis
    ball = (cells.position[:, None] + arm[..., None] * cells.axis[:, None]).reshape(
        -1, parameters.ndim
    )
    owner = np.repeat(np.arange(len(cells)), n_balls)
    radius = np.repeat(width / 2, n_balls)
    pairs = cKDTree(ball).query_pairs(2 * float(radius.max()), output_type="ndarray")
    a, b = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]].T
    between = ball[a] - ball[b]
    distance = np.maximum(np.linalg.norm(between, axis=1), 1e-6)
    overlap = np.maximum(radius[a] + radius[b] - distance, 0)
    push = (0.5 * parameters.motion.repulsion * overlap / distance)[:, None] * between
    force = np.empty_like(ball)
    for axis in range(parameters.ndim):
        both = np.concatenate([push[:, axis], -push[:, axis]])
        force[:, axis] = np.bincount(np.concatenate([a, b]), both, len(ball))
    by_cell = force.reshape(len(cells), n_balls, parameters.ndim)
    cells.position = cells.position + by_cell.sum(1) / min(n_balls, 2)
    if n_balls > 1:
        leverage = (arm**2).sum(1) + 0.1 * width**2
        turn = (arm[..., None] * by_cell).sum(1) / leverage[:, None]
        cells.axis = _unit(cells.axis + turn)
