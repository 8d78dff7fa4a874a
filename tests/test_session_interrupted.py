"""A session continues from a file, and after frames that are missing, rejected or not scored."""

import numpy as np
import pytest

from test_session import DELAYS, assert_same, ends, push_all, random_tracker
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.linking import linker
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.online import OnlineTracker, Session, load_session, save_session


@pytest.fixture(scope="module")
def tracker():
    return Tracker.load(device="cpu")


@pytest.mark.parametrize("max_gap", [1, 2])
@pytest.mark.parametrize("delay", [None, 1])
@pytest.mark.parametrize("stop", [0, 1, 3, 9])
def test_a_session_continues_from_a_file(tmp_path, stop, delay, max_gap):
    masks, tracker = crowd(), random_tracker(max_gap=max_gap)
    whole, first = Session(tracker, delay=delay), Session(tracker, delay=delay)
    expected = push_all(whole, masks)
    push_all(first, masks[:stop])
    save_session(first, str(tmp_path / "session.npz"))
    second = load_session(tmp_path / "session.npz", tracker)
    for mask, update in zip(masks[stop:], expected[stop:], strict=True):
        found = second.push(None, mask)
        assert (found is None) == (update is None)
        if found is not None:
            assert ends(found.links) == ends(update.links)
            assert ends(found.removed_links) == ends(update.removed_links)
            assert found.objects.track.tolist() == update.objects.track.tolist()
            assert found.renamed.track.tolist() == update.renamed.track.tolist()
            assert found.final_frame == update.final_frame
    assert_same(second.finish(), whole.finish())


def test_the_limit_of_objects_is_saved_in_the_file(tmp_path):
    save_session(Session(random_tracker(), max_objects=29), tmp_path / "session.npz")
    session = load_session(tmp_path / "session.npz", random_tracker())
    with pytest.raises(InputError, match="more than 29 objects"):
        session.push(None, crowd()[0])


@pytest.mark.parametrize("voxel", [np.array([0.5, 0.25]), tuple(np.float32([0.5, 0.25]))])
def test_options_of_numpy_are_saved(voxel, tmp_path):
    session = Session(
        random_tracker(), delay=np.int64(1), voxel_um=voxel, max_objects=np.uint32(99)
    )
    session.push(None, crowd()[0])
    save_session(session, tmp_path / "session.npz")
    loaded = load_session(tmp_path / "session.npz", random_tracker())
    assert (loaded.delay, loaded.voxel_um, loaded.max_objects) == (1, (0.5, 0.25), 99)


EDGES_DAMAGED = [  # stored for links over gaps
    ("edges/source", lambda a: a + 99),
    ("edges/target", lambda a: a - 99),
    ("edges/score", lambda a: a[1:]),
    ("n_edges", lambda a: a[:1]),
]


@pytest.mark.parametrize("max_gap", [1, 2])
def test_damaged_files_are_rejected(max_gap, tmp_path):
    tracker, path = random_tracker(max_gap=max_gap), tmp_path / "session.npz"
    session = Session(tracker)
    push_all(session, crowd()[:6])
    save_session(session, path)
    with np.load(path) as stored:
        arrays = dict(stored)
    for name, damage in [
        ("numbers", np.flip),
        ("n_detections", lambda a: a[:-1]),
        ("detections/frame", lambda a: a + 1),
        ("detections/label", lambda a: a[1:]),
        ("detections/centroid", lambda a: a[:, :1]),
        ("detections/features", lambda a: a[:, :3]),
        ("links/source", lambda a: a - 9),
        ("links/target", lambda a: a + 10**6),
        ("links/score", lambda a: a[1:]),
        ("n_links", lambda a: a[:2]),
        *(EDGES_DAMAGED if max_gap == 2 else ()),
        ("stream/source", lambda a: a - 99),
        ("stream/target", lambda a: a + 99),
        ("stream/n_scored", lambda a: a + 1),
    ]:
        np.savez(path, **{**arrays, f"0/{name}": damage(arrays[f"0/{name}"])})
        with pytest.raises(InputError, match="is not a saved session"):
            load_session(path, tracker)
    np.savez(path, header=np.array([{}]))
    with pytest.raises(InputError, match="is not a saved session"):
        load_session(path, tracker)
    path.write_text("frame,label")
    with pytest.raises(InputError, match="is not a saved session"):
        load_session(path, tracker)


def test_a_session_of_another_model_is_rejected(tmp_path, tracker):
    save_session(Session(random_tracker()), tmp_path / "session.npz")
    with pytest.raises(InputError, match="saved with another model than general_2d"):
        load_session(tmp_path / "session.npz", tracker)


LIMITED = {"max_distance": MaxDistance.parse("40px")}


@pytest.mark.parametrize(
    ("saved", "loading", "sentence"),
    [
        (random_tracker(max_gap=2), random_tracker(), "saved with max_gap=2; load"),
        (random_tracker(stride=2), random_tracker(stride=1), "saved with stride=2; load"),
        (random_tracker("greedy_nodiv"), random_tracker(), "saved with another linker; load"),
        (random_tracker("ilp"), random_tracker("lap"), "saved with another linker; load"),
        (
            Tracker(RandomModel(), linker("greedy"), align="off", **LIMITED),
            random_tracker(),
            "saved with another max_distance and align='off'; load",
        ),
    ],
)
def test_a_session_with_other_options_is_rejected(tmp_path, saved, loading, sentence):
    session = Session(saved)
    push_all(session, crowd()[:3])
    save_session(session, tmp_path / "session.npz")
    with pytest.raises(InputError, match=sentence):
        load_session(tmp_path / "session.npz", loading)
    load_session(tmp_path / "session.npz", saved)


