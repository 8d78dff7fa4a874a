"""Linking again from the cache of a run: the tables equal those of a new tracking."""

import shutil

import pytest
import tifffile

from command_line import error_of, exported, run
from trackastra_engine.association import association as chunk_module
from trackastra_engine.simulation import Motion, SimulationParameters, render

PARAMETERS = SimulationParameters(n_frames=14, n_cells=30, motion=Motion(drift=(0.1, 0.1)))
TABLES = ("edges.csv", "tracks.csv", "track_features.csv", "review.csv")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported("rope2d", tmp_path_factory.mktemp("models"), max_frame_gap=2)


@pytest.fixture
def tracked(tmp_path, model, monkeypatch):
    """The command that tracks a movie, without its output, and a folder of its results.

    Detections and edges over up to two frames are cached there; the chunks are short.
    """
    monkeypatch.setattr(chunk_module, "CHUNK_FRAMES", 5)
    masks = tmp_path / "masks.tif"
    tifffile.imwrite(masks, render(PARAMETERS, seed=1).masks, photometric="minisblack")
    command = ("track", "--masks", masks, "--model", model, "--no-report", "--voxel", "0.5,0.5")
    result = run(*command, "-o", tmp_path / "out", "--max-gap", "2")
    assert result.exit_code == 0, result.output
    return command, tmp_path / "out"


@pytest.mark.parametrize(
    "options",
    [
        ("--max-gap", "2", "--mode", "ilp", "--max-distance", "40"),
        ("--max-gap", "2", "--mode", "lap", "--max-distance", "12um"),
        ("--min-track-length", "3"),
        ("--mode", "greedy_nodiv", "--max-distance", "auto"),
        ("--mode", "ilp", "--ilp-costs", "gt", "--min-division-score", "0.6"),
    ],
    ids=" ".join,
)
def test_links_are_those_of_a_new_tracking(tracked, tmp_path, options):
    command, out = tracked
    assert run(*command, "-o", tmp_path / "new", *options).exit_code == 0
    (tmp_path / "masks.tif").unlink()
    result = run("link", out, "-o", tmp_path / "linked", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Tracked 14 frames with ")
    for name in TABLES:
        expected = (tmp_path / "new" / name).read_text()
        assert (tmp_path / "linked" / name).read_text() == expected
    assert {path.name for path in (tmp_path / "linked").iterdir()} == {*TABLES, "report.html"}
    page = (tmp_path / "linked" / "report.html").read_text("utf-8")
    assert "0.5 x 0.5 " in page
    # Also if it is the usual one, which is 1 with this model of upstream.
    assert f'["max gap","{2 if "--max-gap" in options else 1}"]' in page


def test_in_place_no_earlier_result_stays_next_to_the_new_ones(tracked, tmp_path):
    _, out = tracked
    moved = tmp_path / "moved"
    shutil.move(out, moved)  # with its cache
    before = (moved / "edges.csv").read_text()
    for options in (("--mode", "greedy_nodiv", "--max-distance", "5"), ("--max-gap", "2")):
        result = run("link", moved, *options, "--no-report")
        assert result.exit_code == 0, result.output
        assert {path.name for path in moved.iterdir()} == {*TABLES, ".trackastra"}
        assert ("which had the earlier tracks; run track with these options" in result.stderr) == (
            "5" in options
        )
        assert ((moved / "edges.csv").read_text() == before) == ("5" not in options)


def test_in_place_the_formats_of_the_earlier_results_are_written_again(tracked):
    command, out = tracked
    formats = ("--format", "csv,trackmate,napari,mastodon")
    assert run(*command, "-o", out, "--overwrite", "--max-gap", "2", *formats).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    result = run("link", out, "--no-report", "--mode", "greedy_nodiv", "--max-distance", "5")
    assert result.exit_code == 0, result.output
    assert "removed" not in result.stderr
    after = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert after.keys() == before.keys()
    for name in ("edges.csv", "tracks.xml", "napari_tracks.csv", "mastodon.csv"):
        assert after[name] != before[name]

    result = run("link", out, "--no-report", "--format", "csv,mastodon")
    for name, form in (("tracks.xml", "trackmate"), ("napari_graph.json", "napari")):
        assert not (out / name).exists()
        assert f"{name}, which had the earlier tracks; add {form} to --format" in result.stderr
    assert (out / "mastodon.csv").exists()


def test_in_place_masks_without_tables_are_named_when_they_are_removed(tracked):
    command, out = tracked
    only_masks = ("--format", "ctc", "--max-gap", "2")
    assert run(*command, "-o", out, "--overwrite", *only_masks).exit_code == 0
    result = run("link", out, "--no-report")
    assert result.exit_code == 0, result.output
    assert "ctc, which had the earlier tracks; run track with these options" in result.stderr
    assert {path.name for path in out.iterdir()} == {*TABLES, ".trackastra"}


def test_masks_are_written_again_by_track_from_the_cache(tracked, monkeypatch):
    command, out = tracked
    monkeypatch.setattr("trackastra_engine.model.onnx_model.AssociationModel.associate", None)
    monkeypatch.setattr("trackastra_engine.association.measured.detect", None)
    result = run(*command, "-o", out, "--overwrite", "--max-gap", "2", "--mode", "ilp")
    assert result.exit_code == 0, result.output
    assert (out / "ctc").is_dir()


def test_nothing_is_written_inside_results_that_later_runs_replace(tracked, tmp_path):
    command, out = tracked
    before = sorted(path.name for path in out.iterdir())
    for words in (
        ("link", out, "-o", out / "ilp"),
        ("convert", out, "--to", "csv", "-o", out / "converted"),
        (*command, "-o", out, "--overwrite", "--json", out / "figures.json"),
        (*command, "-o", out, "--overwrite", "--cache", out / "cache"),
    ):
        assert f"is inside the output {out}; choose" in error_of(tmp_path, *words)
    assert sorted(path.name for path in out.iterdir()) == before


def test_results_that_cannot_be_linked_again(tracked, tmp_path):
    _, out = tracked
    assert "run track with the same inputs" in error_of(tmp_path, "link", out, "--format", "ctc")
    assert "give 1 or 2, or, if the model has learned such links, track" in error_of(
        tmp_path, "link", out, "--max-gap", "3"
    )
    assert "give 1 or 2" in error_of(tmp_path, "link", out, "--max-gap", "0")
    new = ("-o", tmp_path / "new")
    assert "contains no cached detections" in error_of(tmp_path, "link", tmp_path / "nowhere", *new)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "edges.csv").write_text("")
    assert "is not empty; choose another" in error_of(tmp_path, "link", out, *new)
    shutil.rmtree(tmp_path / "new")
    sorted((out / ".trackastra").glob("edges-*"))[0].unlink()
    assert "is not complete; track the movie again" in error_of(tmp_path, "link", out, *new)
    (out / ".trackastra" / "movie.json").write_text("{}")
    assert "is damaged" in error_of(tmp_path, "link", out, *new)


