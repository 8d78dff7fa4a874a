"""The population of a simulated movie: positions, appearance, divisions and deaths."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
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
from trackastra_engine.simulation.channels import in_channels, stacked
from trackastra_engine.simulation.colony import line_up, push_outwards, volume
from trackastra_engine.simulation.fate import divide, leave, random_cycles, unit
from trackastra_engine.simulation.parameters import Pace, SimulationParameters

RELAXATION_ROUNDS = 4  # per frame; remaining overlaps also occur in real crowds
ROD_ROUNDS = 10  # rods must also turn away from each other
FIRST_ROUNDS = 30  # before the first frame, whose positions are drawn independently
N_FLOW_WAVES = 4
GENERATIONS, GROWTH_CYCLE = 3, 4  # of a colony before the first frame, and frames of each
COHESION_SPACINGS = 1.5  # between cells that pull each other along
PADDING_SPACINGS = 1.5  # cells are simulated this far beyond the field of view


def simulate_outlines(
    parameters: SimulationParameters, rng: np.random.Generator
) -> Iterator[Outlines]:
    """Yield the outlines of the cells, frame by frame."""
    spacing = typical_spacing_px(parameters)
    motion = parameters.motion
    flow = _Flow.random(parameters, rng)
    offset = np.zeros(parameters.ndim)
    cells = _first_cells(parameters, rng)
    if parameters.is_pushed:
        cells = _grown(cells, flow, parameters, rng)
    next_identity = int(cells.identity.max(initial=-1)) + 1
    for frame in range(parameters.n_frames):
        yield _outlines(cells, offset, frame, parameters, rng)
        offset = offset + np.asarray(motion.drift) * spacing
        if rng.random() < motion.jump_probability:
            offset = offset + rng.normal(size=parameters.ndim) * motion.jump * spacing
        cells, next_identity = _step(cells, next_identity, flow, frame, parameters, rng)


def _step(
    cells: Cells,
    next_identity: int,
    flow: "_Flow",
    frame: int,
    parameters: SimulationParameters,
    rng: np.random.Generator,
) -> tuple[Cells, int]:
    """Return the cells a frame later, and the identity for the next newborn cell."""
    cells = leave(cells, parameters, rng)
    before = volume(cells, parameters)
    cells, next_identity = divide(cells, next_identity, parameters, rng)
    if parameters.is_pushed and len(cells):
        push_outwards(cells, volume(cells, parameters) / before, parameters)
        line_up(cells)
    _move(cells, flow, frame, parameters, rng)
    if parameters.channel_cells:
        return stacked(cells, parameters), next_identity
    for _ in range(ROD_ROUNDS if parameters.shape.is_rod else RELAXATION_ROUNDS):
        _push_apart(cells, parameters)
    return cells, next_identity


def _grown(
    cells: Cells, flow: "_Flow", parameters: SimulationParameters, rng: np.random.Generator
) -> Cells:
    """Return a colony of about as many cells, grown from some of them."""
    division = replace(parameters.division, cycle_frames=GROWTH_CYCLE, death_probability=0.0)
    quick = replace(parameters, division=division)
    count = len(cells)
    cells = cells.rows(np.arange(max(1, round(count / 2**GENERATIONS))))
    cells.position = field_of_view(parameters) / 2 + 0.3 * (
        cells.position - field_of_view(parameters) / 2
    )
    cells.cycle, next_identity = random_cycles(len(cells), quick, rng), len(cells)
    for frame in range(GENERATIONS * GROWTH_CYCLE):
        cells, next_identity = _step(cells, next_identity, flow, frame, quick, rng)
    n_cells = len(cells)
    return replace(
        cells,
        identity=np.arange(n_cells),
        mother=np.full(n_cells, -1),
        cycle=random_cycles(n_cells, parameters, rng),
        age=np.full(n_cells, np.inf),
    )


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
        wave = unit(rng.normal(size=size)) * 2 * np.pi / (motion.flow_wavelength * spacing)
        start = rng.uniform(0, 2 * np.pi, N_FLOW_WAVES)
        return cls(direction, wave, start, rng.normal(size=N_FLOW_WAVES) * 0.2)

    def at(self, position: FloatArray, frame: int) -> FloatArray:
        """Return the step (M, D) at positions (M, D)."""
        angle = position @ self.wave.T + self.start + self.speed * frame
        step: FloatArray = np.sin(angle) @ self.direction
        return step


def _first_positions(parameters: SimulationParameters, rng: np.random.Generator) -> FloatArray:
    """Return independent positions (M, D) of the first cells."""
    if parameters.channel_cells:
        return in_channels(parameters, rng)
    spacing, ndim, shape = typical_spacing_px(parameters), parameters.ndim, parameters.shape
    view = field_of_view(parameters)
    drift = np.asarray(parameters.motion.drift) * spacing * parameters.n_frames
    # The view moves over the tissue by -drift, so the tissue must extend that far.
    padding = PADDING_SPACINGS * spacing
    if parameters.motion.jump_probability:
        padding += 2 * parameters.motion.jump * spacing
    low = np.minimum(0, -drift) - padding
    high = np.maximum(0, -drift) + view + padding
    if parameters.is_colony:
        count = max(1, int(parameters.n_cells * rng.uniform(0.2, 1.0)))
        radius = shape.diameter_px * (count * shape.aspect) ** (1 / ndim)
        return np.asarray(rng.normal(size=(count, ndim)) * 0.5 * radius + view / 2)
    count = max(1, round(parameters.n_cells * float(np.prod(high - low) / np.prod(view))))
    position = rng.uniform(low, high, (count, ndim))
    n_clumps = max(1, count // parameters.clump_cells)
    clump = rng.uniform(low, high, (n_clumps, ndim))[rng.integers(n_clumps, size=count)]
    clump = clump + rng.normal(size=(count, ndim)) * parameters.clump_radius * spacing
    return np.asarray(np.where(rng.random((count, 1)) < parameters.clustering, clump, position))


def _first_cells(parameters: SimulationParameters, rng: np.random.Generator) -> Cells:
    spacing, shape = typical_spacing_px(parameters), parameters.shape
    position = _first_positions(parameters, rng)
    count, ndim = len(position), parameters.ndim
    # Newborns are twice as frequent as cells about to divide in a growing population.
    phase = -np.log2(1 - rng.random(count) / 2)
    cells = Cells(
        identity=np.arange(count),
        mother=np.full(count, -1),
        position=position,
        axis=unit(rng.normal(size=(count, ndim))),
        memory=rng.normal(size=(count, ndim)) * parameters.motion.persistent * spacing,
        mood=rng.normal(size=count) if parameters.pace.unevenness else np.zeros(count),
        phase=phase,
        cycle=random_cycles(count, parameters, rng),
        age=np.full(count, np.inf),
        log_size=rng.normal(size=count) * shape.spread,
        log_aspect=rng.normal(size=count) * shape.aspect_spread,
        log_intensity=rng.normal(size=count) * parameters.brightness.spread,
        leaving=np.full(count, -1.0),
        deficit=np.zeros(count),
    )
    if parameters.channel_cells:
        return stacked(cells, parameters)
    for _ in range(FIRST_ROUNDS):
        _push_apart(cells, parameters)
    return cells


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
    axis = cells.axis
    if parameters.shape.is_marker:
        axis = np.tile(np.eye(parameters.ndim)[0], (len(cells), 1))  # along z in 3D
    jitter = rng.normal(size=cells.position.shape) * parameters.motion.jitter * spacing
    return Outlines(
        cells.identity,
        cells.mother,
        cells.position + offset + jitter,
        axis,
        np.maximum(length * flicker[0], 2.0),
        np.maximum(width * flicker[1], 2.0),
        np.exp(log_intensity),
    )


def _move(
    cells: Cells,
    flow: _Flow,
    frame: int,
    parameters: SimulationParameters,
    rng: np.random.Generator,
) -> None:
    motion, pace, spacing = parameters.motion, parameters.pace, typical_spacing_px(parameters)
    size = cells.position.shape
    fresh = rng.normal(size=size) * motion.persistent * spacing
    keep = motion.persistence
    cells.memory = keep * cells.memory + np.sqrt(1 - keep**2) * fresh
    own = cells.memory + rng.normal(size=size) * motion.diffusion * spacing
    if pace.unevenness:
        own *= _paces(cells, pace, rng)
    if pace.cohesion:
        own = _shared_steps(own, cells.position, COHESION_SPACINGS * spacing, pace.cohesion)
    cells.position = cells.position + flow.at(cells.position, frame) + own
    if motion.slide:
        cells.position += rng.normal(size=(size[0], 1)) * motion.slide * spacing * cells.axis
    cells.axis = unit(cells.axis + rng.normal(size=size) * motion.rotation)


def _paces(cells: Cells, pace: Pace, rng: np.random.Generator) -> FloatArray:
    """Return the factor (M, 1) on the own steps of each cell; the mean of its square is 1."""
    kept = 1 - pace.restlessness
    cells.mood = kept * cells.mood + np.sqrt(1 - kept**2) * rng.normal(size=len(cells))
    factor: FloatArray = np.exp(pace.unevenness * cells.mood - pace.unevenness**2)
    return factor[:, None]


def _shared_steps(
    step: NDArray[np.float64], position: FloatArray, reach: float, share: float
) -> NDArray[np.float64]:
    """Return steps (M, D) of which a share is that of all cells within reach, of usual length."""
    a, b = cKDTree(position).query_pairs(reach, output_type="ndarray").T
    together = step.copy()
    np.add.at(together, a, step[b])
    np.add.at(together, b, step[a])
    n_cells = 1 + np.bincount(np.concatenate([a, b]), minlength=len(step))
    shared: NDArray[np.float64] = together / np.sqrt(n_cells)[:, None]
    return (1 - share) * step + share * shared


def _push_apart(cells: Cells, parameters: SimulationParameters) -> None:
    """Move and turn the cells, modelled as chains of balls, so that overlaps shrink."""
    n_balls = 4 if parameters.shape.is_rod else 2 if parameters.shape.is_packed else 1
    length, width = lengths(cells, parameters)
    along = np.linspace(-0.5, 0.5, n_balls) if n_balls > 1 else np.zeros(1)
    arm = (length - width)[:, None] * along  # (M, K) pixels along the axis
    ball = (cells.position[:, None] + arm[..., None] * cells.axis[:, None]).reshape(
        -1, parameters.ndim
    )
    owner = np.repeat(np.arange(len(cells)), n_balls)
    radius = np.repeat(width / 2, n_balls)
    pairs = cKDTree(ball).query_pairs(2 * float(radius.max(initial=0)), output_type="ndarray")
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
        cells.axis = unit(cells.axis + turn)
