"""The false divisions of cells that are two objects for a frame are undone, and only these."""

import csv
import logging
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.spoiled_masks import ErrorShares
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.detection.detections import Detections, split_frames
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.jobs.track import Job, run_job
from trackastra_engine.linking import linker
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.linking.split_objects import (
    MIN_PARTS,
    size_afterwards,
    without_split_objects,
)
from trackastra_engine.model.edges import Edges
from trackastra_engine.online import Session
from trackastra_engine.output.results import Outputs

N_FRAMES = 12


def lineage(n_cells, *, n_split=0, n_divided=0, n_ended=0):
    """Return cells that live through all frames: split in frame 2, divided in frame 4, or ended.

    Labels are 1 to `n_cells` for the cells, then each part or daughter has a label of its own.
    """
    found = {(frame, cell) for frame in range(N_FRAMES) for cell in range(1, n_cells + 1)}
    links = {
        ((t, cell), (t + 1, cell)) for t in range(N_FRAMES - 1) for cell in range(1, n_cells + 1)
    }
    other = n_cells
    cells = iter(range(1, n_cells + 1))
    for _ in range(n_split):
        other += 1
        found.add((3, other))
        links.add(((2, next(cells)), (3, other)))
    for _ in range(n_divided):
        other += 1
        found |= {(t, other) for t in range(5, N_FRAMES)}
        links |= {((t, other), (t + 1, other)) for t in range(5, N_FRAMES - 1)}
        links.add(((4, next(cells)), (5, other)))
    for _ in range(n_ended):  # it exists in frame 1 only
        other += 1
        found.add((1, other))
    places = sorted(found)
    row = {place: number for number, place in enumerate(places)}
    frame, label = np.array(places, np.int32).T
    n = len(places)
    detections = Detections(frame, label, np.zeros((n, 2)), np.ones((n, 7)))
    table = np.array(sorted((row[a], row[b]) for a, b in links), np.int32)
    return build_lineage(detections, Edges(table[:, 0], table[:, 1], np.full(len(table), 0.9)))


def test_parts_of_cells_lose_their_link_and_daughters_keep_it(caplog):
    given = lineage(60, n_split=10, n_divided=7)
    with caplog.at_level(logging.INFO):
        found = without_split_objects(given)
    assert (given.n_divisions, found.n_divisions) == (17, 7)
    assert len(found.edges) == len(given.edges) - 10
    assert len(found.detections) == len(given.detections)
    assert "split cells undone: 10" in caplog.text


def test_daughters_stay_where_as_many_other_cells_end():
    # 10 of 34 daughters end after a frame, as do 610 of about 1,300 cells.
    given = lineage(60, n_split=10, n_divided=7, n_ended=600)
    assert without_split_objects(given) is given


@pytest.mark.parametrize("n_split", [0, 1])
def test_a_single_daughter_is_no_evidence(n_split):
    given = lineage(60, n_split=n_split, n_divided=7)
    assert without_split_objects(given) is given


def test_daughters_in_the_last_frame_stay():
    given = lineage(60, n_split=10)
    shown = given.detections.frame <= 3
    edges = given.edges.rows(np.flatnonzero(shown[given.edges.target]))
    cut = build_lineage(given.detections.rows(np.flatnonzero(shown)), edges)
    assert without_split_objects(cut) is cut


def test_a_decided_link_stays():
    given = lineage(60, n_split=10, n_divided=7)
    decided = Corrections.of([((2, 1), (3, 61), True), ((2, 2), (3, 62), False)])
    found = without_split_objects(given, decided)
    assert found.n_divisions == 8
    rows = {
        tuple(pair) for pair in np.column_stack([found.edges.source, found.edges.target]).tolist()
    }
    places = list(
        zip(found.detections.frame.tolist(), found.detections.label.tolist(), strict=True)
    )
    assert (places.index((2, 1)), places.index((3, 61))) in rows


def test_daughters_stay_where_the_other_is_not_as_large_as_the_mother():
    given = lineage(60, n_split=10, n_divided=7)
    found = given.detections
    is_late = (found.frame >= 4) & (found.label <= 3)  # of three cells with parts in frame 3
    features = found.features.copy()
    features[is_late, 0] = 0.7
    smaller = build_lineage(replace(found, features=features), given.edges)
    np.testing.assert_allclose(size_afterwards(smaller)[found.frame == 2][:4], [0.49] * 3 + [1])
    assert without_split_objects(smaller).n_divisions == 10


