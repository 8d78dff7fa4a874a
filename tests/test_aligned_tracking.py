"""A movie that jumps is tracked the same way online, in chunks, and by workers."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from command_line import run
from test_motion import STEP, field, frames_of
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import association as chunk_module
from trackastra_engine.linking import linker
from trackastra_engine.motion.summary import movie_motion
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.online import Session


def jumping_masks(n_frames=12, n_cells=49):
    """Return masks (T, Y, X) of discs, which a stage moves by 1.4 steps before frames 4 and 8."""
    place, diameter = field(n_cells)
    rng = np.random.default_rng(4)
    size = int(place.max() + 4 * STEP)
    y, x = np.mgrid[:size, :size]
    masks = np.zeros((n_frames, size, size), np.uint16)
    for t, mask in enumerate(masks):
        jumps = (t >= 4) * np.array([1.2, -0.8]) + (t >= 8) * np.array([-1.3, 0.5])
        shift = STEP * (2 + jumps)
        labels = rng.permutation(len(place)) + 1
        for label, middle, width in zip(labels, place + shift, 0.8 * diameter, strict=True):
            mask[(y - middle[0]) ** 2 + (x - middle[1]) ** 2 < width**2 / 4] = label
    return masks


@pytest.fixture(scope="module")
def masks():
    return jumping_masks()


@pytest.fixture(scope="module")
def movie_file(masks, tmp_path_factory):
    path = tmp_path_factory.mktemp("jumping") / "masks.tif"
    tifffile.imwrite(path, masks, imagej=True, metadata={"axes": "TYX"})
    return path


def links(lineage):
    found, edges = lineage.detections, lineage.edges
    return found.frame[edges.source], found.label[edges.source], found.label[edges.target]


@pytest.mark.parametrize(("align", "n_tracks"), [("auto", 49), ("off", 147)])
def test_a_jump_of_the_stage_costs_no_link(align, n_tracks, masks):
    lineage = Tracker.load("general_2d", align=align, device="cpu").track(None, masks)
    if align == "auto":
        assert len(lineage.tracklets) == n_tracks
    else:
        assert len(lineage.tracklets) > n_tracks / 2  # many tracks end where the stage jumps


@pytest.mark.parametrize("fits", [True, False])
def test_edges_are_the_same_for_all_inputs_of_a_movie(
    fits, masks, movie_file, tmp_path, monkeypatch
):
    """Of a movie that jumps, or in which no cell is where one was, so that links are asked."""
    if not fits:
        masks, movie_file = crowd(), tmp_path / "crowd.tif"
        tifffile.imwrite(movie_file, masks, imagej=True, metadata={"axes": "TYX"})
    monkeypatch.setattr(chunk_module, "CHUNK_FRAMES", 5)
    tracker = Tracker(KnownModel(), linker("greedy"), threads=1)
    off = Tracker(KnownModel(), linker("greedy"), align="off")
    movie = open_movie(None, movie_file)
    expected = tracker.track_movie(movie)
    off.track_movie(movie)
    assert (tracker.model.n_windows > off.model.n_windows) != fits
    session = Session(tracker)
    for mask in masks:
        session.push(None, mask)
    others = {"online": session.finish(), "first": tracker.track_movie(movie, cache=tmp_path)}
    for n in (2, 3, 8):
        several = Tracker(tracker.model, tracker.link, threads=n)
        others[f"{n} threads"] = several.track_movie(movie)
    tracker.model.n_windows = 0
    others["cached"] = tracker.track_movie(movie, cache=tmp_path)
    assert tracker.model.n_windows == 0
    for name, lineage in others.items():
        for one, other in zip(links(lineage), links(expected), strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
        np.testing.assert_array_equal(lineage.edges.score, expected.edges.score, err_msg=name)
    off.model.n_windows = 0
    off.track_movie(movie, cache=tmp_path)
    # Nothing that was aligned is taken for what is not. Windows with the empty frame are small.
    assert off.model.n_windows == (5 if fits else 7)


class KnownModel(RandomModel):
    """Random scores that depend on tokens only, under a name by which a cache knows them.

    In some windows all parents are likelier than in others.
    """

    identity = "random"

    def associate(self, tokens, max_gap=1):
        edges = super().associate(tokens, max_gap)
        certainty = 0.6 + 0.4 * np.sin(1e3 * tokens.coordinates.sum(dtype=float)) ** 2
        return replace(edges, score=certainty * edges.score)


def test_workers_align_as_one_process_does(movie_file):
    distributed = pytest.importorskip("distributed")
    tracker = Tracker.load("general_2d", device="cpu")
    movie = open_movie(None, movie_file)
    expected = tracker.track_movie(movie)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        lineage = tracker.track_movie(movie, dask=cluster.scheduler_address)
    np.testing.assert_array_equal(lineage.edges.score, expected.edges.score)
    assert len(lineage.tracklets) == 49


def test_upstream_models_are_never_aligned():
    model = RandomModel()
    assert Tracker(model, linker("greedy")).association(None).aligned
    model.spec = replace(RandomModel.spec, recipe="upstream")
    assert not Tracker(model, linker("greedy")).association(None).aligned


def test_other_ways_to_align_are_rejected(movie_file, tmp_path):
    with pytest.raises(InputError, match="align is 'always'; choose auto or off"):
        Tracker.load("general_2d", align="always")
    result = run("track", "--masks", movie_file, "-o", tmp_path / "out", "--align", "always")
    assert result.exit_code == 2
    assert "'always' is not one of 'auto', 'off'" in result.stderr


def test_the_motion_of_a_movie_is_reported(movie_file, tmp_path):
    """The stage jumps before frames 4 and 8, and nothing else moves."""
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    result = run("track", "--masks", movie_file, "-o", out, "--json", figures, "--format", "csv")
    assert result.exit_code == 0, result.output
    found = json.loads(figures.read_text())
    assert found["jumps"] == [4, 8]
    assert [entry["frame"] for entry in found["aligned_frames"]] == [4, 8]
    np.testing.assert_allclose(found["aligned_frames"][0]["shift_px"], [36, -24], atol=1)
    np.testing.assert_allclose(found["aligned_frames"][0]["growth"], 0, atol=0.01)
    page = (out / "report.html").read_text("utf-8")
    assert '"title":"Motion of the field","y":"pixels"' in page
    assert "2 of 11 frames aligned, jumps of up to 43 px before frame 4, 8" in page


@pytest.mark.parametrize("mode", ["greedy", "lap"])
def test_a_jump_makes_no_link_too_long(mode, masks, caplog):
    """The stage moves by 43 pixels, the likely links allow 24, and no cell moves by itself."""
    tracker = Tracker.load("general_2d", mode=mode, max_distance="auto", device="cpu")
    with caplog.at_level(logging.DEBUG):
        lineage = tracker.track(None, masks)
    assert len(lineage.tracklets) == 49
    assert "links are limited to 2" in caplog.text
    assert "longer than is typical" not in caplog.text


def test_linking_again_reports_the_motion_and_takes_lengths_after_it(movie_file, tmp_path):
    out, reported = tmp_path / "out", "2 of 11 frames aligned, jumps of up to 43 px"
    assert run("track", "--masks", movie_file, "-o", out).exit_code == 0
    again = run("link", out, "--max-distance", "auto")
    assert again.exit_code == 0, again.output
    assert ": 49 tracks" in again.stdout
    assert reported in (out / "report.html").read_text("utf-8")
    run("track", "--masks", movie_file, "-o", out, "--align", "off", "--overwrite")
    assert run("link", out).exit_code == 0
    assert "frames aligned" not in (out / "report.html").read_text("utf-8")


def test_places_are_carried_over_frames_and_in_true_proportion():
    place, diameter = field(216, 3)
    places = [place + np.array(way) for way in ([0, 0, 0], [30, 0, 10], [30, 0, 10], [30, -40, 10])]
    scale = np.array([0.5, 1, 1])  # what is seen has planes half as far apart
    motion = movie_motion(frames_of([p / scale for p in places], diameter), 4, scale)
    assert sorted(motion.flows) == [1, 3]
    frame, until = np.array([1, 0, 2, 0]), np.array([2, 3, 3, 1])
    start = np.array([places[t][7] / scale for t in frame])
    expected = [places[t][7] / scale for t in until]
    np.testing.assert_allclose(motion.carried(start, frame, until), expected, atol=0.1 * STEP)


def test_places_are_carried_by_one_flow_after_the_other():
    """A growth after a shift is not a shift after a growth."""
    place, diameter = field(225)
    shifted = place + np.array([0.0, 60.0])
    grown = 1.15 * shifted
    motion = movie_motion(frames_of([place, shifted, grown], diameter), 3)
    assert motion.is_aligned.tolist() == [False, True, True]
    middle = np.argsort(np.linalg.norm(place - place.mean(axis=0), axis=1))[:20]
    carried = motion.carried(place[middle], np.zeros(20, int), np.full(20, 2))
    np.testing.assert_allclose(carried, grown[middle], atol=0.1 * STEP)


def test_growth_is_that_of_distances():
    place, diameter = field(225)
    grown = place.mean(axis=0) + 1.15 * (place - place.mean(axis=0))
    motion = movie_motion(frames_of([place, grown, grown], diameter), 4)
    np.testing.assert_allclose(motion.growth, [0, 0.15, 0, 0], atol=0.01)
    np.testing.assert_array_equal(motion.is_aligned, [False, True, False, False])
    assert not motion.is_jump.any()
    assert str(motion) == "1 of 3 frames aligned, distances grow by 15 % per frame"
