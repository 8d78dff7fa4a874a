"""The accuracy benchmark measures real movies first, and sums up what it finds."""

import json

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from benchmarks import accuracy as accuracy_benchmark
from benchmarks import accuracy_sets, accuracy_summary, record
from benchmarks.__main__ import main
from benchmarks.accuracy_summary import best_other, rank, removed, summarised
from benchmarks.motile_links import motile_links
from benchmarks.other_trackers import DISTANCES, Attempt
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


def test_the_summary_takes_means_over_sets():
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


def test_versions_of_movies_have_means_of_their_own():
    rare = {**FIRST, "variant": "every 2nd"}
    head, *rows = accuracy_summary.variant_table({"sets": [FIRST, SECOND, rare]})
    assert [line[:3] for line in rows] == [
        ["whole", "2", "-12%"],
        ["every 2nd", "1", "75%"],
        ["all", "3", "17%"],
    ]
    assert rows[0][4:6] == ["1 of 2", "0 of 1"]
    assert all(len(line) == len(head) for line in rows)


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


@pytest.fixture
def data_root(tmp_path):
    """The folder of sparse1 with one cell in frames 60 to 63, between empty ones."""
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
def results(tmp_path, monkeypatch):
    """The folder of results, and no rendered movie."""
    for module in (record, accuracy_benchmark):
        monkeypatch.setattr(module, "RESULTS", tmp_path)
    monkeypatch.setattr(accuracy_sets, "FILMS", {})
    return tmp_path / "accuracy.json"


def one_tracker(calls):
    def attempts(movie):
        for distance in DISTANCES:
            calls.append(distance)
            yield Attempt(movie.links[: int(10 * distance)], {"distance": distance})

    return lambda movie, environments: {"drawn": attempts}


def run(*arguments):
    done = CliRunner().invoke(main, ["accuracy", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def test_rows_of_other_trackers_are_measured_once(data_root, results, monkeypatch):
    calls = []
    monkeypatch.setattr(accuracy_benchmark, "other_trackers", one_tracker(calls))
    monkeypatch.setattr(accuracy_sets, "real_parts", only_sparse1)
    options = ["--data", data_root, "--only", "sparse1", "--others-only"]
    run(*options, "--only", "sparse1, every 2nd")
    first = json.loads(results.read_text())["sets"]
    assert [found["variant"] for found in first] == ["every 2nd", "every 2nd"]
    assert len(calls) == 2 * len(DISTANCES)
    run(*options)
    every = json.loads(results.read_text())["sets"]
    assert len(every) == 2 * 5
    assert len(calls) == 10 * len(DISTANCES)
    whole = next(found for found in every if found["variant"] == "whole")
    assert whole["edges"] == 6
    assert whole["trackers"][0]["edge_f1"] == 1.0  # at the best distance
    run(*options, "--only", "jumping", "--afresh")
    assert len(calls) == 12 * len(DISTANCES)


def only_sparse1(root, part):
    from benchmarks.real_movies import real_parts

    return [found for found in real_parts(root, part) if found.name == "sparse1"]
