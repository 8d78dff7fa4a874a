"""The simulated movies of the benchmarks, drawn as images and masks."""

from dataclasses import dataclass, replace

import numpy as np

from benchmarks.movie_variants import jumping
from benchmarks.true_movies import TrueMovie, as_true_movie
from trackastra_engine.simulation import Division, Motion, Shape, SimulationParameters
from trackastra_engine.simulation.population import simulate_outlines
from trackastra_engine.simulation.rendering import draw

# Training draws the seeds of its movies below 2^32 (training/trackastra_training/batches.py), and
# numpy reads these as (k, 0, 1), which no pair of training seed and pool number equals.
FIRST_SEED = 2**64


@dataclass(frozen=True, slots=True)
class Film:
    """A simulation, and how often it is filmed."""

    parameters: SimulationParameters
    every: int = 1  # steps of the simulation from one frame to the next
    first: int = 0  # the step that is filmed first
    jumps: bool = False  # whether the stage jumps once, see movie_variants.py


FILMS: dict[str, Film] = {
    # Nuclei in a dish that stream, wander and divide about once in 50 frames.
    "nuclei": Film(
        SimulationParameters(
            n_frames=40,
            n_cells=150,
            spacing=1.6,
            motion=Motion(flow=0.15, diffusion=0.12, persistent=0.12, persistence=0.8),
            shape=Shape(diameter_px=20.0, aspect=1.3, growth=0.6),
            division=Division(cycle_frames=50.0),
        )
    ),
    # Rod bacteria, from a handful to a few hundred, that double every 5.5 frames.
    "colony": Film(
        SimulationParameters(
            n_frames=186,
            n_cells=9,
            spacing=1.2,
            is_colony=True,
            margin_px=160,
            motion=Motion(
                flow=0.004,
                diffusion=0.012,
                persistent=0.006,
                persistence=0.95,
                rotation=0.015,
            ),
            shape=Shape(
                diameter_px=10,
                aspect=3.0,
                growth=1.0,
                is_rod=True,
                spread=0.05,
                aspect_spread=0.05,
            ),
            division=Division(cycle_frames=33, cycle_spread=0.15, asymmetry=0.05, brightness=0.0),
        ),
        every=6,  # so that cells have time to push each other away
    ),
    # Skin, filmed so rarely that 8 % of the cells divide and 8 % vanish from frame to frame.
    "epithelium": Film(
        SimulationParameters(
            n_frames=16,
            n_cells=250,
            spacing=0.85,
            margin_px=15,
            motion=Motion(
                flow=0.1,
                flow_wavelength=20.0,
                diffusion=0.16,
                persistent=0.08,
                persistence=0.5,
                jitter=0.03,
                rotation=0.2,
            ),
            shape=Shape(
                diameter_px=25,
                spread=0.08,
                flicker=0.12,
                aspect=1.05,
                aspect_spread=0.05,
                growth=0.8,
                is_packed=True,
                gap=0.08,
            ),
            division=Division(
                cycle_frames=8,
                cycle_spread=0.3,
                distance=0.65,
                alignment=0.9,
                death_probability=0.07,
                rounding=0.3,
            ),
        )
    ),
    # Spots that diffuse and run, and look alike.
    "particles": Film(
        SimulationParameters(
            n_frames=40,
            n_cells=200,
            spacing=3.0,
            motion=Motion(flow=0.1, diffusion=0.12, persistent=0.2, persistence=0.9),
            shape=Shape(diameter_px=8, growth=0.0),
            division=Division(cycle_frames=float("inf"), death_probability=0.005),
        )
    ),
    "nuclei_3d": Film(
        SimulationParameters(
            n_frames=16,
            n_cells=100,
            ndim=3,
            spacing=1.5,
            z_step=3.0,
            motion=Motion(
                drift=(0.0, 0.0, 0.0), flow=0.15, diffusion=0.1, persistent=0.1, persistence=0.8
            ),
            shape=Shape(diameter_px=16.0, aspect=1.3),
            division=Division(cycle_frames=25.0),
        )
    ),
}
# The same bacteria, from 300 to 1,000: cells at the edge move farther than their neighbours are
# away, and the stage jumps once.
FILMS["grown colony"] = Film(
    replace(FILMS["colony"].parameters, n_frames=240, margin_px=320),
    every=6,
    first=168,
    jumps=True,
)


def rendered_movie(name: str) -> TrueMovie:
    """Return the movie of that name."""
    film, seed = FILMS[name], FIRST_SEED + list(FILMS).index(name)
    rng = np.random.default_rng(seed)
    steps = list(simulate_outlines(film.parameters, rng))
    drawn = draw(steps[film.first :: film.every], film.parameters, rng)
    movie = as_true_movie(drawn, film.parameters.z_step)
    return jumping(movie) if film.jumps else movie
