"""Simulated movies are like real ones: their statistics lie around those of openly licensed sets.

The numbers of the real sets were measured once by `movie_statistics.statistics`: E. coli on an agar
pad (BSD-3, Institut Pasteur), frames 0-9 of mouse skin (Apache-2.0, cell_interaction_gnn), frames
0-49 of migrating nuclei (CC-BY 4.0, zenodo 6087728), the field HGF_1 of MCF10A cells (MIT,
meyer-lab/tHMM), a C. elegans embryo (MIT, johnmurraylab/LIVE_tools) and an ascidian embryo (CC-BY
4.0, Guignard et al. 2020). No model is tested on these parts, except E. coli, of which only these
numbers are used.
"""

from dataclasses import fields, replace

import numpy as np
import pytest

from movie_statistics import Statistics, statistics
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.simulation import (
    Errors,
    Motion,
    Pace,
    SimulationParameters,
    random_parameters,
    simulate,
    voxel_size,
)

UNKNOWN = float("nan")
REAL = {
    ("rods", 2, "E. coli"): Statistics(
        move=(0.50, 1.71, 3.65),
        against_neighbours=(0.36, 1.61),
        tail=7.5,
        together=-0.25,
        pace_memory=0.23,
        division_edges=0.27,
        aspect=(4.9, 6.7, 9.7),
        whole_field=0.56,
        growth=0.16,
        daughter_distance=1.38,
        daughter_size=0.76,
        size_before_end=UNKNOWN,  # no cell dies
        size_going_on=1.10,
    ),
    ("packed", 2, "skin"): Statistics(
        move=(0.21, 0.57, 0.94),
        against_neighbours=(0.16, 0.54),
        tail=4.7,
        together=-0.24,
        pace_memory=-0.02,
        division_edges=0.16,
        aspect=(1.2, 1.5, 2.0),
        whole_field=0.17,
        growth=-0.03,
        daughter_distance=0.57,
        daughter_size=0.78,
        size_before_end=0.97,
        size_going_on=1.01,
    ),
    ("nuclei", 2, "migrating nuclei"): Statistics(
        move=(0.12, 0.21, 0.30),
        against_neighbours=(0.05, 0.11),
        tail=3.0,
        together=0.37,
        pace_memory=0.34,
        division_edges=0.004,
        aspect=(UNKNOWN,) * 3,  # the masks are discs
        whole_field=0.19,
        growth=0.01,
        daughter_distance=0.35,
        daughter_size=1.00,
        size_before_end=1.00,
        size_going_on=1.00,
    ),
    ("nuclei", 2, "wandering cells"): Statistics(
        move=(0.13, 0.52, 1.22),
        against_neighbours=(0.12, 0.49),
        tail=9.7,
        together=0.33,
        pace_memory=0.54,
        division_edges=0.04,
        aspect=(UNKNOWN,) * 3,  # only positions are known
        whole_field=0.16,
        growth=0.02,
        daughter_distance=0.50,
        daughter_size=UNKNOWN,
        size_before_end=UNKNOWN,
        size_going_on=UNKNOWN,
    ),
    ("nuclei", 3, "C. elegans"): Statistics(
        move=(0.20, 0.38, 0.66),
        against_neighbours=(0.16, 0.32),
        tail=3.5,
        together=0.11,
        pace_memory=0.13,
        division_edges=0.04,
        aspect=(UNKNOWN,) * 3,  # the nuclei are balls
        whole_field=0.21,
        growth=0.02,
        daughter_distance=0.50,
        daughter_size=0.81,
        size_before_end=1.00,
        size_going_on=1.00,
    ),
    ("nuclei", 3, "ascidian"): Statistics(
        move=(0.06, 0.14, 0.66),
        against_neighbours=(0.04, 0.10),
        tail=10.6,
        together=-0.26,
        pace_memory=0.41,
        division_edges=0.04,
        aspect=(UNKNOWN,) * 3,
        whole_field=0.09,
        growth=0.02,
        daughter_distance=0.56,
        daughter_size=0.79,
        size_before_end=UNKNOWN,
        size_going_on=1.00,
    ),
}
N_MOVIES = 24
# Of statistics that may be negative: how far a real set may be outside the simulated movies.
MARGINS = {"growth": 0.0, "together": 0.1, "pace_memory": 0.05}
# Ratio by which a real set may be outside the simulated movies. Embryos are calmer than any: half
# of the steps are shorter than a fifteenth of a spacing, which is easy for all trackers.
SLACK = {"ascidian": 3.0}
FARTHEST_MEDIAN = 3.5  # ratio of the typical simulated movie to skin or E. coli


