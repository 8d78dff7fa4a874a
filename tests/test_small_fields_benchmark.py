"""The benchmark of few cells: parts of movies keep the truth, and scores are pooled."""

import numpy as np
import pytest

from benchmarks import small_fields
from benchmarks.movie_variants import kept_cells, typical_spacing
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.true_movies import as_points, as_true_movie
from trackastra_engine.association import edge_stream
from trackastra_engine.evaluation.edge_scores import Counts, Scores
from trackastra_engine.simulation import Division, SimulationParameters, render


@pytest.fixture(scope="module")
def movie():
    parameters = SimulationParameters(
        n_frames=5, n_cells=90, spacing=1.3, division=Division(cycle_frames=15.0)
    )
    return as_true_movie(render(parameters, 3), 1.0)


@pytest.fixture(autouse=True)
def few_fields(monkeypatch):
    monkeypatch.setattr(small_fields, "N_FIELDS", 3)


def test_points_of_a_field_lie_in_a_square_and_keep_their_links(movie):
    truth = {
        tuple(map(tuple, np.round(pair, 6))) for pair in movie.detections.centroid[movie.links]
    }
    for shown, _ in small_fields.fields(as_points(movie)):
        found = shown.detections
        low, high = found.centroid.min(axis=0), found.centroid.max(axis=0)
        assert len(found) == small_fields.CELLS * movie.n_frames
        inner = np.minimum(found.centroid - low, high - found.centroid).min(axis=1)
        np.testing.assert_allclose(found.features[:, -1], inner)  # as of points that a user gives
        place = movie.detections.centroid
        is_inside = ((place >= low) & (place <= high)).all(axis=1)
        assert is_inside.sum() == len(found)
        assert (high - low).max() < 0.7 * np.ptp(place, axis=0).max()
        links = {tuple(map(tuple, np.round(pair, 6))) for pair in found.centroid[shown.links]}
        inside = {tuple(row) for row in np.round(found.centroid, 6)}
        assert links == {pair for pair in truth if set(pair) <= inside}


def test_a_movie_of_few_cells_has_no_fields(movie):
    few = np.arange(len(movie.detections)) % 6 == 0
    assert list(small_fields.fields(kept_cells(as_points(movie), few))) == []


def test_masks_of_a_field_show_parts_of_cells_at_its_sides(movie):
    n_links = 0
    for shown, _ in small_fields.fields(movie):
        height, width = shown.masks.shape[1:]
        size = movie.masks.shape[1:]
        assert height < size[0]
        assert width < size[1]
        # The field is found again by its pixels, up to the numbers of cells.
        corners = [
            (y, x)
            for y in range(size[0] - height + 1)
            for x in range(size[1] - width + 1)
            if ((movie.masks[0, y : y + height, x : x + width] > 0) == (shown.masks[0] > 0)).all()
        ]
        (y, x), *_ = corners
        old = movie.masks[:, y : y + height, x : x + width]
        assert ((old > 0) == (shown.masks > 0)).all()
        first_row = np.searchsorted(movie.detections.frame, np.arange(movie.n_frames))
        row = np.zeros(len(shown.detections), int)
        for new, (frame, label) in enumerate(
            zip(shown.detections.frame, shown.detections.label, strict=True)
        ):
            (was,) = np.unique(old[frame][shown.masks[frame] == label])
            row[new] = first_row[frame] + was - 1
        true_links = set(map(tuple, movie.links.tolist()))
        both = {pair for pair in true_links if set(pair) <= set(row.tolist())}
        assert set(map(tuple, row[shown.links].tolist())) == both
        n_links += len(both)
    assert n_links > 20


def test_selected_lineages_are_whole_and_have_no_other_cells_around(movie):
    parent = movie.parent.tolist()
    n_seen = []
    for shown, _ in small_fields.selections(movie):
        n_seen.append(len(shown.detections) / movie.n_frames)
        row_of = {
            (frame, label): row
            for row, (frame, label) in enumerate(
                zip(movie.detections.frame, movie.detections.label, strict=True)
            )
        }
        pairs = zip(shown.detections.frame, shown.detections.label, strict=True)
        rows = [row_of[pair] for pair in pairs]
        kept = set(rows)
        for row, mother in enumerate(parent):
            assert mother < 0 or (row in kept) == (mother in kept)
        assert [parent[row] for row in rows] == [
            rows[mother] if mother >= 0 else -1 for mother in shown.parent
        ]
        for frame, mask in enumerate(shown.masks):
            labels = shown.detections.label[shown.detections.frame == frame]
            expected = np.where(np.isin(movie.masks[frame], labels), movie.masks[frame], 0)
            np.testing.assert_array_equal(mask, expected)
    assert len(n_seen) == 3
    assert np.mean(n_seen) == pytest.approx(small_fields.CELLS, rel=0.5)
    assert len(set(n_seen)) > 1


