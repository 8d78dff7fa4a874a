"""The accuracy benchmark measures real movies first, and summarises the results."""

import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from benchmarks import accuracy as accuracy_benchmark
from benchmarks import accuracy_sets, accuracy_summary, record
from benchmarks.__main__ import main
from benchmarks.accuracy_summary import best_other, rank, removed, summarised
from benchmarks.drawn_balls import drawn_balls
from benchmarks.motile_links import motile_links
from benchmarks.other_trackers import DISTANCES, Attempt
from benchmarks.our_trackers import MODES
from trackastra_engine.detection.points import detections_of_points


def row(tracker, edges, divisions=(0, 0), **about):
    names = ("wrong_edges", "missed_edges", "wrong_divisions", "missed_divisions")
    counts = dict(zip(names, (*edges, *divisions), strict=True))
    return {"tracker": tracker, "edge_f1": 0.9, "division_f1": 0.8, **counts, **about}


def case(*rows, divisions=5, **about):
    facts = {"name": "drawn", "variant": "whole", "kind": "real", "has_errors": False}
    return {**facts, "edges": 100, "divisions": divisions, **about, "trackers": list(rows)}


FIRST = case(
    row("laptrack", (6, 2), (1, 1)),
    row("overlap", (9, 1), (0, 1)),
    row("greedy", (1, 1), (1, 0), model="m"),
    row("lap", (9, 1), (2, 2), model="m"),
)
SECOND = case(
    row("laptrack", (2, 0)),
    row("greedy", (4, 0), model="m"),
    row("lap", (2, 0), model="m"),
    divisions=0,
)


def test_errors_removed_are_of_the_best_other_tracker():
    assert best_other(FIRST)["tracker"] == "laptrack"
    assert best_other(FIRST, "divisions")["tracker"] == "overlap"
    assert removed(FIRST, "edges") == pytest.approx(1 - 2 / 8)
    assert removed(FIRST, "divisions") == 0.0  # one error on either side
    assert removed(SECOND, "edges") == -1.0
    assert removed(SECOND, "edges", "lap") == 0.0


def test_another_tracker_without_errors_counts_as_one_error():
    perfect = case(row("laptrack", (0, 0)), row("greedy", (3, 0), model="m"))
    assert removed(perfect, "edges") == -2.0
    equal = case(row("laptrack", (0, 0)), row("greedy", (0, 0), model="m"))
    assert removed(equal, "edges") == 0.0


def test_ranks_are_among_the_others_and_one_of_ours():
    assert rank(FIRST, "greedy", "edges") == 1
    assert rank(FIRST, "laptrack", "edges") == 2
    assert rank(FIRST, "lap", "edges") == 2.5  # as many errors as overlap
    assert rank(FIRST, "greedy", "divisions") == 1.5


def test_the_summary_has_means_over_sets():
    found = summarised([FIRST, SECOND, case(row("laptrack", (0, 0)))])
    assert found["sets"] == 2  # the last one was not tracked by us
    assert found["mean_rank"]["greedy"] == {"edges": 1.5, "divisions": 1.5}
    assert found["errors_removed"]["greedy"] == {"edges": -0.125, "divisions": 0.0}
    assert found["errors_removed"]["lap"] == {"edges": -0.125, "divisions": -3.0}


def test_tables_name_the_best_other_tracker():
    head, first, _ = accuracy_summary.best_table({"sets": [FIRST, SECOND]})
    assert first[0] == "drawn (100 edges, 5 divisions)"
    assert first[2:] == ["0.9000 / 0.800 (laptrack)", "75%", "0%"]
    assert len(first) == len(head)


def test_versions_of_movies_have_their_own_means():
    rare = {**FIRST, "variant": "every 2nd"}
    head, *rows = accuracy_summary.variant_table({"sets": [FIRST, SECOND, rare]})
    assert [line[:3] for line in rows] == [
        ["whole", "2", "-12%"],
        ["every 2nd", "1", "75%"],
        ["all", "3", "17%"],
    ]
    assert rows[0][4:6] == ["1 of 2", "0 of 1"]
    assert all(len(line) == len(head) for line in rows)
    assert list(accuracy_summary.variant_table({"sets": []})) == [head]


def test_motile_splits_where_it_pays():
    """
    frame 0    0         10
    frame 1   -1   1     10      the left one divides, if a division is cheap
    """
    positions = [[0, 0], [0, 10], [0, -1], [0, 1], [0, 10]]
    detections = detections_of_points([0, 0, 1, 1, 1], positions)
    cheap = motile_links(detections, 4.0, 0.5)
    assert sorted(cheap.tolist()) == [[0, 2], [0, 3], [1, 4]]
    dear = motile_links(detections, 4.0, 0.8)
    assert len(dear) == 2
    assert [1, 4] in dear.tolist()


