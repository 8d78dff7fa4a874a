"""The columns of the table of tracks, computed by hand."""

import csv

import numpy as np
import pytest

from small_movies import true_lineage
from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.output.track_features import track_features, write_track_features


def family(ndim=2):
    """Return a mother that divides into 2 and 3; 2 divides again, after a gap, into 4 and 5.

    frame   0 1 2 3 4 5 6 7
    track 1 x x             moves by (3, 4) a frame
          2     x x   x       missed in frame 4; grows
          3     x             at rest
        4,5             x     one frame each
    """
    rows = [  # frame, place, diameter, intensity, row of the parent
        (0, (0, 0), 10, 50, None),
        (1, (3, 4), 10, 40, 0),
        (2, (3, 4), 10, 10, 1),
        (2, (9, 9), 10, 10, 1),
        (3, (3, 5), 20, 10, 2),
        (5, (3, 7), 30, 10, 4),
        (6, (3, 7), 10, 10, 5),
        (6, (3, 9), 10, 10, 5),
    ]
    zeros = [0] * (ndim * ndim)
    found = Detections(
        np.array([row[0] for row in rows], np.int32),
        np.array([1, 1, 1, 2, 1, 1, 1, 2]),
        np.array([[0.0] * (ndim - 2) + list(row[1]) for row in rows]),
        np.array([[row[2], row[3], *zeros, 5.0] for row in rows], float),
    )
    pairs = [(row[4], index) for index, row in enumerate(rows) if row[4] is not None]
    source, target = np.array(pairs).T
    return build_lineage(found, Edges(source, target, np.ones(len(pairs))))


def test_every_column_equals_that_by_hand():
    lineage = family()
    columns = track_features(lineage, Calibration((0.5, 0.5), 10.0))
    # Tracks: the mother, her daughters, the part after the gap, and the last two.
    assert columns["track"].tolist() == [1, 2, 3, 4, 5, 6]
    assert columns["parent"].tolist() == [0, 1, 1, 2, 4, 4]
    assert set(columns["lineage"].tolist()) == {1}
    assert columns["generation"].tolist() == [0, 1, 1, 1, 2, 2]
    assert columns["n_daughters"].tolist() == [2, 1, 0, 2, 0, 0]
    assert columns["length_frames"].tolist() == [2, 2, 1, 1, 1, 1]
    assert columns["duration_s"].tolist() == [10, 10, 0, 0, 0, 0]
    assert columns["path_um"].tolist() == [2.5, 0.5, 0, 0, 0, 0]
    assert columns["speed_um_per_s"][:2].tolist() == [0.25, 0.05]
    assert columns["straightness"][0] == 1
    assert np.isnan(columns["straightness"][2:]).all()
    areas = np.pi * np.array([5.0, 10.0]) ** 2 * 0.25
    assert columns["mean_area_um2"][1] == pytest.approx(areas.mean())
    assert columns["area_growth_per_s"][1] == pytest.approx(np.diff(areas)[0] / areas.mean() / 10)
    assert columns["intensity_growth_per_s"][0] == pytest.approx(-10 / 45 / 10)
    # Born in frame 2, divided after frame 5; the mother's birth was not seen.
    np.testing.assert_array_equal(columns["cycle_time_s"], [np.nan] * 3 + [40] + [np.nan] * 2)


def test_without_units_lengths_are_pixels_and_times_frames(tmp_path):
    write_track_features(family(ndim=3), tmp_path / "features.csv")
    with (tmp_path / "features.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["track"] for row in rows] == list("123456")
    assert rows[0]["path_px"] == "5"
    assert rows[0]["speed_px_per_frame"] == "5"
    assert rows[3]["cycle_time_frame"] == "4"
    assert rows[0]["cycle_time_frame"] == ""
    assert float(rows[2]["mean_volume_px3"]) == pytest.approx(np.pi / 6 * 1000, rel=1e-5)


def test_tracks_without_a_detection_have_no_line(tmp_path):
    none = Edges(np.empty(0, int), np.empty(0, int), np.empty(0))
    lineage = build_lineage(family().detections.rows(slice(0)), none)
    write_track_features(lineage, tmp_path / "features.csv")
    assert len((tmp_path / "features.csv").read_text().splitlines()) == 1


def test_a_path_that_turns_back_is_not_straight():
    masks = np.zeros((3, 30, 30), np.uint16)
    for frame, x in enumerate((5, 15, 5)):
        masks[frame, 5:8, x : x + 3] = 1
    columns = track_features(true_lineage(masks))
    assert (columns["path_px"][0], columns["displacement_px"][0]) == (20, 0)
    assert columns["straightness"][0] == 0
