"""Nothing is computed twice: a run reuses cached results of earlier runs, to the last bit."""

import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from equal_edges import assert_equal_edges
from small_movies import write_folder
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import association as chunk_module
from trackastra_engine.association import chunks, edge_stream
from trackastra_engine.association.association import Association, WindowScores
from trackastra_engine.association.cache import read_edges
from trackastra_engine.association.cache_index import FILE_NAME, CachedMovie
from trackastra_engine.association.edge_stream import EdgeStream, usual_gap
from trackastra_engine.detection.detections import detect
from trackastra_engine.files.replace import PRIVATE, is_half_filled, refilled_folder
from trackastra_engine.jobs.relink import relinked
from trackastra_engine.linking import linker
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.model.edges import concatenate_edges
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.frames import Movie, open_movie

ROOT = Path(__file__).parent.parent
WINDOW = 4  # frames, of the model that replaces a network


class KnownModel(RandomModel):
    """Random scores that depend only on tokens, with a name for cache keys."""

    identity = "random"


@pytest.fixture(autouse=True)
def chunks_of_five_frames(monkeypatch):
    monkeypatch.setattr(chunk_module, "CHUNK_FRAMES", 5)


@pytest.fixture
def masks(tmp_path):
    return write_folder(tmp_path / "masks", crowd(40, 12))


class Run:
    """A movie tracked with a cache: its links, and the numbers of computed frames and windows."""

    def __init__(self, masks, cache, images=None, model=None, mode="greedy", **options):
        self.model = model or KnownModel()
        self.model.n_windows, self.frames = 0, []
        link = linker(mode, max_gap=options.pop("max_gap", 1))
        movie = open_movie(images, masks)
        options = {
            "threads": 1,
            "align": "off",  # each window is scored and counted once
            "stride": 1,
            **options,
        }
        lineage = Tracker(self.model, link, **options).track_movie(self.watched(movie), cache=cache)
        found, kept = lineage.detections, lineage.edges
        arrays = [found.frame, found.label, found.centroid, found.features]
        self.bytes = b"".join(a.tobytes() for a in (*arrays, kept.source, kept.target, kept.score))

    def watched(self, movie):
        run = self

        class Watched(Movie):
            def frames(self, indices):
                for frame in super().frames(indices):
                    run.frames.append(frame.index)
                    yield frame

        return Watched(movie.masks, movie.images, movie.voxel_um)

    @property
    def work(self):
        return len(self.frames), self.model.n_windows


@pytest.mark.parametrize("small", [0, 40, 100])  # at 40, only windows with the empty frame
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("n_frames", [2, 3, 4, 5, 9, 11, 12, 13, 23])
def test_edges_of_chunks_are_those_of_the_whole_movie(n_frames, stride, small, monkeypatch):
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", small)
    association = Association(KnownModel(), stride, max_gap=1)
    frames = [detect(frame, 2) for frame in open_movie(None, crowd(23, 12)[:n_frames])]
    stream = EdgeStream(association.score(None), association.spec, stride=stride)
    parts = [part for frame in frames for part in stream.push(frame)] + stream.finish()
    whole = concatenate_edges(part.edges.shifted(part.first_row) for part in parts)

    row, joined = 0, []
    for chunk in association.chunks(n_frames):
        seen = [frames[index] for index in chunk.reach]
        edges = association.edges(chunk, seen, WindowScores(association, None))
        joined.append(edges.shifted(row))
        row += sum(len(frames[index]) for index in chunk.frames)
    assert_equal_edges(concatenate_edges(joined), whole)


def test_a_second_run_neither_reads_nor_scores(masks, tmp_path):
    first = Run(masks, tmp_path / "cache")
    second = Run(masks, tmp_path / "cache")
    assert first.work == (40, 37)  # a window begins at each frame but the last three
    assert second.work == (0, 0)
    assert first.bytes == second.bytes == Run(masks, None).bytes


def test_a_stopped_run_continues(masks, tmp_path):
    class StoppedModel(KnownModel):
        def associate(self, tokens, max_gap=1):
            if self.n_windows == 20:
                raise KeyboardInterrupt
            return super().associate(tokens, max_gap)

    with pytest.raises(KeyboardInterrupt):
        Run(masks, tmp_path / "cache", model=StoppedModel())
    went_on = Run(masks, tmp_path / "cache")
    # Windows 0 to 19 made the edges of frames 0 to 19; those from 17 on also contain frame 20.
    assert went_on.model.n_windows == 37 - 17
    assert len(went_on.frames) <= 40 - 20
    assert went_on.bytes == Run(masks, None).bytes