def test_points_are_drawn_as_balls_that_share_their_border():
    """A large ball at x = 0 and a small one at 9: in radii, the border lies at 6."""
    centroid = [[0.0, 0.0, 0.0], [0.0, 0.0, 9.0], [4.0, 0.0, 0.0]]
    points = detections_of_points([0, 0, 1], centroid, diameter=np.array([16.0, 8.0, 8.0]))
    masks = drawn_balls(points, 0.5)
    assert len(masks) == 2
    z, y, x = (16, 16, 16)  # of the position 0, as the largest radius is 8 pixels
    assert masks[0, z, y, [x, x + 11, x + 13, x + 25, x + 27]].tolist() == [1, 1, 2, 2, 0]
    assert set(np.unique(masks[0])) == {0, 1, 2}
    volume = np.count_nonzero(masks[1] == 1) * 0.5**3
    assert volume == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.05)
    assert masks[1, z + 8, y, x] == 1


@pytest.fixture
def data_root(tmp_path):
    """The folder of sparse1 with two cells in frames 60 to 63, one of which moves."""
    folder = tmp_path / "data" / "sparse1" / "02_GT" / "TRA"
    folder.mkdir(parents=True)
    for t in range(64):
        mask = np.zeros((8, 40), np.uint16)
        if t >= 60:
            mask[2:5, t - 58 : t - 55], mask[2:5, 20:23] = 1, 2
        tifffile.imwrite(folder / f"man_track{t:03d}.tif", mask)
    (folder / "man_track.txt").write_text("1 60 63 0\n2 60 63 0\n")
    return tmp_path / "data"


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Return the sets of the result, in its own folder; no movie is rendered."""
    for module in (record, accuracy_benchmark):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(accuracy_sets, "FILMS", {})
    return lambda: json.loads((tmp_path / "accuracy.json").read_text())["sets"]


@pytest.fixture
def tried(monkeypatch):
    """The distances that another tracker tried; it finds all six true links from 0.7 on."""
    calls = []

    def trackers(movie, environments, distances):
        def attempts(movie):
            for distance in distances:
                calls.append(distance)
                yield Attempt(movie.links[: int(9 * distance)], {"distance": distance})

        return {"drawn": attempts}

    monkeypatch.setattr(accuracy_benchmark, "other_trackers", trackers)
    return calls


def measure(data_root, only, *options):
    arguments = ["--data", str(data_root), "--only", only, *options]
    done = CliRunner().invoke(main, ["accuracy", *arguments])
    assert done.exit_code == 0, done.output


def test_another_tracker_is_shown_at_its_best_setting(data_root, recorded, tried):
    measure(data_root, "sparse1*", "--trackers", "others")
    whole, *others = recorded()
    assert len(others) == 9  # five versions, with and without errors
    assert (whole["variant"], whole["has_errors"], whole["edges"]) == ("whole", False, 6)
    (found,) = whole["trackers"]
    assert (found["distance"], found["edge_f1"], found["division_f1"]) == (0.7, 1.0, None)


def test_other_trackers_are_measured_once(data_root, recorded, tried):
    measure(data_root, "sparse1, every*", "--trackers", "others")
    assert [case["variant"] for case in recorded()] == ["every 2nd"] * 2 + ["every 4th"] * 2
    assert len(tried) == 4 * len(DISTANCES)
    measure(data_root, "sparse1*", "--trackers", "others")
    assert len(recorded()) == 10
    assert len(tried) == 10 * len(DISTANCES)
    measure(data_root, "sparse1, jumping*", "--trackers", "others", "--afresh")
    assert len(recorded()) == 10
    assert len(tried) == 12 * len(DISTANCES)


def test_distances_of_other_trackers_can_be_chosen(data_root, recorded, tried):
    measure(data_root, "sparse1", "--trackers", "others", "--distance", "0.5", "--distance", "0.6")
    assert tried == [0.5, 0.6]
    ((found,),) = (case["trackers"] for case in recorded())
    assert found["distance"] == 0.6


def test_our_rows_are_merged_with_recorded_rows_of_others(data_root, recorded, tried):
    measure(data_root, "sparse1, jumping*", "--trackers", "others")
    measure(data_root, "sparse1, jumping*", "--trackers", "ours", "--model", "general_2d")
    for case in recorded():
        assert [row["tracker"] for row in case["trackers"]] == ["drawn", *MODES]
    assert len(tried) == 2 * len(DISTANCES)
