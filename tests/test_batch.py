"""Many movies: the ones that are tracked, their order, and the report on them."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from command_line import entries, error_of, run
from ome_zarrs import write_labels, write_plate
from small_movies import dividing_cell, write_folder
from trackastra_engine.batch.budget import Budget, need_mb
from trackastra_engine.batch.positions import find_positions
from trackastra_engine.batch.record import Record, fingerprint
from trackastra_engine.batch.summary import Outcome, write_summary
from trackastra_engine.errors import InputError
from trackastra_engine.linking.correction_table import COLUMNS
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.resources import n_usable_cores, usable_memory_mb
from trackastra_engine.system import cores, peak_memory_mb

QUICK = ("--format", "csv", "--no-report", "--device", "cpu")


@pytest.fixture
def plate(tmp_path):
    """Return a folder of three positions; the second is broken, and p10 follows p2."""
    images, masks = dividing_cell()
    for name in ("p1", "p2", "p10"):
        write_folder(tmp_path / "plate" / name / "images", images)
        write_folder(tmp_path / "plate" / name / "masks", masks)
    broken = tmp_path / "plate" / "p2" / "masks" / "t003.tif"
    broken.write_bytes(broken.read_bytes()[:200])
    (tmp_path / "plate" / "notes").mkdir()
    return tmp_path / "plate"


def summary(folder):
    with (folder / "summary.csv").open(encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def test_one_failure_does_not_stop_the_rest_and_only_it_is_repeated(plate, tmp_path):
    out = tmp_path / "out"
    result = run("batch", plate, "-o", out, *QUICK)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("2 of 3 positions; see ")
    assert "p1 tracked: 6 frames, 15 detections, 4 tracks, 1 divisions" in result.stderr
    rows = summary(out)
    assert list(rows) == ["p1", "p2", "p10"]
    assert [row["status"] for row in rows.values()] == ["tracked", "failed", "tracked"]
    assert "t003.tif is truncated" in rows["p2"]["reason"]
    assert rows["p10"]["tracks"] == "4"
    assert float(rows["p10"]["peak_memory_mb"]) > 50
    tables = ["edges.csv", "review.csv", "track_features.csv", "tracks.csv"]
    assert entries(out / "p1") == tables
    assert not (out / "p2").exists()

    whole = plate / "p1" / "masks" / "t003.tif"
    (plate / "p2" / "masks" / "t003.tif").write_bytes(whole.read_bytes())
    before = (out / "p1" / "edges.csv").stat().st_mtime_ns
    result = run("batch", plate, "-o", out, *QUICK)
    assert result.exit_code == 0, result.output
    statuses = {name: row["status"] for name, row in summary(out).items()}
    assert statuses == {"p1": "unchanged", "p2": "tracked", "p10": "unchanged"}
    assert (out / "p1" / "edges.csv").stat().st_mtime_ns == before
    assert entries(out / "p2") == tables
    beside = {"summary.csv", "summary.html", "p1.json", "p1.log", "p2.json", "p2.log"}
    assert {path.name for path in out.iterdir() if path.is_file()} == beside | {
        "p10.json",
        "p10.log",
    }


def test_results_that_were_changed_are_left_and_have_no_figures(plate, tmp_path):
    out = tmp_path / "out"
    (plate / "p2" / "masks" / "t003.tif").write_bytes((plate / "p1/masks/t003.tif").read_bytes())
    assert run("batch", plate, "-o", out, *QUICK).exit_code == 0
    assert run("link", out / "p1", "--mode", "greedy_nodiv").exit_code == 0
    (out / "p2" / "tracks.csv").unlink()
    (out / "p10" / "notes.txt").write_text("of the user")
    before = (out / "p1" / "edges.csv").read_bytes()
    result = run("batch", plate, "-o", out, *QUICK)
    assert result.exit_code == 0, result.output
    rows = summary(out)
    assert [row["status"] for row in rows.values()] == ["changed", "changed", "unchanged"]
    assert [row["tracks"] for row in rows.values()] == ["", "", "4"]
    assert f"remove {out / 'p1'} to track it again" in rows["p1"]["reason"]
    assert "p1 changed: its results are not those of the batch" in result.stderr
    assert (out / "p1" / "edges.csv").read_bytes() == before
    assert "1 unchanged, 2 changed" in (out / "summary.html").read_text("utf-8")


def test_new_corrections_in_results_are_applied_by_the_next_batch(plate, tmp_path):
    out = tmp_path / "out"
    (plate / "p2" / "masks" / "t003.tif").write_bytes((plate / "p1/masks/t003.tif").read_bytes())
    assert run("batch", plate, "-o", out, *QUICK).exit_code == 0
    with (out / "p1" / "edges.csv").open(encoding="ascii") as file:
        edge = next(csv.DictReader(file))
    corrections = out / "p1" / "corrections.csv"
    ends = ",".join(edge[name] for name in COLUMNS[:-1])
    corrections.write_text(f"{','.join(COLUMNS)}\n{ends},no-link\n")
    assert run("batch", plate, "-o", out, *QUICK).exit_code == 0
    rows = summary(out)
    assert [row["status"] for row in rows.values()] == ["tracked", "unchanged", "unchanged"]
    assert [row["tracks"] for row in rows.values()] == ["5", "4", "4"]
    assert run("batch", plate, "-o", out, *QUICK).exit_code == 0
    assert summary(out)["p1"]["status"] == "unchanged"
    corrections.unlink()
    assert run("batch", plate, "-o", out, *QUICK).exit_code == 0
    assert [summary(out)["p1"][name] for name in ("status", "tracks")] == ["tracked", "4"]


def test_decisions_in_results_are_not_lost_where_the_batch_gives_others(plate, tmp_path):
    out, given, manifest = tmp_path / "out", tmp_path / "given.csv", tmp_path / "movies.csv"
    given.write_text(f"{','.join(COLUMNS)}\n,,1,1,link\n")
    manifest.write_text("name,masks,corrections\none,plate/p1/masks,given.csv\n")
    assert run("batch", manifest, "-o", out, *QUICK).exit_code == 0
    decided = out / "one" / "corrections.csv"
    decided.write_text(decided.read_text() + ",,2,1,link\n")
    before = decided.read_text()
    assert run("batch", manifest, "-o", out, *QUICK).exit_code == 0
    assert summary(out)["one"]["status"] == "changed"
    assert decided.read_text() == before


def test_a_file_that_a_browser_leaves_in_a_folder_of_results_changes_nothing(tmp_path):
    record = Record(tmp_path, "p")
    (record.folder / "ctc").mkdir(parents=True)
    record.write("key", {"tracks": 4})
    (record.folder / "ctc" / ".DS_Store").write_text("")
    assert record.is_finished("key")
    assert not record.has_changed()
    (record.folder / "ctc" / ".DS_Store").unlink()
    (record.folder / "ctc").rmdir()
    assert record.has_changed()


def test_other_options_track_again_and_other_results_are_not_changed(plate, tmp_path):
    out = tmp_path / "out"
    manifest = tmp_path / "movies.csv"
    manifest.write_text("name,masks,mode\none,plate/p1/masks,greedy_nodiv\n")
    assert run("batch", manifest, "-o", out, *QUICK).exit_code == 0
    assert summary(out)["one"]["divisions"] == "0"
    manifest.write_text("name,masks,min-division-score\none,plate/p1/masks,0.5\n")
    assert run("batch", manifest, "-o", out, *QUICK).exit_code == 0
    assert summary(out)["one"]["divisions"] == "1"
    (out / "one.json").unlink()  # so that the folder may belong to another program
    assert run("batch", manifest, "-o", out, *QUICK).exit_code == 1
    assert "is not empty" in summary(out)["one"]["reason"]


def command_of(process):
    try:
        return (process / "cmdline").read_text()
    except OSError:  # it has ended
        return ""


def test_a_stopped_batch_leaves_no_unfinished_results(plate, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trackastra_engine", "batch", str(plate), "-o", str(out)]
    process = subprocess.Popen([*command, *QUICK], stderr=subprocess.DEVNULL)
    while not (out / "p1.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    assert process.wait(60) == 143
    assert not [path for path in Path("/proc").glob("[0-9]*") if str(out) in command_of(path)]
    assert not list(out.rglob("*.csv"))
    assert not list(out.glob(".*"))
    assert not Record(out, "p1").figures()


def test_figures_for_programs(plate, tmp_path):
    masks, figures = plate / "p1" / "masks", tmp_path / "figures.json"
    command = ("track", "--masks", masks, "--output-edge-table", tmp_path / "e.csv")
    command += ("--min-division-score", "0.5")  # squares do not divide like cells
    for _ in range(2):  # the second replaces those of the first
        assert run(*command, "--json", figures, "--device", "cpu").exit_code == 0
    told = json.loads(figures.read_text())
    assert (told["frames"], told["detections"], told["divisions"]) == (6, 15, 1)
    stages = told["opening_s"] + told["tracking_s"] + told["writing_s"]
    assert told["seconds"] == pytest.approx(stages, abs=0.01)
    figures.write_text("my own file")
    sentence = error_of(tmp_path, *command, "--json", figures, "--overwrite")
    assert "exists; choose another or remove it" in sentence


def test_the_tutorial_on_large_data_runs(tmp_path):
    pytest.importorskip("distributed")
    script = Path(__file__).parent / "large_data.py"
    done = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = re.findall(r"\$ trackastra-engine (\w+)", done.stdout)
    assert said == ["batch", "batch", "link", "convert", "track"]
    assert (tmp_path / "converted" / "tracks.xml").is_file()


# Selection of movies ------------------------------------------------------------------------------


def arguments(position):
    words = [word for part in position.arguments for word in part.split("=")]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_positions_of_a_folder_are_in_natural_order(plate):
    (plate / "p3").mkdir()
    (plate / "p3" / "Masks.ome.tif").write_text("")
    (plate / "p4").mkdir()
    (plate / "p4" / "points.csv").write_text("")
    found = find_positions(plate)
    assert [position.name for position in found] == ["p1", "p2", "p3", "p4", "p10"]
    images, masks = str(plate / "p1" / "images"), str(plate / "p1" / "masks")
    assert arguments(found[0]) == {"--images": images, "--masks": masks}
    assert arguments(found[2]) == {"--masks": str(plate / "p3" / "Masks.ome.tif")}
    assert arguments(found[3]) == {"--points": str(plate / "p4" / "points.csv")}


def test_a_position_without_masks_is_not_left_out_without_a_word(plate, caplog):
    (plate / "p1" / "masks").rename(plate / "p1" / "nuclei")
    assert [position.name for position in find_positions(plate)] == ["p2", "p10"]
    assert "p1 has images but no masks; it is left out" in caplog.text
    assert "notes" not in caplog.text


def test_positions_of_a_plate_are_its_images_with_their_labels(tmp_path):
    images, masks = dividing_cell()
    fields = {"A/1/0": images, "A/1/1": images, "B/2/0": images}
    plate = write_plate(tmp_path / "plate.zarr", fields, "tyx")
    for field in fields:
        write_labels(plate / field, "cells", masks, "tyx")
    found = find_positions(plate)
    assert [position.name for position in found] == ["A-1-0", "A-1-1", "B-2-0"]
    told = arguments(found[2])
    movie = open_movie(told["--images"], told["--masks"])
    np.testing.assert_array_equal(next(movie.frames([3])).labels, masks[3])
    assert [position.name for position in find_positions(plate / "A/1/0")] == ["0"]


def test_columns_of_a_manifest_are_options_and_its_paths_are_relative_to_it(tmp_path):
    (tmp_path / "my.onnx").write_text("")
    table = (
        'name, masks, model, max_gap, voxel\na, a/m.tif, my.onnx, 2, "2,1,1"\nb, /b, general_2d,,\n'
    )
    (tmp_path / "movies.csv").write_text(table)
    first, second = find_positions(tmp_path / "movies.csv")
    assert arguments(first) == {
        **{"--masks": str(tmp_path / "a/m.tif"), "--model": str(tmp_path / "my.onnx")},
        **{"--max-gap": "2", "--voxel": "2,1,1"},
    }
    assert arguments(second) == {"--masks": "/b", "--model": "general_2d"}


def test_two_masks_of_a_position_are_rejected(plate):
    (plate / "p2" / "Masks.v2.tif").write_text("")
    sentence = r"both .*Masks\.v2\.tif and masks may be the masks of that position"
    with pytest.raises(InputError, match=sentence):
        find_positions(plate)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("", "has the columns none; expected name, masks"),
        ("name,images\na,b\n", "has the columns name, images; expected name, masks"),
        ("name,masks\n", "contains no position"),
        ("name,masks\na,b\nA,c\n", "a and the position A would both write a; give each"),
        ("name,masks\nb.JSON,b\nb,c\n", r"b\.JSON and the position b would both write b\.json"),
        ("name,masks\na.log.json,b\na.log,c\n", r"would both write a\.log\.json"),
        ("name,masks\nsummary.csv,b\n", r"the summary and the position summary\.csv would"),
        ("name,masks\n../a,b\n", "the position '../a' cannot be the name of a file"),
        ("name,max_gap,masks,max-gap\na,2,b,\n", "several columns max-gap; leave only one"),
        ("name,masks\na,b,c\n", "line 2 of .* has 3 cells, the line of names 2"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, table, sentence):
    (tmp_path / "movies.csv").write_text(table)
    with pytest.raises(InputError, match=sentence):
        find_positions(tmp_path / "movies.csv")


def test_wrong_options_are_rejected_before_anything_runs(plate, tmp_path):
    command = ("batch", plate, "-o", tmp_path / "out")
    assert "No such option: --modle" in error_of(tmp_path, *command, "--modle", "ilp")
    for name in ("--masks", "--corrections", "--json", "--output-ctc"):
        sentence = error_of(tmp_path, *command, name, plate)
        assert f"Error: {name} cannot be the same for all" in sentence
    assert "Error: IMAGES cannot be the same for all" in error_of(tmp_path, *command, "a", "b")
    manifest = tmp_path / "movies.csv"
    manifest.write_text("name,masks,json\na,b,c\n")
    assert "a sets --json, which the batch sets" in error_of(
        tmp_path, "batch", manifest, "-o", tmp_path / "out"
    )
    manifest.write_text("name,masks,colour\na,b,red\n")
    assert "track cannot run for a: No such option: --colour" in error_of(
        tmp_path, "batch", manifest, "-o", tmp_path / "out"
    )
    manifest.write_text("name,masks,allow-incomplete\na,b,1\n")  # 1 is not the path of images
    assert "Option '--allow-incomplete' does not take a value" in error_of(
        tmp_path, "batch", manifest, "-o", tmp_path / "out"
    )


# Memory and fingerprints --------------------------------------------------------------------------


def test_memory_limits_the_number_of_runs_but_one_always_runs():
    budget = Budget(jobs=4, memory_mb=3000)
    assert budget.has_room(0, 5000)
    assert budget.has_room(2, 1000)
    assert not budget.has_room(3, 1000)
    assert not Budget(jobs=4, memory_mb=1e6).has_room(4, 1)


def test_the_memory_of_a_run_is_estimated_until_it_is_measured():
    assert need_mb([], []) == 2048
    assert need_mb([400, 300], [200]) == 500
    assert need_mb([400], [800]) == 1000
    assert need_mb([], [4000]) == 5000


def test_this_machine_has_memory_and_cores():
    assert 0 < peak_memory_mb() < 1e6
    assert usable_memory_mb() > 0
    assert 1 <= n_usable_cores() <= len(cores())


def test_a_fingerprint_changes_with_options_and_files(tmp_path):
    (tmp_path / "masks").mkdir()
    frame = tmp_path / "masks" / "t0.tif"
    frame.write_text("a")
    told = ["--masks", str(tmp_path / "masks")]
    first = fingerprint(told)
    assert fingerprint(told) == first
    assert fingerprint([*told, "--mode", "ilp"]) != first
    os.utime(frame, ns=(1, 1))
    second = fingerprint(told)
    assert second != first
    (tmp_path / "masks" / "t1.tif").write_text("")
    assert fingerprint(told) != second
    for options in (["--cache", str(tmp_path / "masks")], [f"--cache={tmp_path / 'masks'}"]):
        before = fingerprint(options)
        frame.write_text(frame.read_text() + "a")
        assert fingerprint(options) == before
    in_one_word = [f"--masks={tmp_path / 'masks'}"]
    before = fingerprint(in_one_word)
    frame.write_text("other")
    assert fingerprint(in_one_word) != before


def test_the_page_escapes_names_and_reasons_and_links_to_reports(tmp_path):
    name = "<b>&'p'"
    (tmp_path / name).mkdir()
    (tmp_path / name / "report.html").write_text("")
    figures = {"frames": 1200, "tracks": 5, "seconds": 1.25}
    reason = "<script>alert(1)</script>"
    outcomes = [Outcome(name, "tracked", figures), Outcome("q", "failed", {}, reason)]
    write_summary(outcomes, tmp_path)
    page = (tmp_path / "summary.html").read_text("utf-8")
    assert "<b>" not in page
    assert "<script>" not in page
    assert re.search(r'href="%3Cb%3E%26%27p%27/report.html">&lt;b&gt;', page)
    assert "<td>1,200" in page
    assert "1 tracked, 1 failed" in page
