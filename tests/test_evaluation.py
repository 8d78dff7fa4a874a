"""Tracks compared with a truth: figures by hand, and those of other packages."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from ctc_metrics import evaluate_sequence, validate_sequence

from small_movies import dividing_cell, true_lineage, write_folder
from trackastra_engine.cli import main
from trackastra_engine.errors import MissingDependencyError
from trackastra_engine.evaluation import evaluate
from trackastra_engine.evaluation.edge_scores import Counts
from trackastra_engine.evaluation.matched_objects import match_masks
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.ctc import write_ctc

# frame   0  1  2  3  4  5        31 objects and 27 links, 4 of them to daughters
#         1  1  1  1  1  1
#         2  2  2  2  2  2
#         3  3  3 <4  4  4
#                  5  5  5
#         6  6 <7  7  7  7
#               8  8  8  8
TRUTH = {
    1: (0, 5, 0),
    2: (0, 5, 0),
    3: (0, 2, 0),
    4: (3, 5, 3),
    5: (3, 5, 3),
    6: (0, 1, 0),
    7: (2, 5, 6),
    8: (2, 5, 6),
}
N_FRAMES, N_OBJECTS, N_LINKS = 6, 31, 27
# Matula et al. 2015: the cost of an object or a link to be added, and so on.
ADD_OBJECT, ADD_LINK, DELETE_LINK, CHANGE_LINK = 10, 1.5, 1, 1
WORST_LINKS = ADD_LINK * N_LINKS
WORST = ADD_OBJECT * N_OBJECTS + WORST_LINKS


def draw(tracks=TRUTH):
    """Return masks (6, 40, 60): the object of track k is a square in column k."""
    masks = np.zeros((N_FRAMES, 40, 60), np.uint16)
    for label, (first, last, _) in tracks.items():
        for t in range(first, last + 1):
            masks[t, 4 + t : 9 + t, 6 * label : 6 * label + 5] = label
    return masks


def write_tracks(folder, masks, tracks, *, is_truth=False):
    name, table = ("man_track", "man_track.txt") if is_truth else ("mask", "res_track.txt")
    write_folder(folder, masks, name + "{:03}.tif")
    lines = [f"{label} {first} {last} {parent}" for label, (first, last, parent) in tracks.items()]
    (folder / table).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def truth(tmp_path):
    write_tracks(tmp_path / "02_GT" / "TRA", draw(), TRUTH, is_truth=True)
    return tmp_path / "02_GT"


@pytest.fixture
def result(tmp_path):
    return write_tracks(tmp_path / "02_RES", draw(), TRUTH)


def relabelled(changes):
    """Return the masks with other labels: changes as (true label, first, last): label."""
    true, masks = draw(), draw()
    for (label, first, last), new in changes.items():
        masks[first : last + 1][true[first : last + 1] == label] = new
    return masks


# By hand ------------------------------------------------------------------------------------------


def test_the_truth_scores_one_everywhere(truth, result):
    found = evaluate(result, truth)
    assert found.tra == found.lnk == found.det == found.chota == 1
    assert found.detections == Counts(N_OBJECTS, N_OBJECTS, N_OBJECTS)
    assert found.edges == Counts(N_LINKS, N_LINKS, N_LINKS)
    assert found.divisions == found.divisions_within_1_frame == Counts(2, 2, 2)
    assert found.n_frames == N_FRAMES


def test_two_cells_that_are_swapped(tmp_path, truth):
    """1 1 1 2 2 2 and 2 2 2 1 1 1: two links are wrong, and two are missing."""
    masks = relabelled({(1, 3, 5): 2, (2, 3, 5): 1})
    found = evaluate(write_tracks(tmp_path / "res", masks, TRUTH), truth)
    cost = 2 * DELETE_LINK + 2 * ADD_LINK
    assert found.tra == pytest.approx(1 - cost / WORST)
    assert found.lnk == pytest.approx(1 - cost / WORST_LINKS)
    assert found.det == 1
    assert found.edges == Counts(correct=25, found=27, expected=27)
    assert found.divisions == found.divisions_within_1_frame == Counts(2, 2, 2)
    # The 12 objects of the two cells are in tracks of which a third is shared: 3 of 9.
    assert found.chota == pytest.approx(np.sqrt((19 + 12 / 3) / 31))


def test_a_missed_division(tmp_path, truth):
    """Track 3 continues through the frames of daughter 4, and daughter 5 has no parent."""
    masks = relabelled({(4, 3, 5): 3})
    tracks = {key: TRUTH[key] for key in (1, 2, 6, 7, 8)} | {3: (0, 5, 0), 5: (3, 5, 0)}
    found = evaluate(write_tracks(tmp_path / "res", masks, tracks), truth)
    cost = ADD_LINK + CHANGE_LINK
    assert found.tra == pytest.approx(1 - cost / WORST)
    assert found.lnk == pytest.approx(1 - cost / WORST_LINKS)
    assert found.edges == Counts(correct=26, found=26, expected=27)
    assert found.divisions == found.divisions_within_1_frame == Counts(1, 1, 2)
    # Kin of 3: 6 of 9 objects; of 4: all of 6; of 5: 3 of 6. Three objects each.
    assert found.chota == pytest.approx(np.sqrt((22 + 3 * (6 / 9 + 1 + 3 / 6)) / 31))


def test_a_division_one_frame_late(tmp_path, truth):
    """3 3 3 3 <4 4 and 5 5, while the first object of daughter 5 (here 9) has no links."""
    masks = relabelled({(4, 3, 3): 3, (5, 3, 3): 9})
    tracks = {key: TRUTH[key] for key in (1, 2, 6, 7, 8)}
    tracks |= {3: (0, 3, 0), 4: (4, 5, 3), 5: (4, 5, 3), 9: (3, 3, 0)}
    found = evaluate(write_tracks(tmp_path / "res", masks, tracks), truth)
    cost = DELETE_LINK + 2 * ADD_LINK + 2 * CHANGE_LINK
    assert found.tra == pytest.approx(1 - cost / WORST)
    assert found.lnk == pytest.approx(1 - cost / WORST_LINKS)
    assert found.edges == Counts(correct=25, found=26, expected=27)
    assert found.divisions == Counts(correct=1, found=2, expected=2)
    assert found.divisions_within_1_frame == Counts(correct=2, found=2, expected=2)


def test_missed_and_merged_objects(tmp_path, truth):
    """Track 2 is not found; 7 and 8 are one object, which matches one of them."""
    masks = relabelled({(2, 0, 5): 0, (8, 2, 5): 7})
    tracks = {key: TRUTH[key] for key in (1, 3, 4, 5, 6, 7)}
    found = evaluate(write_tracks(tmp_path / "res", masks, tracks), truth)
    assert found.detections == Counts(correct=31 - 6 - 4, found=21, expected=31)
    # A merged object costs 5 (it must be split), and its links are missing.
    assert found.det == pytest.approx(1 - (6 * ADD_OBJECT + 4 * 5) / (ADD_OBJECT * N_OBJECTS))
    assert found.lnk == pytest.approx(1 - (5 + 3 + 3 + 2) * ADD_LINK / WORST_LINKS)
    assert found.edges == Counts(correct=27 - 5 - 4, found=18, expected=27)
    assert found.divisions == Counts(correct=1, found=1, expected=2)


def test_a_result_without_tracks_scores_zero(tmp_path, truth):
    found = evaluate(write_tracks(tmp_path / "res", draw({}), {}), truth)
    assert found.tra == found.lnk == found.det == found.chota == 0
    assert found.detections == Counts(correct=0, found=0, expected=N_OBJECTS)
    assert found.edges == Counts(correct=0, found=0, expected=N_LINKS)
    assert found.divisions == found.divisions_within_1_frame == Counts(0, 0, 2)


def test_three_daughters_are_a_division_too(tmp_path):
    """As for one cell of sparse1."""
    tracks = TRUTH | {2: (1, 5, 1), 1: (0, 0, 0), 9: (1, 5, 1), 10: (1, 5, 1)}
    tracks = dict(sorted(tracks.items()))
    masks = np.zeros((N_FRAMES, 10, 60), np.uint16)
    for label, (first, last, _) in tracks.items():
        masks[first : last + 1, 2:8, 5 * label : 5 * label + 4] = label
    truth = write_tracks(tmp_path / "truth", masks, tracks, is_truth=True)
    found = evaluate(write_tracks(tmp_path / "res", masks, tracks), truth)
    assert found.divisions == found.divisions_within_1_frame == Counts(3, 3, 3)
    tracks[10] = (1, 5, 0)
    found = evaluate(write_tracks(tmp_path / "two", masks, tracks), truth)
    assert found.divisions == found.divisions_within_1_frame == Counts(2, 3, 3)


def test_an_object_matches_that_covers_more_than_half():
    """Result 3 covers two of the four pixels of 8, which is not enough; 2 covers 5 and 6."""
    truth = np.array([[5, 5, 6, 0, 8, 8, 8, 8]], np.uint8)
    found = np.array([[2, 2, 2, 2, 0, 0, 3, 3]], np.uint16)
    frame = match_masks(truth, found)
    assert frame.truth.tolist() == [5, 6, 8]
    assert frame.found.tolist() == [2, 3]
    assert frame.pairs.tolist() == [[0, 0], [1, 0]]
    assert frame.shared.tolist() == [2, 1]


@pytest.mark.parametrize("labels", [[1, 1, 2, 2], [0, 40_000, 40_000, 65_535]])
def test_large_labels_and_frames_without_background(labels):
    """A case that py-ctcmetrics 1.3.3 gets wrong when it reads masks itself."""
    mask = np.array([labels], np.uint16)
    assert match_masks(mask, mask).pairs.tolist() == [[0, 0], [1, 1]]


# Compared with other packages ---------------------------------------------------------------------


def corrupted(seed):
    """Return masks and tracks with missed, merged and broken tracks, and an empty frame."""
    rng = np.random.default_rng(seed)
    masks = draw()
    masks[5] = 0
    missed, merged, into = rng.choice([1, 2, 4, 5, 7, 8], 3, replace=False)
    masks[masks == missed] = 0
    masks[masks == merged] = into
    masks[3:][masks[3:] == 7] = 9
    masks[:, 30:35, 50:55] = 10  # nothing of the truth
    labels = np.unique(masks[masks > 0]).tolist()
    frames = {label: np.flatnonzero((masks == label).any((1, 2))).tolist() for label in labels}
    parents = {label: TRUTH[label][2] if label in TRUTH else 0 for label in labels} | {9: 7}
    return masks, {
        label: (
            frames[label][0],
            frames[label][-1],
            parents[label]
            if parents[label] in labels and frames[parents[label]][-1] < frames[label][0]
            else 0,
        )
        for label in labels
    }


@pytest.mark.parametrize("seed", range(6))
def test_figures_equal_those_of_py_ctcmetrics(tmp_path, truth, seed):
    result = write_tracks(tmp_path / "res", *corrupted(seed))
    names = ["TRA", "LNK", "DET", "CHOTA"]
    theirs = evaluate_sequence(str(result), str(truth), metrics=list(names), threads=1)
    ours = evaluate(result, truth)
    assert 0 < ours.chota < 1
    for name in names:
        assert getattr(ours, name.lower()) == pytest.approx(theirs[name], rel=1e-9), name


def test_our_results_pass_the_validation_of_py_ctcmetrics(tmp_path):
    """A cell that divides, and one that is away in frame 2: a new track, whose parent it is."""
    images, masks = dividing_cell()
    masks[2][masks[2] == 1] = 0
    whole = true_lineage(masks)
    found = whole.detections
    before, after = (np.flatnonzero((found.frame == t) & (found.label == 1))[0] for t in (1, 3))
    edges = Edges(
        np.append(whole.edges.source, before),
        np.append(whole.edges.target, after),
        np.append(whole.edges.score, 1.0),
    )
    lineage = build_lineage(found, edges)
    write_ctc(lineage, open_movie(images, masks), tmp_path / "out" / "ctc")
    assert validate_sequence(str(tmp_path / "out" / "ctc"), threads=1) == {"Valid": 1}
    truth = tmp_path / "truth"
    written = np.stack([tifffile.imread(p) for p in sorted((tmp_path / "out/ctc").glob("*.tif"))])
    tracks = {label: (first, last, up) for label, first, last, up in lineage.tracklets.tolist()}
    write_tracks(truth, written, tracks, is_truth=True)
    assert evaluate(tmp_path / "out", truth).tra == 1  # the folder that `track -o` writes


# The command --------------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(main, ["evaluate", *map(str, arguments)])


def test_the_command_prints_a_table_and_writes_json(tmp_path, truth):
    masks = relabelled({(1, 3, 5): 2, (2, 3, 5): 1})
    result = write_tracks(tmp_path / "res", masks, TRUTH)
    for _ in range(2):  # an earlier report may be replaced
        done = run(result, truth, "--json", tmp_path / "new" / "scores.json")
        assert done.exit_code == 0, done.output
    assert re.search(r"edges +0\.9259 +0\.9259 +0\.9259   25 / 27 / 27\n", done.output)
    assert "TRA 0.9857   LNK 0.8765   DET 1.0000   CHOTA 0.8614" in done.output
    figures = json.loads((tmp_path / "new" / "scores.json").read_text())
    assert figures["lnk"] == pytest.approx(1 - 5 / WORST_LINKS)
    assert figures["edges"] == {
        "precision": 25 / 27,
        "recall": 25 / 27,
        "f1": 25 / 27,
        "correct": 25,
        "found": 27,
        "expected": 27,
    }
    assert figures["divisions_within_1_frame"]["f1"] == 1


def test_without_divisions_their_scores_are_unknown(tmp_path):
    tracks = {1: TRUTH[1], 2: TRUTH[2]}
    truth = write_tracks(tmp_path / "truth", draw(tracks), tracks, is_truth=True)
    result = write_tracks(tmp_path / "res", draw(tracks), tracks)
    done = run(result, truth, "--json", tmp_path / "scores.json")
    assert re.search(r"divisions +- +- +-   0 / 0 / 0\n", done.output)
    figures = json.loads((tmp_path / "scores.json").read_text())
    assert figures["divisions"]["f1"] is None
    assert figures["edges"]["f1"] == 1


def error_of(*arguments):
    """Return the one sentence with which the command fails."""
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    *progress, sentence = done.output.splitlines()
    assert all(line.startswith("comparing masks: ") for line in progress)
    assert sentence.startswith("Error: ")
    return sentence


def test_tracks_with_upstreams_names_score_the_same(tmp_path, truth, result):
    named_otherwise = write_tracks(tmp_path / "upstream", draw(), TRUTH, is_truth=True)
    assert evaluate(named_otherwise, truth) == evaluate(result, truth)


def test_folders_that_are_incomplete(tmp_path, truth, result):
    assert "tracks, nowhere, does not exist" in error_of("nowhere", truth)
    assert "there is no man_track.txt in" in error_of(result, result)
    for path in result.glob("mask*.tif"):
        path.rename(path.with_name(f"old_{path.name}"))
    assert "there is no mask*.tif in" in error_of(result, truth)
    (result / "res_track.txt").unlink()
    assert "there is no res_track.txt in" in error_of(result, truth)


def test_folders_of_different_movies(tmp_path, truth):
    tracks = {1: (0, 4, 0)}
    shorter = write_tracks(tmp_path / "shorter", draw(tracks)[:5], tracks)
    assert "has 5 frames but" in error_of(shorter, truth)
    narrower = write_tracks(tmp_path / "narrower", draw(tracks)[:, :, :50], tracks)
    assert "has 40 x 50 pixels per frame but" in error_of(narrower, truth)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("1 0 5 0", "", "label 1 is in the mask of frame 0 of"),
        ("1 0 5 0", "1 0 4 0", "label 1 is in the mask of frame 5 of"),
        ("7 2 5 6", "7 1 5 3", "track 7 in"),
        ("8 2 5 6", "8 2 5 6\n9 0 5 0", "lists track 9 in frame 0 (frames count from 0)"),
        ("1 0 5 0", "1 0 6 0", "ends after the last of the 6 frames"),
        ("1 0 5 0", "1 5 0 0", "does not end after it begins"),
        ("1 0 5 0", "1 0 5 0\n1 0 5 0", "track 1 in"),
        ("1 0 5 0", "0 0 5 0", "has a label that is not positive"),
        ("7 2 5 6", "7 2 5 60", "has a parent that is not listed"),
        ("7 2 5 6", "7 2 5 1", "begins before its parent has ended"),
        ("1 0 5 0", "1 0 5", "has a line without four numbers"),
        ("1 0 5 0", "1 0 five 0", "is no table of tracks"),
        ("1 0 5 0", f"1 0 {2**63} 0", "is no table of tracks"),
    ],
)
def test_tables_that_contradict_themselves_or_the_masks(truth, result, old, new, reason):
    table = result / "res_track.txt"
    table.write_text(table.read_text().replace(old, new))
    assert reason in error_of(result, truth)


def test_an_empty_table_and_a_truth_without_links(tmp_path, truth, result):
    (result / "res_track.txt").write_text("\n")
    assert "res_track.txt does not list it" in error_of(result, truth)
    nothing = write_tracks(tmp_path / "nothing", draw({}), {}, is_truth=True)
    assert "man_track.txt lists no track" in error_of(result, nothing)
    tracks = {1: (0, 0, 0)}
    lonely = write_tracks(tmp_path / "lonely", draw(tracks), tracks, is_truth=True)
    same = write_tracks(tmp_path / "same", draw(tracks), tracks)
    assert "links no objects" in error_of(same, lonely)


def test_a_copy_next_to_the_masks_is_to_be_removed(truth, result):
    """evaluate has no --pattern."""
    copy = shutil.copy(result / "mask003.tif", result / "mask003 (1).tif")
    sentence = error_of(result, truth)
    assert sentence.endswith("not named like the 6 files mask*.tif; remove it")
    copy.rename(result / "mask3.tif")
    assert error_of(result, truth).endswith("mask003.tif and mask3.tif; remove one")


def test_a_damaged_mask(truth, result):
    path = result / "mask003.tif"
    path.write_bytes(path.read_bytes()[:200])
    assert "mask003.tif is truncated" in error_of(result, truth)


def test_no_other_file_is_replaced(tmp_path, truth, result):
    (tmp_path / "thesis.json").write_text('{"chapter": 1}')
    assert "thesis.json exists; choose another or remove it" in error_of(
        result, truth, "--json", tmp_path / "thesis.json"
    )


def test_without_the_packages(truth, result, monkeypatch):
    monkeypatch.setitem(sys.modules, "traccuracy", None)
    with pytest.raises(MissingDependencyError, match=r"install trackastra-engine\[evaluation\]"):
        evaluate(result, truth)