def test_a_session_continues_with_the_same_options_in_other_types(tmp_path):
    limits = {"min_division_score": np.float64(0.6)}
    session = Session(Tracker(RandomModel(), linker("greedy", **limits), stride=np.int64(1)))
    save_session(session, tmp_path / "session.npz")
    same = Tracker(RandomModel(), linker("greedy", min_division_score=0.6), stride=1, threads=3)
    assert load_session(tmp_path / "session.npz", same).tracker is same


def test_a_missing_frame_is_reported_and_links_cross_it():
    masks, session = crowd(), Session(random_tracker())
    session.push(None, masks[0], frame=10)
    session.push(None, masks[1], frame=11)
    update = session.push(None, masks[2], frame=14)
    assert update.n_missed == 2
    assert len(update.links) > 10
    assert set(update.links.source_frame) == {11}
    lineage = session.finish()
    assert set(lineage.detections.frame) == {10, 11, 14}
    ends_at, starts_at = lineage.tracklets[:, 2], lineage.tracklets[:, 1]
    assert not ((starts_at < 14) & (ends_at == 14)).any()


def test_a_rejected_frame_changes_nothing():
    masks, session = crowd(), Session(random_tracker())
    session.push(None, masks[0])
    for image, mask, frame, said in [
        (None, masks[1][:30], None, "the mask of frame 1 in field of view 0 is 30 x 64"),
        (masks[1][:30], masks[1], None, "the image of frame 1 in field of view 0 is 30 x 64"),
        (None, masks[1] + 0.5, None, "which is no label"),
        (None, -masks[1].astype(int), None, "negative label"),
        (masks[1].astype(complex), masks[1], None, "expected real numbers"),
        (np.where(masks[1] > 0, np.nan, 0), masks[1], None, "has NaN or infinity inside objects"),
        (None, masks[1], 0, "frame 0 of field of view 0 follows frame 0"),
    ]:
        with pytest.raises(InputError, match=said):
            session.push(image, mask, frame=frame)
    with pytest.raises(InputError, match="model random needs 2D"):
        session.push(None, masks[:3], fov="new")
    assert list(session.fields) == [0]
    push_all(session, masks[1:])
    assert_same(session.finish(), random_tracker().track(None, masks))


def test_an_error_about_the_expected_frame_says_so():
    with pytest.raises(InputError, match=r"frame 0 in field of view \(prepare\) contains"):
        Session(random_tracker(), like=(None, -crowd()[0].astype(int)))
    session = Session(random_tracker())
    with pytest.raises(InputError, match=r"of field of view \(prepare\) has NaN"):
        session.prepare(np.full((64, 64), np.nan), crowd()[0][:64, :64])
    assert not session.fields


class FailingModel(RandomModel):
    """A model that may fail to score a window, as when memory is short."""

    fails = False

    def associate(self, tokens, max_gap=1):
        if self.fails:
            raise MemoryError
        return super().associate(tokens, max_gap)


@pytest.mark.parametrize("delay", DELAYS)
def test_a_frame_that_could_not_be_scored_may_be_pushed_again(delay):
    masks, model = crowd(), FailingModel()
    session = Session(Tracker(model, linker("greedy")), delay=delay)
    expected = Session(random_tracker(), delay=delay)
    for t, mask in enumerate(masks):
        if t > 3:
            model.fails = True
            with pytest.raises(MemoryError):
                session.push(None, mask)
            model.fails = False
        update, smooth = session.push(None, mask), expected.push(None, mask)
        assert (update is None) == (smooth is None)
        if update is not None and smooth is not None:
            assert ends(update.links) == ends(smooth.links)
            assert update.objects.track.tolist() == smooth.objects.track.tolist()
    assert_same(session.finish(), expected.finish())


def test_a_field_whose_first_frame_failed_is_not_known(monkeypatch):
    session = Session(random_tracker())

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr("trackastra_engine.association.edge_stream.EdgeStream.push", fail)
    with pytest.raises(MemoryError):
        session.push(None, crowd()[0])
    assert not session.fields


def test_fields_are_named_by_text_or_whole_numbers(tmp_path):
    session, masks = Session(random_tracker()), crowd()
    for fov in (np.int64(3), "a"):
        session.push(None, masks[0], fov=fov)
    save_session(session, tmp_path / "session.npz")
    assert list(load_session(tmp_path / "session.npz", random_tracker()).fields) == [3, "a"]
    session.push(None, masks[0], fov=(1, 2))
    with pytest.raises(InputError, match=r"\(1, 2\) cannot be saved; name fields by text or"):
        save_session(session, tmp_path / "session.npz")


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (51.5, "the frame 51.5 of field of view 0 is not a whole number"),
        ("52", "the frame '52' of field of view 0 is not a whole number"),
        (-5, "frame -5 of field of view 0 is the first, but numbers must increase, from 0 to"),
    ],
)
def test_wrong_numbers_of_frames_are_rejected(number, sentence):
    session = Session(random_tracker())
    with pytest.raises(InputError, match=sentence):
        session.push(None, crowd()[0], frame=number)
    assert not session.fields


def test_a_wrong_number_is_not_counted_on():
    """Frames without a number follow the last one that was right."""
    updates, wrong = [], []
    session = Session(random_tracker())

    def on_error(fov, frame, error):
        wrong.append(frame)

    with OnlineTracker(session, updates.append, on_error) as tracker:
        for mask, frame in zip(crowd(), [None, None, 1, None, "3", None, 2.0, 2**40], strict=False):
            tracker.push(None, mask, frame=frame)
        tracker.push(None, crowd()[8])
    assert wrong == [1, "3", 2.0, 2**40]
    assert [update.frame for update in updates] == [0, 1, 2, 3, 4]
