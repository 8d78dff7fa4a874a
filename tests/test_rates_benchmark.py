"""The limits of rates are compared on scores that are computed once for each movie."""

import math

import pytest

from benchmarks.motion_constants import changes, n_errors
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.rates import DIVISION, OFF, OTHERS, kinds_table, rows_of
from benchmarks.scored_movies import scored
from benchmarks.spoiled_masks import ErrorShares
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import as_points, as_true_movie
from trackastra_engine.linking.costs import DIVISION_SCORE
from trackastra_engine.linking.rates import LIMITS
from trackastra_engine.simulation import Division, SimulationParameters, render


@pytest.fixture(scope="module")
def movie():
    division = Division(cycle_frames=10.0)
    parameters = SimulationParameters(n_frames=10, n_cells=80, spacing=1.2, division=division)
    shares = ErrorShares(missing=0.02, merged=0.1, split=0.02)
    return spoiled_points(as_points(as_true_movie(render(parameters, seed=2), 1.0)), 0, shares)


def test_rows_with_the_limits_in_use_have_the_errors_of_the_engine(movie):
    model = load_model("general_2d")
    rows = list(rows_of(scored(model, movie)))
    used = {OFF: 1.0, DIVISION: DIVISION_SCORE, **{name: getattr(LIMITS, name) for name in OTHERS}}
    errors = n_errors(movie.score(greedy_links(model, movie)))
    as_used = [row for row in rows if row["value"] == used[row["constant"]]]
    assert len(as_used) == len(used)
    assert {row["errors"] for row in as_used} == {errors}
    values = [(row["constant"], row["value"]) for row in rows]
    assert len(set(values)) == len(values)
    assert {name for name, _ in values} == set(used)


def test_table_sums_errors_over_movies():
    rows = [
        {"constant": OFF, "value": value, "version": version, "errors": errors, "division_f1": f1}
        for value, version, errors, f1 in (
            *((1.0, "a", 600, 0.9), (1.0, "a", 500, 0.8), (1.0, "b", 1, 1.0), (1.0, "b", 1, None)),
            *((0.0, "a", 700, 0.8), (0.0, "a", 600, 0.6), (0.0, "b", 2, 1.0)),
        )
    ]
    other = {"constant": "prior_cells", "value": 1.0, "version": "a", "errors": 9}
    head, a, b = kinds_table({"rows": [*rows, other]})
    assert head == ["errors, division F1", "corrected", "`--rates off`"]
    assert a == ["a", "1,100, 0.850", "1,300, 0.700"]
    assert b == ["b", "2, 1.000", "2, 1.000"]


def test_errors_of_each_movie_of_a_set_are_compared_with_its_own():
    rows = [
        {
            "set": "a",
            "version": "b",
            "movie": movie,
            "constant": "c",
            "value": value,
            "errors": errors,
        }
        for movie, value, errors in ((0, 1, 10), (0, 2, 10), (1, 1, 90), (1, 2, 190))
    ]
    assert changes(rows, "c", 1) == {"a": {1: 0, 2: pytest.approx(math.log(2) / 2)}}
