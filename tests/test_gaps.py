"""A cell that was missed in a frame is found again, and other links do not change."""

import pickle
import shutil
from dataclasses import replace

import numpy as np
import pytest

from golden_cases import model_folder
from trackastra_engine import InputError, Tracker
from trackastra_engine.association.edge_stream import usual_gap, usual_stride
from trackastra_engine.linking import MODES, linker
from trackastra_engine.model.onnx_model import MOST_SOURCES, AssociationModel
from trackastra_engine.simulation import Motion, SimulationParameters, render
from trackastra_export.export import export_model
from trackastra_training.checkpoint import load_model, load_spec

MISSED = 0.08  # share of the detections that are removed
PARAMETERS = SimulationParameters(n_frames=12, n_cells=40, motion=Motion(drift=(0.1, 0.1)))


@pytest.fixture(scope="module")
def spoiled():
    """Masks of a movie without some detections, and its true links over up to two frames."""
    movie = render(PARAMETERS, seed=1)
    rng = np.random.default_rng(0)
    masks, seen = [], set()
    for frame, mask in enumerate(movie.masks):
        labels = np.unique(mask[mask > 0])
        kept = labels[rng.random(len(labels)) >= MISSED]
        masks.append(np.where(np.isin(mask, kept), mask, 0))
        seen |= {(frame, int(label)) for label in kept}
    parent = {(f, label): (g, mother) for g, mother, f, label in movie.edges.tolist()}
    links = set()
    for frame, label in sorted(seen):
        source = parent.get((frame, label))
        if source is not None and source not in seen:
            source = parent.get(source)
        if source in seen:
            links.add((*source, frame, label))
    return np.stack(masks), links


def found_links(lineage):
    detections, edges = lineage.detections, lineage.edges
    columns = [
        column[rows].tolist()
        for rows in (edges.source, edges.target)
        for column in (detections.frame, detections.label)
    ]
    return set(zip(*columns, strict=True))


@pytest.mark.parametrize("mode", MODES)
def test_gap_closing_finds_more_true_links_and_no_more_wrong_ones(spoiled, mode):
    masks, true = spoiled
    over_gaps = {link for link in true if link[2] - link[0] == 2}
    found = {}
    for gap in (1, 2):
        link = linker(mode, max_gap=gap, probabilities=True)
        found[gap] = found_links(Tracker.load(mode=link, device="cpu").track(None, masks))
    recall = {gap: len(links & true) / len(true) for gap, links in found.items()}
    precision = {gap: len(links & true) / len(links) for gap, links in found.items()}
    print(mode, recall, precision, len(found[2] & over_gaps), len(over_gaps))
    assert recall[2] > recall[1] + 0.04
    assert precision[2] >= precision[1]
    assert len(found[2] & over_gaps) > 0.85 * len(over_gaps)


def test_by_default_a_cell_that_was_missed_is_found_again(spoiled):
    masks, _ = spoiled
    for mode in MODES:
        default = Tracker.load(mode=mode, device="cpu")
        chosen = Tracker.load(mode=linker(mode, max_gap=2, probabilities=True), device="cpu")
        links = found_links(default.track(None, masks))
        assert links == found_links(chosen.track(None, masks))
        assert {link[2] - link[0] for link in links} == {1, 2}


def test_models_of_upstream_link_over_no_gaps_unless_it_is_chosen(tmp_path):
    folder = model_folder("rope2d")
    spec = replace(load_spec(folder), max_frame_gap=2)
    export_model(load_model(folder), spec, tmp_path / "model.onnx")
    tracker = Tracker.load(tmp_path / "model.onnx", device="cpu")
    assert tracker.link.max_gap == 1
    assert tracker.model.most_sources is None


def test_copies_of_a_model_score_as_many_sources():
    for all_sources, most in ((False, MOST_SOURCES), (True, None)):
        model = AssociationModel.load("general_2d", device="cpu", all_sources=all_sources)
        again = pickle.loads(pickle.dumps(model))
        for copy in (model, model.in_threads(2), again):
            assert copy.most_sources == most


def test_the_usual_gap_leaves_a_choice_of_strides():
    """Windows of 4 frames cover links over a missed frame at strides of 1 and 2."""
    for stride, gap in ((None, 2), (1, 2), (2, 2), (3, 1)):
        assert Tracker.load(stride=stride, device="cpu").link.max_gap == gap
    spec = Tracker.load(device="cpu").model.spec
    for window, gap, stride in ((2, 1, 1), (3, 1, 2), (4, 2, 2)):
        short = replace(spec, window=window)
        assert usual_gap(short) == gap
        assert usual_stride(short, max_gap=gap) == stride
    with pytest.raises(InputError, match="every pair of frames up to 2 apart only at strides of"):
        Tracker.load(mode=linker("greedy", max_gap=2), stride=3, device="cpu")


def test_gaps_that_the_model_has_not_learned_are_rejected():
    for gap in (0, 3):
        with pytest.raises(InputError, match="has learned links over 1 to 2 frames"):
            Tracker.load(mode=linker("greedy", max_gap=gap), device="cpu")


def test_the_longest_gap_of_a_checkpoint_of_upstream_is_that_of_its_training(tmp_path):
    folder = shutil.copytree(model_folder("rope2d"), tmp_path / "model")
    assert load_spec(folder).max_frame_gap == 1
    with (folder / "train_config.yaml").open("a") as file:
        file.write("delta_cutoff: 2\n")
    assert load_spec(folder).max_frame_gap == 2
