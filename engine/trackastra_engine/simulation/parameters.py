"""The parameters of a simulated movie, and random ones.

The ranges cover real sets (tests/test_realism.py contains their numbers): migrating nuclei (spacing
1.7 diameters, steps of 0.1 to 0.3 spacings, mostly a shared flow; 0.4 % of the cells divide per
frame), wandering cells (a hundredth of the steps is ten times as long as the median, as cells rest
and run; neighbours pull each other along), skin (spacing 0.8 diameters, steps up to 0.9 spacings,
areas that change by 30 % from frame to frame; 8 % divide and 8 % vanish per frame; cells that leave
shrink by 4 % a frame), colonies of rods (5 to 9 times as long as wide; a fifth of them divides per
frame) and embryos (daughters half a spacing from their mother, with 0.8 of her diameter). Budding
yeast (in a real colony, buds begin with 0.11 to 0.42 of their mother's diameter) and mother
machines (rods in rows between a closed and an open end) have no such test.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

Regime = Literal["nuclei", "rods", "packed", "particles", "budding", "channels"]
REGIME_PROBABILITIES: dict[Regime, float] = {
    "nuclei": 0.31,
    "rods": 0.16,
    "packed": 0.31,
    "particles": 0.05,
    "budding": 0.10,
    "channels": 0.07,  # in 2D only
}


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion of cells; lengths in typical spacings, steps per frame."""

    drift: tuple[float, ...] = (0.0, 0.0)  # (D,) step of all cells together
    jump_probability: float = 0.0  # probability per frame that the stage jumps
    jump: float = 0.0  # standard deviation of such a jump along each axis
    flow: float = 0.05  # typical step of a smooth flow field
    flow_wavelength: float = 10.0
    diffusion: float = 0.05  # standard deviation of a step along each axis, without memory
    persistent: float = 0.05  # the same, of steps with memory
    persistence: float = 0.7  # share of such a step that remains in the next frame
    jitter: float = 0.0  # standard deviation of the observed position around the true one
    slide: float = 0.0  # standard deviation of a step along the long axis
    rotation: float = 0.1  # standard deviation of the turn of the long axis, in radians
    repulsion: float = 0.5  # share of an overlap that is removed per round
    is_pushed: bool = False  # colonies only: growth moves all cells outwards at once


@dataclass(frozen=True, slots=True)
class Pace:
    """How cells differ in their own steps, which are those of `diffusion` and `persistent`."""

    unevenness: float = 0.0  # standard deviation of the logarithm of a cell's factor on its steps
    restlessness: float = 0.1  # share of this logarithm that is new in each frame
    cohesion: float = 0.0  # share of a step that a cell has in common with its neighbours


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and shapes; `diameter_px` is that of the disc or ball of a cell in mid-cycle."""

    diameter_px: float = 20.0
    spread: float = 0.1  # standard deviation of the logarithm of a cell's diameter
    flicker: float = 0.03  # the same, drawn in each frame
    aspect: float = 1.2  # length / width
    aspect_spread: float = 0.1  # standard deviation of the logarithm of a cell's aspect
    growth: float = 0.5  # growth in volume over a cycle, as a share of a newborn's volume
    is_rod: bool = False  # growth changes only the length, and ends are round
    is_packed: bool = False  # cells fill the plane; positions determine their shapes
    gap: float = 0.1  # packed only: width of the gaps between cells, in spacings
    is_marker: bool = False  # equal balls of voxels, which are needles where planes are far apart


@dataclass(frozen=True, slots=True)
class Division:
    """Times of division and death, and the cells' appearance around them."""

    cycle_frames: float = 40.0  # mean time between divisions; inf for never
    cycle_spread: float = 0.2  # standard deviation of its logarithm
    distance: float = 0.9  # between sisters just after division, in diameters of the mother
    distance_spread: float = 0.2  # standard deviation of the logarithm of the distance
    alignment: float = 0.8  # 0: any direction; 1: along the long axis of the mother
    asymmetry: float = 0.1  # standard deviation of the logarithm of the volume of a sister
    brightness: float = 0.5  # gain in the logarithm of the intensity around division; < 0: loss
    rounding: float = 0.5  # share of the elongation lost around division
    shrinkage: float = 0.1  # loss in the logarithm of the diameter around division
    is_cleavage: bool = False  # daughters share the volume of their mother, as in embryos
    bud: float = 0.0  # diameter of a new bud, in those of its mother, who keeps hers; 0: no buds
    death_probability: float = 0.0  # per cell and frame
    leave_frames: int = 0  # duration of a death, during which the neighbours move in
    leave_shrinkage: float = 0.04  # loss in the logarithm of the diameter per frame of it


@dataclass(frozen=True, slots=True)
class Brightness:
    """Mean intensities of cells, in arbitrary units around 1."""

    is_present: bool = True
    spread: float = 0.3  # standard deviation of the logarithm, between cells
    noise: float = 0.05  # the same, between frames of a cell
    inheritance: float = 0.8  # share of the mother's deviation that a daughter inherits
    bleaching: float = 0.0  # loss of the logarithm per frame


