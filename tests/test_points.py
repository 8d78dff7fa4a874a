"""A table of points is tracked like masks of round objects at these positions, and is checked."""

import numpy as np
import pytest
from click.testing import CliRunner

from small_movies import dividing_cell
from trackastra_engine import InputError, Tracker
from trackastra_engine.cli import main
from trackastra_engine.detection.detections import detect
from trackastra_engine.detection.point_table import read_point_table, read_points
from trackastra_engine.detection.points import LONE_DIAMETER_PX, detections_of_points
from trackastra_engine.detection.transform import transform
from trackastra_engine.linking import linker
from trackastra_engine.movie.frames import Frame
from trackastra_engine.online.session import Session
from trackastra_engine.output.edge_table import edge_ends

HEADER = "frame,y,x,label,diameter,intensity\n"


def ball(ndim, radius=30):
    """Return a mask with a ball, the centre of which is `radius + 2` pixels from every border."""
    axes = np.ogrid[(slice(-radius - 2, radius + 3),) * ndim]
    return (sum(axis**2 for axis in axes) <= radius**2).astype(np.uint8)


@pytest.mark.parametrize("ndim", [2, 3])
def test_points_are_measured_as_round_objects_of_their_diameter(ndim):
    mask = ball(ndim)
    measured = detect(Frame(0, np.where(mask, 7.0, 0.0), mask), ndim)
    size = measured.features[0, 0]
    points = detections_of_points(
        [0], measured.centroid, label=[1], diameter=[size], intensity=[7.0]
    )
    np.testing.assert_allclose(points.centroid, measured.centroid)
    # A drawn ball differs from a true one: 2e-3 of its moments at this size.
    np.testing.assert_allclose(
        points.features[:, :-1], measured.features[:, :-1], rtol=5e-3, atol=1e-9
    )


def test_a_table_is_read_by_names_and_sorted(tmp_path):
    path = tmp_path / "spots.csv"
    path.write_text(
        "Track_hint,X,Label,frame,Y,diameter,intensity\n"
        "?,1.5,7,1,2,4,10\n"
        "?,3,9,0,4,5,11\n"
        "?,6,2,0,8,6,12\n",
        encoding="utf-8-sig",
    )
    points = read_points(path)
    assert points.frame.tolist() == [0, 0, 1]
    assert points.label.tolist() == [2, 9, 7]
    assert points.centroid.tolist() == [[8, 6], [4, 3], [2, 1.5]]
    assert points.features[:, :2].tolist() == [[6, 12], [5, 11], [4, 10]]
    assert points.features[:, -1].tolist() == [0, 1.5, 0]  # to the box around all points


