"""Frames pushed one by one: updates add up to the tracks of the whole movie."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from equal_edges import assert_equal_edges
from golden_cases import load_case, model_folder
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.detection.detections import detect
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.linking import linker
from trackastra_engine.linking.lineage import cell_of_tracklets
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Frame
from trackastra_engine.online import Session, load_session, save_session
from trackastra_engine.online.changes import _changed
from trackastra_engine.simulation import random_parameters, render
from trackastra_engine.simulation.parameters import REGIME_PROBABILITIES
from trackastra_export.export import export_model
from trackastra_training.checkpoint import load_model, load_spec

DELAYS = (None, 0, 1, 2)


@pytest.fixture(scope="module")
def tracker():
    return Tracker.load(device="cpu")


def random_tracker(mode="greedy", stride=None, max_gap=1):
    return Tracker(RandomModel(), linker(mode, max_gap=max_gap), stride=stride)


def push_all(session, masks, images=None, fov=0):
    return [
        session.push(None if images is None else images[t], mask, fov=fov)
        for t, mask in enumerate(masks)
    ]


def assert_same(lineage, expected):
    assert_equal_edges(lineage.edges, expected.edges)
    np.testing.assert_array_equal(lineage.tracklets, expected.tracklets)
    np.testing.assert_array_equal(lineage.tracklet_id, expected.tracklet_id)


def ends(links):
    return set(
        zip(
            links.source_frame.tolist(),
            links.source_label.tolist(),
            links.target_frame.tolist(),
            links.target_label.tolist(),
            strict=True,
        )
    )


def places(objects):
    return list(zip(objects.frame.tolist(), objects.label.tolist(), strict=True))


class Replay:
    """The state of a listener that only applies the updates."""

    def __init__(self):
        self.links, self.track, self.divisions, self.final_frame = set(), {}, set(), -1

    def hear(self, update):
        assert min(
            [t[2] for t in ends(update.added_links) | ends(update.removed_links)] or [99]
        ) > (self.final_frame)
        assert not ends(update.added_links) & self.links
        assert ends(update.removed_links) <= self.links
        self.links -= ends(update.removed_links)
        self.links |= ends(update.added_links) | ends(update.links)
        for objects in (update.objects, update.renamed):
            self.track |= dict(zip(places(objects), objects.track.tolist(), strict=True))
        self.divisions -= self._triples(update.undone_divisions)
        self.divisions |= self._triples(update.divisions)
        self.final_frame = update.final_frame

    @staticmethod
    def _triples(objects):
        listed = places(objects)
        return {(listed[i], *sorted(listed[i + 1 : i + 3])) for i in range(0, len(listed), 3)}


@pytest.mark.parametrize("mode", ["greedy", "ilp"])
@pytest.mark.parametrize(
    ("delay", "stride", "max_gap"),
    [(None, 1, 1), (None, 2, 1), (2, 1, 1), (2, 2, 1), (0, 2, 2), (2, 1, 2)],
)
def test_the_updates_add_up_to_the_tracks_of_the_whole_movie(delay, stride, max_gap, mode):
    """Random scores change all the time, so that most links are corrected."""
    masks, tracker = crowd(), random_tracker(mode, stride, max_gap)
    session, replay = Session(tracker, delay=delay), Replay()
    updates = push_all(session, masks)
    assert [update is None for update in updates] == [t < (delay or 0) for t in range(len(masks))]
    for update in updates[delay or 0 :]:
        replay.hear(update)
    lineage = session.finish()
    if delay is None or stride == max_gap == 1:
        assert_same(lineage, tracker.track(None, masks))

    detections, edges = lineage.detections, lineage.edges
    place = list(zip(detections.frame.tolist(), detections.label.tolist(), strict=True))
    shown = len(masks) - (delay or 0)
    pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    expected = {(*place[i], *place[j]) for i, j in pairs if place[j][0] < shown}
    assert replay.links == expected
    assert ({t - s for s, _, t, _ in expected} == {1, 2}) == (max_gap == 2)
    # The number of a track is the row of its first object, which identifies its cell.
    cell = cell_of_tracklets(lineage.tracklets)[lineage.tracklet_id]
    for row, at in enumerate(place):
        if at[0] < shown:
            first = replay.track[at] - 1
            assert cell[first] == cell[row]
            assert place[first][0] == lineage.tracklets[cell[row] - 1, 1]
    mothers = np.flatnonzero(np.bincount(edges.source) == 2)
    daughters = [edges.target[edges.source == mother] for mother in mothers]
    assert replay.divisions == {
        (place[m], *sorted(place[d] for d in pair))
        for m, pair in zip(mothers, daughters, strict=True)
        if place[pair[0]][0] < shown
    }
    assert replay.divisions


@pytest.mark.parametrize("mode", ["greedy", "ilp"])
def test_links_over_gaps_are_at_the_end_those_of_the_whole_movie(mode):
    masks, tracker = crowd(), random_tracker(mode, max_gap=2)
    session, replay = Session(tracker), Replay()
    for update in push_all(session, masks):
        replay.hear(update)
    assert {target - source for source, _, target, _ in replay.links} == {1, 2}
    children = {}
    for source, label, *child in sorted(replay.links):
        children.setdefault((source, label), []).append(tuple(child))
    # No cell has children in two frames.
    assert all(len({frame for frame, _ in found}) == 1 for found in children.values())
    divisions = {(mother, *found) for mother, found in children.items() if len(found) == 2}
    assert replay.divisions == divisions
    continued = {found[0]: mother for mother, found in children.items() if len(found) == 1}
    for place, track in replay.track.items():
        assert (place in continued) == (replay.track.get(continued.get(place)) == track)
    assert_same(session.finish(), tracker.track(None, masks))


def test_links_are_corrected_at_once_or_never():
    corrected = {}
    for delay in DELAYS:
        updates = push_all(Session(random_tracker(), delay=delay), crowd())
        corrected[delay] = sum(len(update.removed_links) for update in updates if update)
    assert corrected[None] > 50
    assert corrected[0] == corrected[1] == corrected[2] == 0


def test_only_the_longest_delay_has_final_links():
    masks, tracker = crowd(), random_tracker(stride=1)
    expected = tracker.track(None, masks)
    wrong = []
    for delay in (0, 1, 2):
        session = Session(tracker, delay=delay)
        push_all(session, masks)
        found = session.finish().edges
        n = len(found.source)
        same = n == len(expected.edges) and (found.target == expected.edges.target).all()
        wrong.append(not same)
    assert wrong == [True, True, False]


class NearModel(RandomModel):
    """A model that is sure of cells that hardly move."""

    def associate(self, tokens, max_gap=1):
        time, place = tokens.coordinates[:, 0], tokens.coordinates[:, 1:]
        distance = np.linalg.norm(place[:, None] - place[None], axis=2)
        gap = time[None] - time[:, None]
        source, target = np.nonzero((gap >= 1) & (gap <= max_gap) & (distance < 10))
        return Edges(source, target, np.full(len(source), 0.9))


def test_links_of_very_long_movies_are_distinguished():
    """With 1,500,163 rows, products of two rows exceed 32 bits, and these two were the same."""
    some, others = (
        Edges(np.array([source], np.int32), np.array([target], np.int32), np.ones(1))
        for source, target in ((1499562, 1500162), (1496699, 1499535))
    )
    assert _changed(some, others).tolist() == [0]
    assert _changed(some, some).tolist() == []


def squares(places):
    """Return masks (T, 50, 50) of squares with the labels and corners of each frame."""
    masks = np.zeros((len(places), 50, 50), np.uint16)
    for mask, cells in zip(masks, places, strict=True):
        for label, (y, x) in cells.items():
            mask[y : y + 6, x : x + 6] = label
    return masks


def test_a_cell_that_is_missed_in_a_frame_keeps_its_track():
    """
    frame 0   1 2      frame 1   1 .      frame 2   1 2
    """
    seen = {1: (5, 5), 2: (25, 25)}
    masks = squares([seen, {1: (5, 5)}, seen])
    for max_gap, track, appeared in ((1, 5, [2]), (2, 2, [])):
        session = Session(Tracker(NearModel(), linker("greedy", max_gap=max_gap)))
        updates = push_all(session, masks)
        assert updates[1].lost.label.tolist() == [2]
        assert updates[2].objects.track.tolist() == [1, track]
        assert updates[2].appeared.label.tolist() == appeared
        assert ((0, 2, 2, 2) in ends(updates[2].links)) == (max_gap == 2)
    assert session.finish().tracklets.tolist() == [[1, 0, 2, 0], [2, 0, 0, 0], [3, 2, 2, 2]]


def test_contents_of_an_update():
    """
    frame 0   1 2      frame 1   1 2      frame 2   1 2
              3                  .                  .  4 (new)
    """
    places = [{1: (5, 5), 2: (5, 25), 3: (25, 5)}, {1: (5, 6), 2: (6, 25)}]
    masks = squares([*places, {**places[1], 4: (40, 40)}])
    updates = push_all(Session(Tracker(NearModel(), linker("greedy"))), masks)
    assert [u.frame for u in updates] == [0, 1, 2]
    assert [u.objects.track.tolist() for u in updates] == [[1, 2, 3], [1, 2], [1, 2, 8]]
    assert [u.appeared.label.tolist() for u in updates] == [[], [], [4]]
    assert [u.lost.label.tolist() for u in updates] == [[], [3], []]
    assert ends(updates[2].links) == {(1, 1, 2, 1), (1, 2, 2, 2)}
    np.testing.assert_array_equal(updates[2].appeared.centroid, [[42.5, 42.5]])
    assert [u.final_frame for u in updates] == [0, 0, 0]


@pytest.mark.parametrize("regime", REGIME_PROBABILITIES)
def test_simulated_movies_are_tracked_as_a_whole(tracker, regime):
    rng = np.random.default_rng(5)
    parameters = random_parameters(rng, regime=regime, max_cells=50)
    movie = render(replace(parameters, n_frames=7), seed=1)
    session = Session(tracker)
    push_all(session, movie.masks, movie.images)
    expected = tracker.track(movie.images, movie.masks)
    assert len(expected.edges) > 20
    assert_same(session.finish(), expected)


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_movies_shorter_than_the_window_are_tracked(n_frames):
    masks = crowd(8)[:n_frames]
    session = Session(random_tracker())
    push_all(session, masks)
    lineage = session.finish()
    assert len(lineage.detections) == 30 * n_frames
    if n_frames > 1:
        assert_same(lineage, random_tracker().track(None, masks))


# The other golden cases have the movie of feat1.
@pytest.mark.parametrize(
    ("name", "model"),
    [("bacteria", "general_2d"), ("feat1", "general_2d"), ("rope3d", "general_3d")],
)
def test_golden_movies_are_tracked_as_a_whole(name, model):
    case, tracker = load_case(name), Tracker.load(model, device="cpu")
    session = Session(tracker)
    push_all(session, case["masks"], case["imgs"])
    expected = tracker.track(case["imgs"], case["masks"])
    assert len(expected.edges) > 20
    assert_same(session.finish(), expected)


def test_a_model_that_needs_the_movies_intensities_is_given_them(tmp_path):
    case, folder = load_case("bacteria"), model_folder("bacteria")
    export_model(load_model(folder), load_spec(folder), tmp_path / "model.onnx")
    imported = Tracker.load(tmp_path / "model.onnx", device="cpu")
    with pytest.raises(InputError, match="give intensity_range"):
        Session(imported).push(case["imgs"][0], case["masks"][0])
    histogram = IntensityHistogram()
    for image in case["imgs"]:
        histogram.add(image)
    session = Session(imported, intensity_range=histogram.range())
    push_all(session, case["masks"], case["imgs"])
    assert_same(session.finish(), imported.track(case["imgs"], case["masks"]))


def test_fields_of_view_are_independent():
    masks, other = crowd(), crowd()[::-1]
    session = Session(random_tracker())
    for first, second in zip(masks, other, strict=True):
        session.push(None, first, fov="A1")
        session.push(None, second[:50], fov=("B", 2))
    assert_same(session.finish("A1"), random_tracker().track(None, masks))
    assert_same(session.finish(("B", 2)), random_tracker().track(None, other[:, :50]))
    with pytest.raises(InputError, match="field of view 'A1' has no frames"):
        session.finish("A1")


def test_detections_are_as_good_as_masks():
    masks = crowd()
    session, rng = Session(random_tracker()), np.random.default_rng(0)
    for mask in masks:
        found = detect(Frame(3, None, mask), 2)
        session.push_detections(found.rows(rng.permutation(len(found))))
    assert_same(session.finish(), random_tracker().track(None, masks))


def test_points_are_tracked():
    session = Session(Tracker(NearModel(), linker("greedy")))
    session.push_points([[5, 5], [30, 30]])
    update = session.push_points([[31, 30], [5, 6]])
    assert ends(update.links) == {(0, 1, 1, 2), (0, 2, 1, 1)}
    assert session.push_points([]).lost.label.tolist() == [1, 2]


def test_options_that_need_the_whole_movie_are_rejected():
    with pytest.raises(InputError, match="the whole movie"):
        Session(random_tracker("lap"))
    with pytest.raises(InputError, match="the delay is 3 frames; give 0 to 2"):
        Session(random_tracker(), delay=3)


def test_memory_grows_only_by_the_tracks():
    masks, session = crowd(10)[:7], Session(random_tracker())

    def push(n_frames):
        for number in range(n_frames):
            session.push(None, masks[number % 7])
        return tracemalloc.get_traced_memory()[0]

    push(20)  # compiles
    tracemalloc.start()
    before = push(1)
    growth = push(200) - before
    tracemalloc.stop()
    assert len(session.fields[0].stream.state()["n_scored"]) <= RandomModel.spec.window
    lineage = session.finish()
    found, kept = lineage.detections, lineage.edges
    arrays = [found.frame, found.label, found.centroid, found.features, lineage.tracklet_id]
    arrays += [kept.source, kept.target, kept.score]
    per_frame = sum(array.nbytes for array in arrays) / len(set(found.frame))
    # Besides the tracks, Python's share of a dozen arrays; a stored mask would be 8 kB.
    assert growth / 200 < per_frame + 2000


def test_a_longest_link_that_needs_the_whole_movie_is_rejected():
    tracker = Tracker.load("general_2d", max_distance="auto", device="cpu")
    with pytest.raises(InputError, match="auto"):
        Session(tracker)


def test_volumes_are_seen_with_the_size_of_their_voxels(tmp_path):
    voxel_um = (2.0, 0.5, 0.5)
    parameters = random_parameters(np.random.default_rng(3), ndim=3, regime="nuclei", max_cells=15)
    masks = render(parameters, 1).masks[:6]
    tracker = Tracker.load("general_3d", max_distance="8um", device="cpu")
    expected = tracker.track(None, masks, voxel_um=voxel_um)
    session = Session(tracker, voxel_um=voxel_um)
    push_all(session, masks[:4])
    save_session(session, tmp_path / "session.npz")
    session = load_session(tmp_path / "session.npz", tracker)
    push_all(session, masks[4:])
    assert len(expected.edges) > 20
    assert_same(session.finish(), expected)
    with pytest.raises(InputError, match="does not specify its pixel size"):
        Session(tracker)
    with pytest.raises(InputError, match="movie is 3D"):
        Session(tracker, voxel_um=(0.5, 0.5))
