"""The benchmark of wandering cells: tables become movies, and all fields are scored together."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from benchmarks import mcf10a, record, wandering
from benchmarks.__main__ import main
from benchmarks.mcf10a import SET, TABLES
from benchmarks.real_movies import ALL_FRAMES, read_tables
from benchmarks.true_movies import TrueMovie
from trackastra_engine.detection.points import detections_of_points

CONFIGURATIONS = Path(__file__).parent.parent / "training" / "configs"
# A mother, 1, with two daughters, and a mother, 4, who is still listed when her daughter begins.
TRACKS = {
    1: (0, [(30, 10, 50), (60, 11, 50), (90, 12, 50)]),
    2: (1, [(120, 9, 50), (150, 8, 50)]),
    3: (1, [(120, 15, 50), (150, 16, 50)]),
    4: (0, [(30, 90, 80), (60, 91, 80), (90, 92, 80)]),
    5: (4, [(90, 96, 80), (120, 97, 80)]),
    6: (0, [(30, 60, 80), (60, 60, 80), (90, 60, 10), (120, 60, 80), (150, 60, 80)]),
}


def write_field(clone, name):
    rows = ["TID,xpixel,ypixel,tmin,motherID"]
    for track, (mother, positions) in TRACKS.items():
        rows += [f"{track},{x},{y},{minutes},{mother}" for minutes, x, y in positions]
    folder = clone / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")


def run(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def data(tmp_path):
    for names in wandering.FIELDS.values():
        for name in names:
            write_field(tmp_path / "clone", name)
    assert run("mcf10a", tmp_path / "clone", tmp_path / "data").exit_code == 0
    return tmp_path / "data"


def test_tracks_and_mothers_become_points_and_edges(data):
    movie = read_tables(data / "mcf10a" / "EGF_2", *ALL_FRAMES)
    place, frame = movie.detections.centroid, movie.detections.frame
    links = {(int(frame[i]), place[i, 1], place[j, 1]) for i, j in movie.links}
    assert len(links) == len(movie.links)
    assert links == {
        *[(0, 10, 11), (1, 11, 12), (2, 12, 9), (2, 12, 15), (3, 9, 8), (3, 15, 16)],
        *[(0, 90, 91), (1, 91, 92), (1, 91, 96), (2, 96, 97)],
        *[(frame, 60, 60) for frame in range(4)],
    }
    np.testing.assert_array_equal(place[:, 0] == 50, place[:, 1] < 20)


def test_a_cell_that_leaves_half_a_field_is_found_again_there(data):
    lower = read_tables(data / "mcf10a" / "EGF_2" / "lower", *ALL_FRAMES)
    frame, x = lower.detections.frame, lower.detections.centroid[:, 1]
    assert set(x) == {60, 90, 91, 92, 96, 97}
    child = np.flatnonzero((lower.parent >= 0) & (x == 60))
    assert [(frame[lower.parent[row]], frame[row]) for row in child] == [(0, 1), (1, 3), (3, 4)]


def test_a_cell_that_is_away_for_long_begins_anew():
    minutes = [30, 60, 150, 270]  # frames 0, 1, 4 and 8: away for 2 frames, then for 3
    columns = {"TID": 1, "motherID": 0, "xpixel": 5.0, "ypixel": 5.0, "tmin": minutes}
    _, edges = mcf10a.movie(pd.DataFrame(columns))
    steps = edges[["source_frame", "target_frame"]].to_numpy().tolist()
    assert steps == [[0, 1], [1, 4]]


def test_a_folder_without_tables_is_rejected(tmp_path):
    result = run("mcf10a", tmp_path, tmp_path / "data")
    assert result.exit_code == 2
    assert "clone github.com/meyer-lab/tHMM" in result.output
    assert not (tmp_path / "data").exists()


def test_a_table_of_another_kind_is_rejected_before_anything_is_written(tmp_path):
    write_field(tmp_path, "EGF_1")
    (tmp_path / TABLES / "notes.csv").write_text("TID,x\n1,2\n")
    result = run("mcf10a", tmp_path, tmp_path / "data")
    assert result.exit_code == 2
    assert "notes.csv has no column motherID" in " ".join(result.output.split())
    assert not (tmp_path / "data").exists()


def test_data_without_these_movies_is_rejected(tmp_path):
    result = run("wandering", "--data", tmp_path)
    assert result.exit_code == 2
    assert "`benchmarks mcf10a` makes it" in " ".join(result.output.split())


def test_a_cell_that_crosses_the_middle_enters_one_half_and_leaves_the_other():
    frame = np.repeat(np.arange(4), 3)
    x = np.array([10, 40, 90] * 4, float)
    x[frame >= 2] += np.array([0, 20, 0] * 2)  # the median is 50
    found = detections_of_points(frame, np.column_stack([np.full(12, 50.0), x]))
    crossing = TrueMovie(None, None, found, np.maximum(np.arange(-3, 9), -1))
    left, right = wandering.halves(crossing)
    assert (len(left.links), len(right.links)) == (3 + 1, 3 + 1)
    assert [(half.parent < 0).sum() for half in (left, right)] == [2, 2]
    begins = right.detections.frame[right.parent < 0]
    np.testing.assert_array_equal(begins, [0, 2])


def test_no_field_is_in_two_parts():
    fields = [name for names in wandering.FIELDS.values() for name in names]
    assert len(fields) == len(set(fields))


def test_no_configuration_learns_from_the_fields_for_choosing_and_tests():
    learned = {
        Path(movie["truth"]).parts[1]
        for file in CONFIGURATIONS.glob("*.toml")
        for movie in tomllib.loads(file.read_text()).get("train", ())
        if movie["truth"].startswith(SET)
    }
    kept_back = {name for names in wandering.FIELDS.values() for name in names}
    assert len(learned) == 6
    assert not learned & kept_back


def test_scores_are_those_of_all_fields_together(data, tmp_path, monkeypatch):
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    slow = wandering.other_trackers
    quick = ("nearest neighbour", "laptrack")
    monkeypatch.setattr(
        wandering, "other_trackers", lambda *args: {name: slow(*args)[name] for name in quick}
    )
    result = run("wandering", "--data", data, "--part", "choosing")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "wandering_choosing.json").read_text())
    whole, _, with_errors, halves, _ = rows["rows"]
    n_fields = len(wandering.FIELDS["choosing"])
    assert (whole["edges"], whole["divisions"]) == (14 * n_fields, 2 * n_fields)
    assert with_errors["edges"] < whole["edges"]
    assert (halves["edges"], halves["divisions"]) == (14 * n_fields, 2 * n_fields)
    laptrack = whole["trackers"]["laptrack"]
    assert laptrack["missed_edges"] % n_fields == 0  # all fields are alike
    assert laptrack["edge_f1"] > 0.8
    head, first, *_ = wandering.table(rows)
    assert head[-3:] == ["general_2d", *quick]
    assert first[-1].startswith(f"{laptrack['edge_f1']:.4f} / ")