def test_unknown_labels_sizes_and_intensities(tmp_path):
    """Labels count the points of a frame; sizes follow from the distances of points."""
    path = tmp_path / "spots.csv"
    path.write_text("frame,z,y,x\n1,0,0,0\n0,5,5,5\n1,0,0,8\n1,0,30,0\n")
    points = read_points(path)
    assert points.ndim == 3
    assert list(zip(points.frame, points.label, strict=True)) == [(0, 1), (1, 1), (1, 2), (1, 3)]
    assert set(points.features[:, 0]) == {4.0}  # nearest points are 8, 8 and 30 pixels away
    assert np.isnan(points.features[:, 1]).all()
    alone = detections_of_points([0, 1], [[1, 2], [3, 4]])
    assert set(alone.features[:, 0]) == {LONE_DIAMETER_PX}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "has no column 'frame'"),
        ("frame,x\n0,1\n", "has no column 'y'"),
        (HEADER, "contains no points"),
        (HEADER + "0,1,2,1,5\n", "line 2 of"),
        (HEADER + "0,1,2,1,,3\n0,5,2,2,4,3\n", "point 1 has the diameter nan"),
        (HEADER + "0,1,two,1,5,3\n", "is '0,1,two,1,5,3'; expected a number for x"),
        (HEADER + "0,1,2,1,5,3\n-1,1,2,1,5,3\n", "point 2 has the frame -1; expected a number"),
        (HEADER + "0.5,1,2,1,5,3\n", "point 1 has the frame 0.5"),
        (
            HEADER + "0,nan,2,1,5,3\n",
            "point 1 has the position nan; expected finite numbers up to 1e+15",
        ),
        (
            HEADER + "0,3e38,2,1,5,3\n",
            "point 1 has the position 3e+38; expected finite numbers up to 1e+15",
        ),
        (HEADER + "0,1,2,0,5,3\n", "point 1 has the label 0; expected a number from 1"),
        (
            HEADER + f"0,1,2,{2**53 - 1},5,3\n0,9,2,{2**53 + 1},5,3\n",
            "point 2 has the label 9.00719925474099e+15; expected a number from 1 to 90071992",
        ),
        (HEADER + "0,1,2,1,-1,3\n", "point 1 has the diameter -1; expected 0 if unknown, or a"),
        (HEADER + "0,1,2,1,1e-30,3\n", "a length from 1e-15 to 1e15"),
        (HEADER + "0,1,2,1,5,inf\n", "point 1 has the intensity inf; expected a finite number"),
        (HEADER + "3,1,2,4,5,3\n3,9,9,4,5,3\n", "frame 3 has two points of label 4"),
    ],
)
def test_tables_that_cannot_be_used_get_one_sentence(tmp_path, text, reason):
    path = tmp_path / "spots.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_points(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_that_do_not_fit():
    with pytest.raises(InputError, match=r"shape \(3,\); expected"):
        detections_of_points([0], [1, 2, 3])
    with pytest.raises(InputError, match=r"2 positions, but the frames are of shape \(3,\)"):
        detections_of_points([0, 1, 2], [[1, 2], [3, 4]])
    with pytest.raises(InputError, match=r"the label 1\.84467440737096e\+19; expected"):
        detections_of_points([0], [[1, 2]], label=np.array([2**64 - 1], np.uint64))


# Tracked --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tracker():
    return Tracker.load(device="cpu")


def test_points_are_linked_like_masks(tracker):
    """One cell moves, one divides: positions are sufficient."""
    _, masks = dividing_cell()
    tracker = Tracker(tracker.model, linker("greedy", min_division_score=0.5))  # squares, not cells
    lineage = tracker.track(None, masks)
    found = lineage.detections
    points = detections_of_points(
        found.frame, found.centroid, label=found.label, diameter=found.features[:, 0]
    )
    np.testing.assert_array_equal(edge_ends(tracker.track_detections(points)), edge_ends(lineage))


def test_points_that_cannot_be_tracked(tracker):
    with pytest.raises(InputError, match="all 2 detections are in one frame"):
        tracker.track_detections(detections_of_points([3, 3], [[1, 2], [3, 4]]))
    volumes = Tracker.load("general_3d")
    with pytest.raises(InputError, match="the movie is 2D but the model general_3d needs 3D"):
        volumes.track_detections(detections_of_points([0, 1], [[1, 2], [3, 4]]))


def test_the_command_reads_points_and_writes_tables(tmp_path):
    path = tmp_path / "spots.csv"
    path.write_text(
        "frame,y,x\n" + "".join(f"{t},{5 + t},{9 * n}\n" for t in range(5) for n in (1, 4))
    )
    for given in (["--points", str(path)], [str(path)]):
        out = tmp_path / str(len(given))
        result = CliRunner().invoke(main, ["track", *given, "-o", str(out)])
        assert result.exit_code == 0, result.output
        assert "Tracked 5 frames with 10 detections: 2 tracks" in result.output
        names = sorted(entry.name for entry in out.iterdir())
        assert names == [
            "edges.csv",
            "report.html",
            "review.csv",
            "track_features.csv",
            "tracks.csv",
        ]
        assert (out / "edges.csv").read_text().count("\n") == 9


