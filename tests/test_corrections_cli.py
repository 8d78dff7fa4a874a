"""Corrections on the command line: linked again under them, stored in the results, rejected."""

import csv

import numpy as np
import pytest
import tifffile

from command_line import error_of, exported, run
from trackastra_engine.simulation import Motion, SimulationParameters, render

PARAMETERS = SimulationParameters(n_frames=10, n_cells=20, motion=Motion(drift=(0.1, 0.1)))
HEAD = "source_frame,source_label,target_frame,target_label,verdict\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported("rope2d", tmp_path_factory.mktemp("models"), max_frame_gap=2)


@pytest.fixture
def tracked(tmp_path, model):
    """The command that tracks a movie, without its output, and a folder of its results."""
    masks = tmp_path / "masks.tif"
    tifffile.imwrite(masks, render(PARAMETERS, seed=1).masks, photometric="minisblack")
    command = ("track", "--masks", masks, "--axes", "tyx", "--model", model, "--no-report")
    result = run(*command, "-o", tmp_path / "out", "--max-gap", "2")
    assert result.exit_code == 0, result.output
    return command, tmp_path / "out"


def links(folder):
    with (folder / "edges.csv").open() as file:
        return {tuple(map(int, row[:4])) for row in list(csv.reader(file))[1:]}


def decide(folder):
    """Return lines that strike out the first link, and make one over a gap that nobody scored."""
    rows = sorted(links(folder))
    wrong, (frame, label, *_) = rows[0], rows[-1]
    return f"{','.join(map(str, wrong))},no-link\n", f"{frame - 3},1,{frame},{label},link\n"