def test_one_new_mask_recomputes_only_its_chunk_and_windows(masks, tmp_path):
    Run(masks, tmp_path / "cache")
    tifffile.imwrite(masks / "t012.tif", crowd(40, 7)[12])
    again = Run(masks, tmp_path / "cache")
    assert sorted(again.frames) == [10, 11, 12, 13, 14]
    assert again.model.n_windows == 18  # of the chunks from 5, 10 and 15: from 2 to 19
    assert again.bytes == Run(masks, None).bytes


@pytest.mark.parametrize(
    "options", [{"stride": 2}, {"max_gap": 2}, {"stride": 2, "max_gap": 2}], ids=str
)
def test_other_options_recompute_scores_but_measure_nothing(masks, tmp_path, options):
    Run(masks, tmp_path / "cache")
    other = Run(masks, tmp_path / "cache", **options)
    assert other.frames == []
    assert other.model.n_windows > 0
    assert other.bytes == Run(masks, None, **options).bytes
    assert Run(masks, tmp_path / "cache").work == (0, 0)  # chunks of other options stay


def test_another_model_recomputes_scores(masks, tmp_path):
    class OtherModel(KnownModel):
        identity = "other"

    Run(masks, tmp_path / "cache")
    assert Run(masks, tmp_path / "cache", model=OtherModel()).work == (0, 37)


def test_linkers_share_scores(masks, tmp_path):
    Run(masks, tmp_path / "cache")
    for mode in ("ilp", "lap"):
        linked = Run(masks, tmp_path / "cache", mode=mode)
        assert linked.work == (0, 0)
        assert linked.bytes == Run(masks, None, mode=mode).bytes


class MovieModel(KnownModel):
    """Needs intensities relative to those of the whole movie."""

    spec = ModelSpec("movie", 2, WINDOW, "upstream", "movie", 8.0, "above_threshold")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_intensities_of_the_whole_movie_are_cached_too(masks, tmp_path, dtype):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 100, (40, 64, 64)).astype(dtype)
    images = write_folder(tmp_path / "images", frames)
    first = Run(masks, tmp_path / "cache", images, MovieModel())
    assert Run(masks, tmp_path / "cache", images, MovieModel()).work == (0, 0)
    assert first.bytes == Run(masks, None, images, MovieModel()).bytes

    tifffile.imwrite(images / "t003.tif", (frames[3] + 100).astype(dtype))  # now others are dark
    brighter = Run(masks, tmp_path / "cache", images, MovieModel())
    assert brighter.work == (5, 37)
    assert brighter.bytes == Run(masks, None, images, MovieModel()).bytes


def test_a_run_does_not_end_before_its_last_detections_are_cached(masks, tmp_path, monkeypatch):
    # As in a thread that is so late that it has only finished awaited tasks.
    monkeypatch.setattr(chunks, "computed_ahead", lambda items, n_ahead: nullcontext(items))
    Run(masks, tmp_path / "cache")
    assert Run(masks, tmp_path / "cache").work == (0, 0)


def test_movies_share_a_cache(masks, tmp_path):
    other = write_folder(tmp_path / "other", crowd(40, 9))
    runs = [Run(movie, tmp_path / "cache") for movie in (masks, other, masks, other)]
    assert [run.work for run in runs] == [(40, 37), (40, 37), (0, 0), (0, 0)]
    assert runs[2].bytes == Run(masks, None).bytes
    assert runs[3].bytes == Run(other, None).bytes


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "garbage", "others"])
def test_damaged_chunks_are_recomputed_with_a_warning(masks, tmp_path, caplog, damage):
    Run(masks, tmp_path / "cache")
    for kind in ("detections", "edges"):
        path = sorted((tmp_path / "cache").glob(f"{kind}-*.npz"))[0]
        content = bytearray(path.read_bytes())
        content[len(content) // 3] ^= 255
        damaged = {"cut": content[:-40], "empty": b"", "flipped": content, "garbage": b"masks"}
        path.write_bytes(damaged.get(damage, b""))
        if damage == "others":
            np.savez(path, labels=np.arange(3))
    again = Run(masks, tmp_path / "cache")
    assert caplog.text.count("is damaged") == 2
    assert len(again.frames) == 5
    assert again.bytes == Run(masks, None).bytes
    assert Run(masks, tmp_path / "cache").work == (0, 0)


@pytest.mark.parametrize("change", [1, 255])
def test_no_flipped_byte_of_a_file_stops_a_run_or_changes_edges(tmp_path, change):
    path = tmp_path / "edges.npz"
    np.savez(path, source=np.arange(3), target=np.arange(3, 6), score=np.full(3, 0.5))
    whole = path.read_bytes()
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place] + bytes([byte ^ change]) + whole[place + 1 :])
        edges = read_edges(path)
        assert edges is None or edges.target.tolist() == [3, 4, 5], place