def test_a_distance_in_micrometres_needs_a_size_of_pixels(tracked, tmp_path):
    """link has no --voxel."""
    command, out = tracked
    assert run(*command[:-2], "-o", out, "--overwrite").exit_code == 0
    sentence = error_of(tmp_path, "link", out, "--max-distance", "12um")
    assert "distance is 12um, but the movie does not specify its pixel size; track it" in sentence
    assert "again with --voxel, or" in sentence


def test_after_points_the_movie_of_an_earlier_run_cannot_be_linked(tracked, model, tmp_path):
    _, out = tracked
    points = tmp_path / "points.csv"
    points.write_text("frame,y,x\n0,5,5\n0,20,20\n1,5,6\n1,20,21\n")
    command = ("track", "--points", points, "--model", model, "-o", out, "--no-report")
    result = run(*command, "--overwrite")
    assert result.exit_code == 0, result.output
    assert "contains no cached detections" in error_of(tmp_path, "link", out)


def test_the_cache_of_an_earlier_run_with_other_options_is_removed(tracked):
    command, out = tracked
    files = {path.name for path in (out / ".trackastra").iterdir()}
    assert len(files) == 2 * 3 + 1
    assert run(*command, "-o", out, "--overwrite").exit_code == 0
    left = {path.name for path in (out / ".trackastra").iterdir()}
    assert len(left) == 7
    assert {name for name in files & left if name.startswith("edges-")} == set()


def test_a_cache_of_another_version_is_replaced_with_a_warning(tracked, monkeypatch):
    command, out = tracked
    monkeypatch.setattr("trackastra_engine.association.cache.FORMAT_VERSION", 0)
    result = run(*command, "-o", out, "--overwrite", "--max-gap", "2")
    assert result.exit_code == 0, result.output
    assert "removed 3 cached chunks of other files or of another version" in result.stderr