@dataclass(frozen=True, slots=True)
class Errors:
    """Segmentation errors: probabilities per cell and frame."""

    missed: float = 0.0
    merged: float = 0.0  # per touching pair: one object, which represents the larger cell
    split: float = 0.0  # two objects, of which the smaller represents no cell


@dataclass(frozen=True, slots=True)
class SimulationParameters:
    """A movie to simulate; see `random_parameters` for plausible values."""

    n_frames: int = 8
    n_cells: int = 60  # about this many are visible in the first frame
    ndim: int = 2
    spacing: float = 1.7  # typical distance to the nearest neighbour, in diameters
    clustering: float = 0.0  # 0: anywhere; 1: in a few clumps
    clump_cells: int = 12  # number of cells for each clump
    clump_radius: float = 1.5  # standard deviation along each axis, in spacings
    is_colony: bool = False  # cells start as one small clump in an empty field
    channel_cells: int = 0  # 2D rods only: cells that fit in a channel; 0: no channels
    channel_distance: float = 3.0  # between the middles of channels, in diameters
    margin_px: float = 0.0  # empty border of the image, where no cell is segmented
    z_step: float = 1.0  # 3D: distance of planes, in pixels of y and x
    motion: Motion = field(default_factory=Motion)
    shape: Shape = field(default_factory=Shape)
    division: Division = field(default_factory=Division)
    brightness: Brightness = field(default_factory=Brightness)
    errors: Errors = field(default_factory=Errors)
    pace: Pace = field(default_factory=Pace)

    @property
    def is_pushed(self) -> bool:
        """Return whether growth pushes the cells of a colony outwards."""
        return self.is_colony and self.motion.is_pushed


def random_parameters(
    rng: np.random.Generator,
    *,
    ndim: int = 2,
    regime: Regime | None = None,
    max_cells: int = 150,
) -> SimulationParameters:
    """Return the parameters of a random movie, of a random regime unless one is given.

    max_cells: 500 work as well; training uses 150, as it sees about 64 of a frame at once.
    """
    if regime is None:
        regime = _random_regime(rng, ndim)
    is_packed, is_rod = regime == "packed", regime == "rods"
    low = 40 if is_packed else 6
    spacing = {"packed": 0.85, "rods": 1.2, "channels": 1.2}.get(
        regime, _log_uniform(rng, 1.05, 1.6 if regime == "budding" else 4.0)
    )
    return SimulationParameters(
        n_cells=int(_log_uniform(rng, min(low, max_cells), max_cells)),
        ndim=ndim,
        spacing=spacing,
        clustering=rng.uniform(0, 1) if regime == "nuclei" and rng.random() < 0.6 else 0.0,
        is_colony=is_rod or (regime == "budding" and rng.random() < 0.7),
        channel_cells=int(rng.integers(3, 9)) if regime == "channels" else 0,
        channel_distance=_log_uniform(rng, 1.8, 6.0),
        margin_px=_random_margin(rng, regime),
        z_step=_log_uniform(rng, 1, 6) if ndim == 3 else 1.0,
        motion=_random_motion(rng, regime, ndim),
        shape=_random_shape(rng, regime),
        division=_random_division(rng, regime),
        brightness=_random_brightness(rng),
        errors=_random_errors(rng),
        clump_cells=int(rng.integers(4, 20)),
        clump_radius=_log_uniform(rng, 0.4, 1.5),
        pace=_random_pace(rng) if regime in ("nuclei", "particles") else Pace(),
    )


def _random_regime(rng: np.random.Generator, ndim: int) -> Regime:
    of = {name: p for name, p in REGIME_PROBABILITIES.items() if ndim == 2 or name != "channels"}
    names, share = list(of), np.array(list(of.values()))
    return names[rng.choice(len(names), p=share / share.sum())]


def _random_margin(rng: np.random.Generator, regime: Regime) -> float:
    largest = {"packed": 20, "channels": 60}.get(regime, 0)
    return rng.uniform(5, largest) if largest and rng.random() < 0.5 else 0.0


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _random_motion(rng: np.random.Generator, regime: Regime, ndim: int) -> Motion:
    if regime == "channels":
        return Motion(
            jump_probability=rng.choice([0.0, 0.2]),
            jump=_log_uniform(rng, 0.02, 0.5),
            flow=0.0,
            diffusion=0.0,
            persistent=0.0,
            jitter=_log_uniform(rng, 0.005, 0.05),
            rotation=0.0,
        )
    is_packed, is_rod = regime == "packed", regime == "rods"
    fastest = {"packed": 0.16, "particles": 0.45, "budding": 0.06}.get(regime, 0.3)
    drift = rng.normal(size=ndim)
    speed = (0.02, 0.6) if rng.random() < 0.8 else (0.6, 3.0)
    drift *= _log_uniform(rng, *speed) / np.linalg.norm(drift)
    if rng.random() < 0.4:
        drift[:] = 0
    return Motion(
        drift=tuple(drift),
        jump_probability=rng.choice([0.0, 0.1], p=[0.7, 0.3]),
        jump=_log_uniform(rng, 0.1, 2.0),
        flow=_log_uniform(rng, 0.01, {"packed": 0.25, "budding": 0.06}.get(regime, 0.5)),
        flow_wavelength=_log_uniform(rng, 5, 30),
        # Most movies of packed cells are skin with long frame intervals.
        diffusion=rng.uniform(0.01, 0.25) if is_packed else _log_uniform(rng, 0.01, fastest),
        persistent=_log_uniform(rng, 0.01, fastest),
        persistence=rng.uniform(0.3, 0.95),
        jitter=_log_uniform(rng, 0.005, 0.05),
        slide=_log_uniform(rng, 0.05, 0.6) if is_rod else 0.0,
        rotation=_log_uniform(rng, 0.02, 0.4),
        repulsion=rng.uniform(0.2, 0.6),
        is_pushed=regime in ("rods", "budding"),
    )


