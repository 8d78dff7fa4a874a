"""Decisions on uncertain links in napari: linked again at once, undone, saved."""

import pytest

from command_line import exported, run, write_movie
from trackastra_engine.errors import InputError
from trackastra_engine.linking.correction_table import read_corrections
from trackastra_engine.napari.decisions import Decisions, called, choices, place_of


@pytest.fixture
def out(tmp_path):
    """Return a results folder with a cache."""
    images, masks, out = write_movie(tmp_path)
    model = exported("rope2d", tmp_path)
    result = run("track", images, masks, "-o", out, "--model", model, "--no-report")
    assert result.exit_code == 0, result.output
    return out


def parent(decisions, target):
    """Return the frame and label of the parent in the tracks, or None."""
    found, edges = decisions.lineage.detections, decisions.lineage.edges
    for source, child in zip(edges.source.tolist(), edges.target.tolist(), strict=True):
        if (int(found.frame[child]), int(found.label[child])) == target:
            return int(found.frame[source]), int(found.label[source])
    return None


def test_each_decision_holds_at_once_and_is_undone(out):
    decisions = Decisions(out)
    question = decisions.questions[0]
    before = parent(decisions, question.target)
    assert before == question.source
    others = [place for place in choices(question).values() if place != before]
    for place in others:
        decisions.decide(place, question.target)
        assert parent(decisions, question.target) == place
        assert question.target not in [open_one.target for open_one in decisions.questions]
    assert decisions.n_made == len(others)
    for _ in others:
        decisions.undo()
    assert parent(decisions, question.target) == before
    assert decisions.n_made == 0


def test_a_rejected_link_is_not_made(out):
    decisions = Decisions(out)
    linked = next(question for question in decisions.questions if question.source is not None)
    decisions.decide(linked.source, linked.target, is_link=False)
    assert parent(decisions, linked.target) != linked.source


def test_a_contradiction_changes_nothing(out):
    decisions = Decisions(out)
    for label in (1, 3):
        decisions.decide((2, 2), (3, label))
    with pytest.raises(InputError, match="two children at most"):
        decisions.decide((2, 2), (3, 4))
    assert decisions.n_made == 2
    assert parent(decisions, (3, 1)) == (2, 2)


def test_decisions_are_saved_with_those_of_the_folder_and_loaded_the_next_time(out):
    first = Decisions(out)
    first.decide((1, 1), (2, 2))
    first.decide(None, (2, 1))
    first.save(out / "corrections.csv")
    second = Decisions(out)
    assert parent(second, (2, 2)) == (1, 1)
    second.decide((1, 2), (2, 2))
    second.save(out / "corrections.csv")
    saved = read_corrections([out / "corrections.csv"]).decisions()
    assert saved == [(None, (2, 1), True), ((1, 2), (2, 2), True)]
    assert run("link", out, "--no-report").exit_code == 0


def test_places_and_names_for_people(out):
    lineage = Decisions(out).lineage
    assert place_of(lineage, (0, 1)) == (0.0, *lineage.detections.centroid[0].tolist())
    assert called(None) == "no parent"
    assert called((3, 4)) == "object 4 of frame 3"
    with pytest.raises(InputError, match="no object 99 of frame 0"):
        place_of(lineage, (0, 99))
