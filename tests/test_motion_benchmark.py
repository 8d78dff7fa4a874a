"""The benchmarks of alignment: what it costs, and how its constants are chosen."""

import numpy as np
import pytest

from benchmarks import motion_constants
from benchmarks.motion import compared, motions
from benchmarks.motion_constants import (
    ADDED_ERRORS,
    CONSTANTS,
    RememberingModel,
    best_value,
    constants_table,
    measured,
    rows_of,
)
from benchmarks.movie_variants import WHOLE
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import parts_for_choosing
from benchmarks.true_movies import as_true_movie
from trackastra_engine.association import aligned_windows
from trackastra_engine.simulation import Motion, SimulationParameters, render

PARAMETERS = SimulationParameters(n_frames=6, n_cells=30, motion=Motion(drift=(0.1, 0.1)))


@pytest.fixture(scope="module")
def movie():
    return as_true_movie(render(PARAMETERS, seed=1), 1.0)


@pytest.fixture(scope="module")
def model():
    return load_model("general_2d")


def test_a_movie_is_compared_without_and_with_alignment(movie, model, monkeypatch):
    monkeypatch.setattr(aligned_windows, "TURNED_CELLS", 0)  # as of windows that are not small
    row = compared(model, motions(2)["shifted"](movie), 1)
    assert row["aligned_frames"] >= 4
    assert row["off"]["edge_f1"] < 0.8 < 0.95 < row["auto"]["edge_f1"]
    assert row["off"]["scored"] == 2
    assert 1 <= row["passes"] <= 2
    whole = compared(model, motions(2)[WHOLE](movie), 3)
    assert 1 <= whole["passes"] <= 1.5


def test_constants_are_changed_one_by_one_and_set_back(movie, model, monkeypatch):
    used = [constant.used for constant in CONSTANTS]
    shifted = motions(2)["shifted"](movie)
    monkeypatch.setattr(motion_constants, "CONSTANTS", CONSTANTS[3:4])
    remembering = RememberingModel(model)
    rows = list(rows_of(remembering, shifted))
    assert [row["value"] for row in rows] == sorted(
        {used[3], *CONSTANTS[3].others}, key=lambda value: (value != used[3], value)
    )
    assert rows[0]["errors"] == measured(model, shifted)["errors"]
    monkeypatch.undo()
    assert [constant.used for constant in CONSTANTS] == used


def rows(errors):
    """Return rows of one constant, used at 1, of errors by set and value."""
    return [
        {"set": of, "version": "whole", "constant": "C", "value": value, "errors": count}
        for of, counts in errors.items()
        for value, count in counts.items()
    ]


def test_a_value_is_chosen_without_the_set_that_it_is_measured_on():
    """Set b gains much by 2, the others lose a little: without b, 1 is chosen."""
    errors = {
        "a": {1.0: 90, 2.0: 95},
        "b": {1.0: 90, 2.0: 40},
        "c": {1.0: 90, 2.0: 95},
    }
    head, row = constants_table({"used": {"C": 1.0}, "rows": rows(errors)})
    assert head[3:] == ["without a", "without b", "without c"]
    mean = np.expm1(np.log([105 / 100, 50 / 100, 105 / 100]).mean())
    assert ADDED_ERRORS == 10
    assert row == ["`C`", "1", f"2: {100 * mean:+.1f} %", "2: +5.0 %", "1", "2: +5.0 %"]


def test_the_value_used_stays_where_no_other_is_better():
    assert best_value({"a": {1.0: 0.0, 2.0: 0.0}}, 1.0) == 1.0
    assert best_value({"a": {1.0: 0.0, 2.0: -0.1}, "b": {1.0: 0.0, 2.0: 0.05}}, 1.0) == 2.0


def test_constants_are_chosen_on_no_part_for_tests_but_ecoli(tmp_path):
    for name in ("celegans", "phallusia"):
        (tmp_path / name).mkdir()
    parts = {part.name: (part.first, part.last) for part in parts_for_choosing(tmp_path)}
    assert [name.split()[0] for name in parts] == [
        *("celegans", "ecoli", "epidermis", "phallusia", "sparse1")
    ]
    assert parts["epidermis"] == (0, 9)
    assert parts["sparse1"] == (50, 59)