def test_a_cache_that_cannot_grow_is_rejected_before_work_starts(masks, tmp_path, monkeypatch):
    Run(masks, tmp_path / "cache")
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert Run(masks, tmp_path / "cache").work == (0, 0)
    monkeypatch.setattr(Movie, "frames", None)
    monkeypatch.setattr(Association, "edges", None)
    for name, stride in (("cache", 2), ("other", 1)):
        with pytest.raises(InputError, match=rf"{name}.*npz cannot be written: .* is read-only"):
            Run(masks, tmp_path / name, stride=stride)


def test_arrays_are_not_cached(tmp_path):
    with pytest.raises(InputError, match="arrays in memory cannot be cached"):
        Run(crowd(8, 5), tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []


# A folder of results that is replaced -----------------------------------------------------------


def filled(folder, *names):
    ours = ("ctc", "edges.csv", "tracks.csv")
    with refilled_folder(folder, ours=ours, last="edges.csv") as partial:
        for name in names:
            (partial / name).write_text("new")


def test_new_results_replace_all_earlier_ones(tmp_path):
    filled(tmp_path / "out", "ctc", "edges.csv", "tracks.csv")
    (tmp_path / "out" / "mine.txt").write_text("")
    filled(tmp_path / "out", "edges.csv")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["edges.csv", "mine.txt"]


def test_a_run_that_dies_while_results_are_moved_leaves_a_sign(tmp_path, monkeypatch):
    filled(tmp_path, "ctc", "edges.csv")
    moved = []

    def move_one(path, target):
        if len(moved) == 2:
            raise KeyboardInterrupt
        moved.append(target.name)
        return rename(path, target)

    rename = Path.rename
    monkeypatch.setattr(Path, "rename", move_one)
    with pytest.raises(KeyboardInterrupt):
        filled(tmp_path, "edges.csv", "tracks.csv")
    monkeypatch.undo()
    assert moved == ["moved", "tracks.csv"]  # edges.csv is the sign of success, and is moved last
    assert is_half_filled(tmp_path)
    filled(tmp_path, "edges.csv", "tracks.csv")
    assert not is_half_filled(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edges.csv", "tracks.csv"]


def contents(folder):
    """Return the bytes of all results by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".trackastra" not in path.parts
    }


def test_a_run_that_is_killed_repeatedly_gives_the_bytes_of_an_uninterrupted_one(tmp_path):
    masks = tmp_path / "masks.tif"
    tifffile.imwrite(masks, crowd(200, 8), photometric="minisblack")
    for name, n_kills in (("never", 0), ("killed", 8)):
        program = [sys.executable, ROOT / "tests" / "killed_runs.py", masks, tmp_path / name]
        done = subprocess.run(
            [*program, str(n_kills)], capture_output=True, text=True, check=False, cwd=ROOT
        )
        assert done.returncode == 0, done.stderr
    # The number of kills until a run ends depends on the speed of the machine.
    assert int(done.stdout.splitlines()[-1]) >= 1
    assert contents(tmp_path / "killed") == contents(tmp_path / "never")
    assert len(contents(tmp_path / "never")) > 200


class ShortModel(KnownModel):
    """A model whose windows of 3 frames cover links over a gap at a stride of 1 only."""

    spec = replace(RandomModel.spec, window=3)
    path, digest = Path("short.onnx"), "short"


@pytest.mark.parametrize(("stride", "gap"), [(1, 2), (2, 1)])
def test_links_are_made_again_with_the_longest_link_of_the_tracking(masks, tmp_path, stride, gap):
    model, out = ShortModel(), tmp_path / "out"
    assert usual_gap(model.spec, stride) == gap
    tracker = Tracker(model, linker("greedy", max_gap=gap), stride=stride, align="off", rates="off")
    index = out / PRIVATE / FILE_NAME
    expected = tracker.track_movie(open_movie(None, masks), cache=index.parent, index=index)
    again = relinked(CachedMovie.read(out), LinkingOptions(rates="off"), None).lineage
    np.testing.assert_array_equal(again.edges.target, expected.edges.target)
    frame, edges = again.detections.frame, again.edges
    assert (frame[edges.target] - frame[edges.source]).max() == gap