def as_row(found):
    return np.concatenate([np.atleast_1d(getattr(found, field.name)) for field in fields(found)])


def names():
    lengths = {
        field.name: np.size(getattr(REAL["rods", 2, "E. coli"], field.name))
        for field in fields(Statistics)
    }
    return [name for name, length in lengths.items() for _ in range(length)]


@pytest.fixture(scope="module")
def simulated():
    """Return the statistics (M, S) of some simulated movies of each kind of the real sets."""
    tables = {}
    for regime, ndim in {key[:2] for key in REAL}:
        rows = []
        for seed in range(N_MOVIES):
            rng = np.random.default_rng(seed)
            parameters = random_parameters(rng, ndim=ndim, regime=regime)
            movie = simulate(replace(parameters, errors=Errors()), seed)
            if ndim == 3:
                cubes = in_true_proportion(movie.detections, voxel_size(parameters))
                movie = replace(movie, detections=cubes)
            if (np.bincount(movie.detections.frame, minlength=8) > 1).all():
                rows.append(as_row(statistics(movie, inside=5.0)))
        tables[regime, ndim] = np.array(rows)
        assert len(rows) > N_MOVIES / 2
    return tables


@pytest.mark.parametrize("key", REAL, ids=[key[2] for key in REAL])
def test_real_sets_lie_within_the_simulated_movies(simulated, key):
    table, slack = simulated[key[:2]], SLACK.get(key[2], 1.25)
    for name, real, column in zip(names(), as_row(REAL[key]), table.T, strict=True):
        if np.isnan(real):
            continue
        low, high = np.nanmin(column), np.nanmax(column)
        if name in MARGINS:
            margin = MARGINS[name]
            assert low - margin <= real <= high + margin, (name, real, low, high)
        else:
            assert low / slack <= real <= high * slack, (name, real, low, high)


@pytest.mark.parametrize("key", [key for key in REAL if key[0] in ("rods", "packed")])
def test_typical_colonies_and_tissues_are_about_as_lively_as_real_ones(simulated, key):
    """By moves, moves relative to neighbours, divisions and shapes, which models found hard."""
    table = simulated[key[:2]]
    for name, real, column in zip(names(), as_row(REAL[key]), table.T, strict=True):
        if name in ("move", "against_neighbours", "division_edges", "aspect", "daughter_distance"):
            ratio = np.nanmedian(column) / real
            assert 1 / FARTHEST_MEDIAN < ratio < FARTHEST_MEDIAN, (name, real, ratio)


def test_cells_rest_and_run_and_pull_each_other_along():
    motion = Motion(flow=0.0, diffusion=0.1, persistent=0.0)
    parameters = SimulationParameters(n_frames=12, n_cells=80, motion=motion)
    even, uneven, cohesive = (
        statistics(simulate(replace(parameters, pace=pace), 1))
        for pace in (Pace(), Pace(unevenness=1.0, restlessness=0.05), Pace(cohesion=0.9))
    )
    assert uneven.tail > 2 * even.tail
    assert abs(even.pace_memory) < 0.1 < 0.3 < uneven.pace_memory
    assert abs(even.together) < 0.1 < 0.3 < cohesive.together
    assert cohesive.move[0] == pytest.approx(even.move[0], rel=0.3)
