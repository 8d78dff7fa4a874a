"""Properties of any movie, however odd: a forest of all its objects, the same every time."""

import tempfile
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from test_streaming import RandomModel
from trackastra_engine import Tracker
from trackastra_engine.linking import MODES, linker
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.ctc import write_ctc

SIDE = 6
labels = st.one_of(st.integers(1, 4), st.sampled_from([255, 65_536, 2**31 - 1, 2**31]))


@st.composite
def movies(draw):
    """Masks (T, 6, 6) of pixels with sparse labels; any frames but one may be empty."""
    n_frames = draw(st.integers(2, 7))
    masks = np.zeros((n_frames, SIDE, SIDE), draw(st.sampled_from([np.uint32, np.int64])))
    pixel = st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1))
    for mask in masks:
        for place, label in draw(st.dictionaries(pixel, labels, max_size=8)).items():
            mask[place] = label
    masks[draw(st.integers(0, n_frames - 1)), 0, 0] = draw(labels)
    return masks


def files_of(lineage, masks):
    """Return the names and contents of the files of a result, and the masks in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "ctc"
        write_ctc(lineage, open_movie(None, masks), folder)
        paths = sorted(folder.iterdir())
        written = [tifffile.imread(path) for path in paths if path.suffix == ".tif"]
        return {path.name: path.read_bytes() for path in paths}, np.stack(written)


@given(movies(), st.sampled_from(MODES), st.integers(1, 2))
@settings(max_examples=80, deadline=None)
def test_every_object_is_in_one_track_and_every_run_the_same(masks, mode, max_gap):
    tracker = Tracker(RandomModel(), linker(mode, max_gap=max_gap))
    lineage = tracker.track(None, masks)
    found, edges = lineage.detections, lineage.edges
    objects = {(t, label) for t, mask in enumerate(masks) for label in np.unique(mask) if label}
    assert set(zip(found.frame.tolist(), found.label.tolist(), strict=True)) == objects
    assert len(found) == len(objects)

    gap = found.frame[edges.target] - found.frame[edges.source]
    assert ((gap >= 1) & (gap <= max_gap)).all()  # so that there is no cycle
    assert np.bincount(edges.target, minlength=1).max() <= 1
    max_children = 1 if mode.endswith("nodiv") else 2
    assert np.bincount(edges.source, minlength=1).max() <= max_children

    files, written = files_of(lineage, masks)
    assert (written[masks == 0] == 0).all()
    track = {}  # of each object, from the pixels that were written
    for (t, label), number in zip(sorted(objects), lineage.tracklet_id.tolist(), strict=True):
        (track[t, label],) = np.unique(written[t][masks[t] == label])
        assert track[t, label] == number
    frames_of = {}
    for (t, _), number in track.items():
        frames_of.setdefault(int(number), []).append(t)
    table = {number: row for number, *row in lineage.tracklets.tolist()}
    assert table.keys() == frames_of.keys()
    for number, (first, last, parent) in table.items():
        assert sorted(frames_of[number]) == list(range(first, last + 1))
        assert parent == 0 or table[parent][1] < first

    again, _ = files_of(tracker.track(None, masks.copy()), masks)
    assert again == files