@pytest.mark.parametrize("mode", ["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
def test_movies_are_linked_again_under_corrections(tracked, tmp_path, mode):
    command, out = tracked
    paths = tmp_path / "a.csv", tmp_path / "b.csv"
    for path, line in zip(paths, decide(out), strict=True):
        path.write_text(HEAD + line)
    given = ("--corrections", paths[0], "--corrections", paths[1], "--mode", mode)
    result = run("link", out, "-o", tmp_path / "linked", *given)
    assert result.exit_code == 0, result.output
    wrong, right = (tuple(map(int, line.split(",")[:4])) for line in decide(out))
    assert wrong not in links(tmp_path / "linked")
    assert right in links(tmp_path / "linked")
    written = (tmp_path / "linked" / "corrections.csv").read_text()
    assert written == HEAD + "".join(decide(out))
    assert run(*command, "-o", tmp_path / "new", *given).exit_code == 0
    assert links(tmp_path / "new") == links(tmp_path / "linked")


def test_corrections_survive_other_options_until_they_are_removed(tracked, tmp_path):
    command, out = tracked
    wrong = tuple(map(int, decide(out)[0].split(",")[:4]))
    (tmp_path / "a.csv").write_text(HEAD + decide(out)[0])
    assert run("link", out, "--corrections", tmp_path / "a.csv").exit_code == 0
    for again in (
        ("link", out, "--mode", "ilp", "--format", "trackmate"),
        (*command, "-o", out, "--overwrite"),
        ("link", out),
    ):
        result = run(*again)
        assert result.exit_code == 0, result.output
        assert f"applied the corrections in {out / 'corrections.csv'} (1)" in result.stderr
        assert (out / "corrections.csv").read_text() == HEAD + decide_line(wrong)
    assert wrong not in links(out)
    (out / "corrections.csv").unlink()
    result = run("link", out)
    assert "corrections" not in result.stderr
    assert wrong in links(out)
    assert not (out / "corrections.csv").exists()


def test_results_that_are_replaced_elsewhere_keep_their_corrections(tracked, tmp_path):
    """Unless they are of other masks."""
    command, out = tracked
    (tmp_path / "a.csv").write_text(HEAD + decide(out)[0])
    again = ("link", out, "-o", tmp_path / "linked")
    assert run(*again, "--corrections", tmp_path / "a.csv").exit_code == 0
    (tmp_path / "b.csv").write_text(HEAD + decide(out)[1])
    assert run("link", out, "--corrections", tmp_path / "b.csv").exit_code == 0
    result = run(*again, "--overwrite", "--mode", "ilp")
    assert result.exit_code == 0, result.output
    table = tmp_path / "linked" / "corrections.csv"
    assert f"applied the corrections in {table} (1)" in result.stderr
    assert table.read_text() == HEAD + decide(out)[0]
    swap_labels(tmp_path / "masks.tif")
    assert run(*command, "-o", tmp_path / "other", "--max-gap", "2").exit_code == 0
    result = run("link", tmp_path / "other", *again[2:], "--overwrite")
    assert result.exit_code == 2
    assert f"the corrections in {tmp_path / 'linked'} are of other masks: " in result.stderr


def test_corrections_of_other_masks_are_rejected(tracked, tmp_path):
    """The results stay, and --corrections applies them all the same."""
    command, out = tracked
    (tmp_path / "a.csv").write_text(HEAD + decide(out)[0])
    assert run("link", out, "--corrections", tmp_path / "a.csv").exit_code == 0
    before = links(out)
    swap_labels(tmp_path / "masks.tif")
    again = (*command, "-o", out, "--overwrite")
    result = run(*again)
    assert result.exit_code == 2
    sentence = result.stderr.splitlines()[-1]
    assert f"the corrections in {out} are of other masks: object " in sentence
    assert "remove corrections.csv, or give it with --corrections" in sentence
    assert links(out) == before
    assert run(*again, "--corrections", out / "corrections.csv").exit_code == 0


def swap_labels(path):
    """Give the objects of each frame the same labels in another order."""
    masks = tifffile.imread(path)
    for mask in masks:
        known = np.unique(mask)
        mask[:] = np.append(0, known[:0:-1])[np.searchsorted(known, mask)]
    tifffile.imwrite(path, masks, photometric="minisblack")


def decide_line(link):
    return f"{','.join(map(str, link))},no-link\n"


def test_corrections_of_a_run_that_died_while_it_moved_them_hold(tracked, tmp_path):
    _, out = tracked
    (tmp_path / "a.csv").write_text(HEAD + decide(out)[0])
    assert run("link", out, "--corrections", tmp_path / "a.csv").exit_code == 0
    before = links(out)
    moved = out / ".trackastra" / "moved"
    moved.mkdir()
    for path in out.glob("*.csv"):
        path.rename(moved / path.name)
    result = run("link", out)
    assert result.exit_code == 0, result.output
    assert links(out) == before
    assert (out / "corrections.csv").is_file()


def test_corrections_that_do_not_fit_leave_the_results_as_they_were(tracked, tmp_path):
    command, out = tracked
    table = tmp_path / "a.csv"
    given = ("--corrections", table)
    table.write_text(HEAD + "0,1,1,999,link\n")
    for again in (("link", out), (*command, "-o", out, "--overwrite")):
        sentence = error_of(tmp_path, *again, *given)
        assert f"line 2 of {table} of the corrections: the movie has no such object" in sentence
    table.write_text(HEAD + "0,1,1,1,link\n0,2,1,1,link\n")
    assert f"line 2 of {table} and line 3 of {table}" in error_of(tmp_path, "link", out, *given)
    assert "cannot be read" in error_of(tmp_path, "link", out, "--corrections", tmp_path / "no.csv")


def test_points_are_linked_under_corrections(tmp_path, model):
    points, table = tmp_path / "points.csv", tmp_path / "a.csv"
    points.write_text("frame,label,y,x\n0,1,5,5\n0,2,20,20\n1,1,5,6\n1,2,20,21\n")
    table.write_text(HEAD + "0,1,1,2,link\n0,2,1,1,link\n")
    out = tmp_path / "out"
    options = ("--stride", "1", "--align", "off", "--interval", "60", "--voxel", "1,2")
    given = ("track", "--points", points, "--model", model, *options)
    result = run(*given, "-o", out, "--corrections", table)
    assert result.exit_code == 0, result.output
    assert links(out) == {(0, 1, 1, 2), (0, 2, 1, 1)}
    page = (out / "report.html").read_text("utf-8")
    for words in ("--voxel 1,2 ", "--interval 60.0 ", "--stride 1 ", "--align off -o "):
        assert words in page


def test_the_commands_of_the_report_write_the_same_formats_again(tracked, tmp_path, model):
    points, out = tmp_path / "points.csv", tmp_path / "p"
    points.write_text("frame,label,y,x\n0,1,5,5\n0,2,20,20\n1,1,5,6\n1,2,20,21\n")
    formats = ("--format", "csv,trackmate")
    given = ("track", "--points", points, "--model", model, "-o", out, *formats)
    assert run(*given).exit_code == 0
    assert "--overwrite --format csv,trackmate " in (out / "report.html").read_text("utf-8")
    linked = tmp_path / "linked"
    assert run("link", tracked[1], "-o", linked, *formats).exit_code == 0
    assert "--overwrite --format csv,trackmate " in (linked / "report.html").read_text("utf-8")
