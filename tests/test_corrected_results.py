"""Models trained further on results that a person corrected: what is unknown has no weight."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from command_line import run
from quick_training import QUICK, invoke
from small_networks import DIVIDING, STILL, tiny_network
from trackastra_engine.errors import InputError
from trackastra_engine.linking.correction_table import write_corrections
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.simulation import (
    Motion,
    SimulationParameters,
    count_children,
    render,
    simulate,
)
from trackastra_training.batches import collate
from trackastra_training.checkpoint import load_model
from trackastra_training.configuration import (
    CorrectedResult,
    read_configuration,
    write_configuration,
)
from trackastra_training.corrected_result import read_corrected
from trackastra_training.examples import (
    NO_PARENT,
    PARENT_UNKNOWN,
    cut_window,
    every_nth_frame,
    known_from,
    make_example,
)
from trackastra_training.from_onnx import read_model
from trackastra_training.loss import association_loss, batch_loss

PARAMETERS = SimulationParameters(n_frames=8, n_cells=15, motion=Motion(drift=(0.1, 0.1)))
HEAD = "source_frame,source_label,target_frame,target_label,verdict\n"


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """Results of the embedded model, and the true edges, whose labels are those of the masks."""
    folder, movie = tmp_path_factory.mktemp("tracked"), render(PARAMETERS, seed=1)
    tifffile.imwrite(folder / "masks.tif", movie.masks, photometric="minisblack")
    command = ("track", "--masks", folder / "masks.tif", "--axes", "tyx", "--no-report")
    result = run(*command, "-o", folder / "out")
    assert result.exit_code == 0, result.output
    return folder / "out", movie.edges.tolist()


@pytest.fixture(scope="module")
def swapped(tracked):
    """Corrections that say the opposite of the model: two neighbours become each other."""
    out, edges = tracked
    masks = tifffile.imread(out.parent / "masks.tif")
    first, second = nearest_pair([edge for edge in edges if edge[0] == 3], masks)
    decided = [(tuple(a[:2]), tuple(b[2:]), True) for a, b in ((first, second), (second, first))]
    return Corrections.of(decided)


def nearest_pair(edges, masks):
    """Return the two edges from a frame whose sources are closest."""
    centers = [np.argwhere(masks[edge[0]] == edge[1]).mean(axis=0) for edge in edges]
    pairs = list(itertools.combinations(range(len(edges)), 2))
    distances = [np.linalg.norm(centers[a] - centers[b]) for a, b in pairs]
    return (edges[row] for row in pairs[int(np.argmin(distances))])


# ---- what has no weight ----


@pytest.fixture(scope="module")
def window():
    """Four frames of dividing cells, in which the parents of some cells are unknown."""
    known = cut_window(simulate(DIVIDING, 3), 0, 4)
    frame = known.detections.frame
    parent = known.parent.copy()
    parent[np.flatnonzero((frame == 2) & (parent >= 0))[::3]] = PARENT_UNKNOWN
    return replace(known, parent=parent)


def example_of(window):
    return make_example(window, "relative", 1000, STILL, np.random.default_rng(0))


def test_sources_before_an_unknown_parent_have_no_weight(window):
    """Slow twin: go up from each target until a parent is unknown."""
    example, frame = example_of(window), window.detections.frame
    n_hidden = 0
    for target in range(len(frame)):
        row, first = target, 0
        while row >= 0:
            if window.parent[row] == PARENT_UNKNOWN:
                first = frame[row]
            row = window.parent[row]
        assert known_from(window)[target] == first
        gap = frame[target] - frame
        is_used = (gap >= 1) & (gap <= 2)
        assert ((example.weight[:, target] > 0) == (is_used & (frame >= first))).all()
        n_hidden += int((is_used & (frame < first)).sum())
    assert n_hidden > 0


def test_the_loss_ignores_what_is_masked(window):
    """Whatever the network or the truth says there, loss and gradients are the same."""
    batch = collate([example_of(window)])
    hidden = (batch.weight == 0) & (batch.frame[0][:, None] < batch.frame[0][None, :])
    assert hidden.any()
    logits = torch.randn(batch.weight.shape, generator=torch.manual_seed(0), requires_grad=True)
    loss = association_loss(logits, logits.sigmoid(), batch)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert (gradient[hidden] == 0).all()
    assert (gradient[batch.weight > 0] != 0).all()
    other = replace(
        batch, association=torch.where(hidden, 1 - batch.association, batch.association)
    )
    assert association_loss(logits, logits.sigmoid(), other) == loss
    shown = batch.weight > 0
    wrong = replace(batch, association=torch.where(shown, 1 - batch.association, batch.association))
    assert association_loss(logits, logits.sigmoid(), wrong) != loss


def test_unknown_parents_stay_unknown_in_windows_and_rarer_frames(window):
    later = cut_window(window, 2, 2)
    before = window.parent[window.detections.frame >= 2]
    assert ((later.parent == PARENT_UNKNOWN) == (before == PARENT_UNKNOWN)).all()
    assert (later.parent[later.detections.frame == 0] < 0).all()
    # A mother of cells whose parent is unknown has her weight.
    assert (window.n_children != count_children(window.parent)).any()
    np.testing.assert_array_equal(every_nth_frame(window, 1).n_children, window.n_children)
    seldom = every_nth_frame(window, 2)
    is_kept = window.detections.frame % 2 == 0
    assert (seldom.parent[(window.parent == PARENT_UNKNOWN)[is_kept]] == PARENT_UNKNOWN).all()
    # A skipped parent whose own parent is unknown leaves an unknown one.
    parent, frame = window.parent, window.detections.frame
    is_second = frame == 1
    blind = replace(window, parent=np.where(is_second, PARENT_UNKNOWN, parent))
    through = (frame == 2) & (parent >= 0) & is_second[parent]
    assert through.any()
    assert (every_nth_frame(blind, 2).parent[through[is_kept]] == PARENT_UNKNOWN).all()


# ---- from a folder of results ----


def test_decided_links_are_known_and_unsure_ones_are_not(tracked, swapped, tmp_path):
    out, edges = tracked
    write_corrections(swapped, tmp_path / "a.csv")
    spec = read_model("general_2d")[1]
    place = lambda movie, row: (movie.detections.frame[row], movie.detections.label[row])  # noqa: E731
    for sure_score in (0.0, 0.9, 1.0):
        result = CorrectedResult(out, (tmp_path / "a.csv",), sure_score)
        movie = read_corrected(result, spec)
        links = {
            (*place(movie, row), *place(movie, parent)): parent
            for row, parent in enumerate(movie.parent.tolist())
            if parent >= 0
        }
        for source, target, _ in swapped.decisions():
            assert (*target, *source) in links
        if sure_score == 0:
            assert not (movie.parent == PARENT_UNKNOWN).any()
            expected = {(*edge[2:], *edge[:2]) for edge in edges if edge[0] != 3}
            assert len(expected & set(links)) > 0.9 * len(expected)
        if sure_score == 1:
            assert len(links) < len(edges) / 2
            assert (movie.parent == PARENT_UNKNOWN).any()
        assert (movie.parent[movie.detections.frame == 0] == NO_PARENT).all()


def test_the_parent_of_a_cell_that_was_found_again_is_unknown_unless_decided(tracked, tmp_path):
    out, edges = tracked
    masks = tifffile.imread(out.parent / "masks.tif")
    cells = [edge[1] for edge in edges if edge[0] == 4]
    single = [label for label in cells if cells.count(label) == 1]
    masks[4][np.isin(masks[4], single[::3])] = 0
    tifffile.imwrite(tmp_path / "masks.tif", masks, photometric="minisblack")
    command = ("track", "--masks", tmp_path / "masks.tif", "--axes", "tyx", "--no-report")
    assert run(*command, "-o", tmp_path / "out").exit_code == 0
    rows = np.loadtxt(tmp_path / "out" / "edges.csv", delimiter=",", skiprows=1)[:, :4].astype(int)
    gap = rows[rows[:, 2] - rows[:, 0] == 2][0].tolist()
    other = rows[rows[:, 2] - rows[:, 0] == 1][0].tolist()
    spec = read_model("general_2d")[1]
    for decided, is_known in ((other, False), (gap, True)):
        row = ",".join(map(str, decided))
        (tmp_path / "a.csv").write_text(f"{HEAD}{row},link\n")
        result = CorrectedResult(tmp_path / "out", (tmp_path / "a.csv",), 0.9)
        movie = read_corrected(result, spec)
        found = movie.detections
        (target,) = np.flatnonzero((found.frame == gap[2]) & (found.label == gap[3]))
        assert (movie.parent[target] != PARENT_UNKNOWN) == is_known
        if is_known:
            assert found.frame[movie.parent[target]] == gap[0]


def test_a_small_run_learns_the_decided_links(tracked, swapped, tmp_path):
    """The weights change, and so does what the network says of the two links, but not the rest."""
    out, _ = tracked
    write_corrections(swapped, tmp_path / "a.csv")
    configuration = replace(
        QUICK,
        data=replace(QUICK.data, real_share=1.0, max_tokens=100),
        training=replace(QUICK.training, steps=150, learning_rate=1e-3),
        corrected=(CorrectedResult(out, (tmp_path / "a.csv",)),),
    )
    write_configuration(configuration, tmp_path / "run.toml")
    assert read_configuration(tmp_path / "run.toml") == configuration
    result = invoke("finetune", "general_2d", tmp_path / "run.toml", "-o", tmp_path / "m")
    assert result.exit_code == 0, result.output
    before, spec = read_model("general_2d")
    after = load_model(tmp_path / "m")
    assert not torch.equal(before.proj.weight, after.proj.weight)
    movie = read_corrected(configuration.corrected[0], spec)
    batch = collate([example_of(cut_window(movie, 2, 4))])
    with torch.no_grad():
        assert batch_loss(after, batch) < 0.8 * batch_loss(before, batch)


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("a,b\n", "the first line of"),
        (HEAD + "3,1,4,1,maybe\n", "has the verdict 'maybe'; give link or no-link"),
        (HEAD + "3,1,4,1,link\n3,2,4,1,link\n", "of the corrections contradict each other"),
        (HEAD + "3,1,4,999,link\n", "the movie has no such object in that frame"),
        (HEAD, "has no corrections"),
        (None, "cannot be read"),
    ],
)
def test_corrections_that_cannot_be_learned_are_reported(tracked, tmp_path, table, complaint):
    path = tmp_path / "a.csv"
    if table is not None:
        path.write_text(table)
    text = f'[[corrected]]\nfolder = "{tracked[0]}"\ncorrections = ["a.csv"]\n'
    (tmp_path / "run.toml").write_text(text)
    result = invoke("finetune", "general_2d", tmp_path / "run.toml", "-o", tmp_path / "m")
    assert result.exit_code == 2, result.output
    assert complaint in result.output
    assert not (tmp_path / "m").exists()


def test_results_that_cannot_be_learned_from_are_reported(tracked, tmp_path):
    out, spec = tracked[0], read_model("general_2d")[1]
    with pytest.raises(InputError, match="there is no folder"):
        read_corrected(CorrectedResult(tmp_path / "nothing"), spec)
    with pytest.raises(InputError, match="contains no cached detections and edges"):
        read_corrected(CorrectedResult(tmp_path), spec)
    with pytest.raises(InputError, match="has no corrections; name a file"):
        read_corrected(CorrectedResult(out), spec)
    with pytest.raises(InputError, match="has 2D detections, but general_2d needs 3D ones"):
        read_corrected(CorrectedResult(out), replace(spec, ndim=3))
    with pytest.raises(InputError, match="is a model of upstream"):
        read_corrected(CorrectedResult(out), replace(spec, recipe="upstream"))


def test_a_network_is_asked_for_nothing_where_all_is_unknown(window):
    is_later = window.detections.frame > 0
    unknown = replace(window, parent=np.where(is_later, PARENT_UNKNOWN, NO_PARENT))
    batch = collate([example_of(unknown)])
    assert batch_loss(tiny_network(), batch) == 0