def _random_shape(rng: np.random.Generator, regime: Regime) -> Shape:
    is_packed, is_rod = regime == "packed", regime in ("rods", "channels")
    is_budding = regime == "budding"
    if regime in ("nuclei", "particles") and rng.random() < 0.2:
        return Shape(_log_uniform(rng, 5, 30), 0.0, 0.0, 1.0, 0.0, growth=0.0, is_marker=True)
    return Shape(
        diameter_px=_log_uniform(rng, 7, 20) if is_rod else _log_uniform(rng, 8, 50),
        spread=rng.uniform(0.02, 0.12 if is_packed or is_budding else 0.25),
        flicker=rng.uniform(0.01, 0.16) if is_packed else _log_uniform(rng, 0.01, 0.08),
        aspect=_log_uniform(rng, *((2.0, 5.0) if regime == "channels" else (3.0, 10.0)))
        if is_rod
        else rng.uniform(1.0, 1.3 if is_packed or is_budding else 1.6),
        aspect_spread=rng.uniform(0.02, 0.1 if is_packed or is_budding else 0.25),
        growth=0.0 if is_budding else rng.uniform(0.6 if is_packed or is_rod else 0.0, 1.0),
        is_rod=is_rod,
        is_packed=is_packed,
        gap=rng.uniform(0.02, 0.2),
    )


def _random_division(rng: np.random.Generator, regime: Regime) -> Division:
    if regime == "particles":
        return Division(cycle_frames=np.inf, death_probability=_log_uniform(rng, 0.001, 0.08))
    if regime == "budding":
        return Division(
            *(_log_uniform(rng, 8, 40), rng.uniform(0.1, 0.3)),
            asymmetry=rng.uniform(0.02, 0.2),
            brightness=0.0,
            rounding=0.0,
            shrinkage=0.0,
            death_probability=_log_uniform(rng, 1e-4, 0.005),
            bud=_log_uniform(rng, 0.12, 0.6),
        )
    if regime in ("rods", "channels"):
        return Division(
            _log_uniform(rng, 3.5, 20), 0.15, asymmetry=rng.uniform(0.02, 0.15), brightness=0.0
        )
    is_packed = regime == "packed"
    cycle = _log_uniform(rng, 5, 30) if is_packed else _log_uniform(rng, 10, 150)
    return Division(
        cycle_frames=cycle,
        cycle_spread=rng.uniform(0.1, 0.4),
        distance=rng.uniform(0.45, 0.7) if is_packed else rng.uniform(0.55, 1.5),
        distance_spread=rng.uniform(0.1, 0.25),
        alignment=rng.uniform(0.7, 1.0) if is_packed else rng.uniform(0.0, 1.0),
        asymmetry=rng.uniform(0.05, 0.25),
        brightness=rng.uniform(-0.3, 1.0),
        rounding=rng.uniform(0.0, 1.0),
        shrinkage=rng.uniform(0.0, 0.3),
        is_cleavage=regime == "nuclei" and rng.random() < 0.3,
        leave_frames=int(rng.integers(0, 7)) if is_packed else 0,
        death_probability=rng.uniform(0.0, 1.2) / cycle
        if is_packed
        else _log_uniform(rng, 1e-4, 0.02),
    )


def _random_brightness(rng: np.random.Generator) -> Brightness:
    return Brightness(
        is_present=bool(rng.random() < 0.75),
        spread=rng.uniform(0.05, 0.6),
        noise=_log_uniform(rng, 0.01, 0.25),
        inheritance=rng.uniform(0.3, 1.0),
        bleaching=rng.choice([0.0, 0.03]),
    )


def _random_errors(rng: np.random.Generator) -> Errors:
    if rng.random() < 0.45:
        return Errors()
    return Errors(
        missed=_log_uniform(rng, 0.001, 0.06),
        merged=_log_uniform(rng, 0.001, 0.03),
        split=_log_uniform(rng, 0.001, 0.02),
    )


def _random_pace(rng: np.random.Generator) -> Pace:
    return Pace(
        unevenness=rng.uniform(0.3, 1.5) if rng.random() < 0.6 else 0.0,
        restlessness=_log_uniform(rng, 0.02, 0.5),
        cohesion=rng.uniform(0.2, 0.9) if rng.random() < 0.4 else 0.0,
    )