def test_selected_points_have_the_border_of_a_user_and_the_spacing_of_the_movie(movie):
    spacing = typical_spacing(movie.detections)
    for shown, unit in small_fields.selections(as_points(movie)):
        place = shown.detections.centroid
        inner = np.minimum(place - place.min(axis=0), place.max(axis=0) - place).min(axis=1)
        np.testing.assert_allclose(shown.detections.features[:, -1], inner)
        assert unit == spacing < typical_spacing(shown.detections)


def test_few_cells_are_not_selected(movie):
    few = kept_cells(as_points(movie), np.arange(len(movie.detections)) % 6 == 0)
    assert list(small_fields.selections(few)) == []


def test_the_share_of_cells_without_a_parent_is_that_of_later_frames(movie):
    later = movie.detections.frame > 0
    expected = 1 - np.isin(np.flatnonzero(later), movie.links[:, 1]).mean()
    assert 0 < small_fields.without_parent(movie) == pytest.approx(expected)


def test_counts_of_fields_are_added():
    one = Scores(Counts(1, 2, 3), Counts(0, 1, 1))
    other = Scores(Counts(10, 20, 30), Counts(2, 2, 2))
    assert small_fields.pooled([one, other]) == Scores(Counts(11, 22, 33), Counts(2, 3, 3))


def test_our_links_and_those_of_others_are_scored(movie, monkeypatch):
    shown = list(small_fields.fields(movie))
    model = load_model("general_2d")
    for one, spacing in shown:
        assert spacing == typical_spacing(one.detections)
        assert one.score(greedy_links(model, one)).edges.f1 > 0.9
    scores = dict(small_fields.others(shown))
    assert set(scores) == {"nearest neighbour", "laptrack", "overlap"}
    assert all(0.5 < score.edges.f1 <= 1 for score in scores.values())
    monkeypatch.setattr(small_fields, "DISTANCES", small_fields.DISTANCES[:1])
    for name, score in small_fields.others(shown):
        assert score.edges.f1 <= scores[name].edges.f1  # of the best distance
    assert {score.edges.expected for score in scores.values()} == {
        sum(len(one.links) for one, _ in shown)
    }


def test_small_windows_are_also_scored_at_the_stride_for_choices(movie, monkeypatch):
    seen = []

    def links(model, one):
        seen.append((model, edge_stream.SMALL_WINDOW))
        return one.links

    monkeypatch.setattr(small_fields, "greedy_links", links)
    usual = edge_stream.SMALL_WINDOW
    scores = dict(small_fields.ours({"a": 1, "b": 2}, [movie], may_choose=True))
    assert seen == [(1, usual), (2, usual), (1, 0)]
    assert list(scores) == ["a", "b", "a" + small_fields.ALL_WINDOWS]
    assert list(dict(small_fields.ours({"a": 1}, [movie], may_choose=False))) == ["a"]
    assert usual == edge_stream.SMALL_WINDOW > 0


def test_changes_are_means_against_the_first_tracker():
    rows = [
        {"seen": "small fields", "errors": {"a": 5, "b": 10, "c": 5}},
        {"seen": "small fields", "errors": {"a": 20, "b": 5}},
        {"seen": "some lineages", "errors": {"a": 20, "b": 5}},
    ]
    _, b, c, sparse = small_fields.change_table({"rows": rows})
    change = (20 / 15 * 15 / 30) ** 0.5 - 1  # each count has 10 more
    assert b == ["small fields", "b", "a", "2", f"{100 * change:+.1f} %"]
    assert c == ["small fields", "c", "a", "1", "+0.0 %"]
    assert sparse == ["some lineages", "b", "a", "1", "-50.0 %"]