def test_two_daughters_of_one_frame_stay():
    """Neither is known to be the cell."""
    given = lineage(60, n_split=10, n_divided=7)
    edges, frame, label = given.edges, given.detections.frame, given.detections.label
    ends_too = (frame[edges.source] == 3) & (label[edges.source] == 1)
    cut = build_lineage(given.detections, edges.rows(np.flatnonzero(~ends_too)))
    assert without_split_objects(cut).n_divisions == 8


def test_the_limit_is_one_standard_error_above_the_share_of_all_cells():
    rng = np.random.default_rng(0)
    undone = []
    for _ in range(60):
        n_split, n_divided, n_ended = rng.integers(0, 12, 3).tolist()
        given = lineage(40, n_split=n_split, n_divided=n_divided, n_ended=8 * n_ended)
        n_seen = int((given.detections.frame < N_FRAMES - 1).sum())
        expected = (n_split + 8 * n_ended) / n_seen * 2 * (n_split + n_divided)
        is_over = n_split * (1 - MIN_PARTS) > expected + expected**0.5 + 1
        assert without_split_objects(given).n_divisions == n_divided + n_split * (not is_over)
        undone.append(is_over and n_split > 0)
    assert 5 < sum(undone) < 55


def points(share):
    """Return 125 cells that never divide, of which a share is two points, in each of 10 frames."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(5.0)] * 3), axis=-1).reshape(-1, 3)
    steps = rng.normal(0, 0.6, (10, *grid.shape))
    steps[0] = rng.normal(12 * grid, 1.5)
    frame, n = np.repeat(np.arange(10), len(grid)), len(grid)
    place = np.cumsum(steps, axis=0).reshape(-1, 3)
    parent = np.maximum(np.arange(10 * n) - n, -1)
    found = detections_of_points(frame, place, diameter=np.full(10 * n, 9.0))
    movie = TrueMovie(None, None, found, parent)
    return spoiled_points(movie, 0, ErrorShares(missing=0.0, merged=0.0, split=share)).detections


def tracker(**options):
    """Return a tracker that accepts unlikely divisions, as better weights make few false ones."""
    accepts = linker("greedy", probabilities=True, min_division_score=0.3)
    return Tracker.load("general_3d", mode=accepts, **options)


def test_tracking_undoes_them_offline_and_online():
    found = points(0.05)
    offline = tracker().track_detections(found)
    assert offline.n_divisions < 20
    assert tracker(rates="off").track_detections(found).n_divisions > 30
    session = Session(tracker())
    for number, frame in enumerate(split_frames(found, 10)):
        session.push_detections(frame, frame=2 * number)
    online = session.finish()
    assert online.n_divisions == offline.n_divisions
    np.testing.assert_array_equal(online.edges.source, offline.edges.source)
    np.testing.assert_array_equal(online.edges.target, offline.edges.target)


def test_links_that_are_final_stay():
    session = Session(tracker(stride=1), delay=1)
    for frame in split_frames(points(0.05), 10):
        session.push_detections(frame)
    assert session.finish().n_divisions > 30


def test_cells_before_an_empty_frame_do_not_count_as_cells_that_end():
    given = lineage(60, n_split=10, n_divided=7)
    found, edges = given.detections, given.edges
    later = replace(found, frame=found.frame + (found.frame > 6))  # frame 7 is empty
    kept = edges.rows(np.flatnonzero(found.frame[edges.source] != 6))
    assert without_split_objects(build_lineage(later, kept)).n_divisions == 7


def test_the_review_of_a_short_movie_has_no_link_that_was_undone(tmp_path):
    found = points(0.05)
    table = np.column_stack([found.frame, found.label, found.centroid, found.features[:, 0]])
    names = "frame,label,z,y,x,diameter"
    np.savetxt(tmp_path / "points.csv", table, "%.12g", ",", header=names, comments="")
    linking = LinkingOptions(min_division_score=0.3, min_track_length=2)
    outputs = Outputs(folder=tmp_path / "out", report=False)
    job = Job(
        None, tmp_path / "points.csv", outputs, are_points=True, linking=linking, model="general_3d"
    )
    result = run_job(job)
    edges = result.lineage.edges
    ends = np.column_stack([result.lineage.detections.frame, result.lineage.detections.label])
    linked = set(
        zip(
            map(tuple, ends[edges.source].tolist()),
            map(tuple, ends[edges.target].tolist()),
            strict=True,
        )
    )
    with (tmp_path / "out" / "review.csv").open() as file:
        reviewed = [row for row in csv.DictReader(file) if row["source_frame"]]
    assert reviewed
    for row in reviewed:
        source, target = (
            (int(row["source_frame"]), int(row["source_label"])),
            (int(row["frame"]), int(row["label"])),
        )
        assert (source, target) in linked
