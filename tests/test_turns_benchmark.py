"""The benchmark of turned movies: errors with and without the second look at small windows."""

import pytest

from benchmarks import turns
from benchmarks.our_trackers import load_model
from benchmarks.true_movies import as_true_movie
from trackastra_engine.association import aligned_windows
from trackastra_engine.simulation import Division, SimulationParameters, render


def test_each_angle_is_tracked_without_and_with_the_second_look(monkeypatch):
    parameters = SimulationParameters(
        n_frames=6, n_cells=12, spacing=1.3, division=Division(cycle_frames=15.0)
    )
    movie = as_true_movie(render(parameters, 3), 1.0)
    limits = []
    tracked = turns.errors

    def errors(model, shown, degrees):
        limits.append((degrees, aligned_windows.TURNED_CELLS))
        return tracked(model, shown, degrees)

    monkeypatch.setattr(turns, "errors", errors)
    used = aligned_windows.TURNED_CELLS
    found = turns.row("some", [movie], load_model("general_2d"))
    assert limits == [(degrees, limit) for limit in (0, used) for degrees in turns.DEGREES]
    assert [len(found["errors"][look]) for look in turns.LOOKS] == [len(turns.DEGREES)] * 2


def test_the_table_has_means_and_changes_by_set():
    rows = [
        {
            "movies": "ecoli, whole",
            "errors": dict(zip(turns.LOOKS, ([20, 40], [5, 5]), strict=True)),
        },
        {"movies": "ecoli, every 2nd", "errors": {look: [10, 12] for look in turns.LOOKS}},
        {"movies": "wandering, whole", "errors": {look: [3, 4] for look in turns.LOOKS}},
    ]
    _, *found = turns.table({"rows": rows})
    assert found[0] == ["ecoli, whole", "30.0 (20 to 40)", "5.0 (5 to 5)"]
    change = 100 * ((15 / 40) ** 0.5 - 1)
    assert found[3] == ["ecoli: mean change", "", f"{change:+.1f} %"]
    assert found[4] == ["wandering: mean change", "", "+0.0 %"]
    assert change == pytest.approx(-38.8, abs=0.1)