def test_options_that_do_not_apply_to_points(tmp_path):
    path = tmp_path / "spots.csv"
    path.write_text("frame,y,x\n0,1,2\n1,1,2\n")
    for words, reason in [
        (["images", str(path), "-o", "out"], "points have neither images nor masks"),
        (["--points", str(path), "-m", "masks", "-o", "out"], "points have neither images nor"),
        (
            ["--points", str(path), "--output-ctc", "out"],
            "--output-ctc needs masks, which",
        ),
        (["--points", str(path), "--cache", "kept", "-o", "out"], "leave --cache and --dask out"),
        (["--points", str(path), "--dask", "local:2", "-o", "out"], "leave --cache and --dask out"),
        (["--points", str(path), "--voxel", "1,1,1", "-o", "out"], "the movie is 2D"),
    ]:
        result = CliRunner().invoke(main, ["track", *words])
        assert result.exit_code == 2
        assert reason in result.output


def test_an_unknown_diameter_is_the_median_of_its_frame():
    """Frame 0 knows two of three diameters, frame 1 none: half the distance to the nearest."""
    found = detections_of_points(
        [0, 0, 0, 1, 1],
        [[0, 0], [0, 30], [30, 0], [0, 0], [0, 8]],
        diameter=[4, 0, 10, 0, 0],
    )
    assert found.features[:, 0].tolist() == [4, 7, 10, 4, 4]


@pytest.mark.parametrize("voxel", [(0.5, 0.5, 0.5), (2.0, 0.5, 0.5), (0.5, 0.25, 1.0)])
def test_points_in_micrometres_are_balls_whatever_the_voxels(tmp_path, voxel):
    rng = np.random.default_rng(0)
    path = tmp_path / "spots.csv"
    rows = [f"{frame},{z},{y},{x},{rng.uniform(4, 6)}" for frame, z, y, x in positions_um(rng)]
    path.write_text("frame,z (um),y (um),x (um),diameter (um)\n" + "\n".join(rows) + "\n")
    table = read_point_table(path, voxel)
    moved = transform(table.detections, np.diag(voxel))
    expected = read_point_table(path, (1.0, 1.0, 1.0)).detections
    np.testing.assert_allclose(moved.centroid, expected.centroid)
    np.testing.assert_allclose(moved.features[:, :-1], expected.features[:, :-1], atol=1e-9)
    plane = table.detections.centroid[:, 1:]
    margin = np.minimum(plane - plane.min(axis=0), plane.max(axis=0) - plane).min(axis=1)
    np.testing.assert_allclose(table.detections.features[:, -1], margin)


def test_points_in_voxels_are_balls_in_micrometres(tmp_path):
    rng = np.random.default_rng(0)
    voxel = 2.0, 0.5, 0.5
    rows = positions_um(rng)
    for name, size in (("um", (1.0, 1.0, 1.0)), ("px", voxel)):
        unit = " (um)" if name == "um" else ""
        lines = [f"frame,z{unit},y{unit},x{unit},diameter{unit}"]
        for frame, *place in rows:
            cells = [frame, *(np.array(place) / size), 5 / size[-1]]
            lines.append(",".join(map(repr, map(float, cells))))
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    in_um, in_px = (read_point_table(tmp_path / f"{name}.csv", voxel) for name in ("um", "px"))
    np.testing.assert_allclose(in_px.detections.centroid, in_um.detections.centroid)
    np.testing.assert_allclose(in_px.detections.features, in_um.detections.features)


def test_points_of_a_session_are_balls_in_micrometres(monkeypatch):
    seen = []
    monkeypatch.setattr(Session, "push_detections", lambda self, found, **rest: seen.append(found))
    voxel, places = (2.0, 0.5, 0.5), np.array([[1.0, 5.0, 5.0], [4.0, 20.0, 30.0]])
    Session(Tracker.load("general_3d"), voxel_um=voxel).push_points(places, diameter=[8, 10])
    round_in_um = transform(seen[0], np.diag(voxel)).features[:, 2:-1].reshape(-1, 3, 3)
    np.testing.assert_allclose(round_in_um, round_in_um[:, :1, :1] * np.eye(3), atol=1e-9)


def positions_um(rng):
    return [(frame, *rng.uniform(0, 50, 3)) for frame in (0, 1) for _ in range(8)]
