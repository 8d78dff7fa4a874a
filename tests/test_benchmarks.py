"""Parts of the accuracy benchmark: truth, baselines, errors, scores and formats."""

import click
import numpy as np
import pytest
import tifffile

import benchmarks
from benchmarks import delay as delay_benchmark
from benchmarks import formats, models
from benchmarks.__main__ import main
from benchmarks.accuracy_sets import summary
from benchmarks.calibration import reliability
from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.gaps import SpoiledMovie
from benchmarks.other_trackers import laptrack_links
from benchmarks.our_trackers import MODES, candidates, chosen_links, load_model
from benchmarks.spoiled_masks import ErrorShares, spoiled
from benchmarks.true_movies import as_true_movie, read_movie
from trackastra_engine import Tracker
from trackastra_engine.cli import main as engine
from trackastra_engine.detection.detections import Detections
from trackastra_engine.evaluation.edge_scores import Counts, Scores
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges
from trackastra_engine.simulation import Division, SimulationParameters, render


@pytest.fixture
def truth_folder(tmp_path):
    """Two cells on a line of 30 pixels, as a ground truth folder; cell 7 divides into 8 and 9.

    frame 0   .77777..........3333..........
    frame 1   .88..99..........3333.........
    frame 2   .88...99....................33
    """
    rows = [
        ".77777..........3333..........",
        ".88..99..........3333.........",
        ".88...99....................33",
    ]
    (tmp_path / "TRA").mkdir()
    for t, row in enumerate(rows):
        labels = [[0 if c == "." else int(c) for c in row]] * 3
        tifffile.imwrite(tmp_path / "TRA" / f"man_track{t:03d}.tif", np.array(labels, np.uint16))
    (tmp_path / "TRA" / "man_track.txt").write_text("3 0 2 0\n7 0 0 0\n8 1 2 7\n9 1 2 7\n")
    return tmp_path


def as_columns(movie, links):
    """The links as pairs of (frame, x of the centroid), which do not depend on the labels."""
    place = np.column_stack([movie.detections.frame, movie.detections.centroid[:, 1]])
    return sorted((tuple(place[i].tolist()), tuple(place[j].tolist())) for i, j in links)


DIVISION = [((0, 3.0), (1, 1.5)), ((0, 3.0), (1, 5.5))]
DAUGHTERS = [((1, 1.5), (2, 1.5)), ((1, 5.5), (2, 6.5))]
NEAR, FAR = ((0, 17.5), (1, 18.5)), ((1, 18.5), (2, 28.5))


def test_truth_is_read_with_shuffled_labels(truth_folder):
    movie = read_movie(truth_folder, 0, 2)
    assert as_columns(movie, movie.links) == sorted([*DIVISION, *DAUGHTERS, NEAR, FAR])
    assert set(np.unique(movie.masks)) == {0, 1, 2, 3}


def test_nearest_neighbour_links_within_its_distance(truth_folder):
    movie = read_movie(truth_folder, 0, 2)
    links = nearest_neighbour(movie.detections, max_distance=5)
    assert as_columns(movie, links) == sorted([*DIVISION, *DAUGHTERS, NEAR])


def test_overlap_links_overlapping_objects(truth_folder):
    movie = read_movie(truth_folder, 0, 2)
    links = overlap(movie.detections, movie.masks)
    assert as_columns(movie, links) == sorted([*DIVISION, *DAUGHTERS, NEAR])


def test_laptrack_links_mothers_to_both_daughters(truth_folder):
    pytest.importorskip("laptrack")
    movie = read_movie(truth_folder, 0, 2)
    links = laptrack_links(movie.detections, max_distance=5)
    assert as_columns(movie, links) == sorted([*DIVISION, *DAUGHTERS, NEAR])


def test_a_part_of_the_frames_is_a_movie(truth_folder):
    movie = read_movie(truth_folder, 1, 2)
    assert movie.detections.frame.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(movie.links) == 3


@pytest.fixture(scope="module")
def rendered():
    parameters = SimulationParameters(
        n_frames=5, n_cells=30, division=Division(cycle_frames=8, death_probability=0.02)
    )
    return render(parameters, 3)


def test_the_truth_of_a_rendered_movie_is_that_of_the_simulator(rendered):
    movie = as_true_movie(rendered, z_step=1.0)
    ends = np.column_stack([movie.detections.frame, movie.detections.label])[movie.links]
    edges = rendered.edges[rendered.edges[:, 2] - rendered.edges[:, 0] == 1]
    assert sorted(ends.reshape(-1, 4).tolist()) == sorted(edges.tolist())
    assert movie.score(movie.links).divisions.expected > 0


NO_ERRORS = ErrorShares(missing=0.0, merged=0.0, split=0.0)


def spoiled_with(movie, **shares):
    return spoiled(movie, 0, NO_ERRORS._replace(**shares))


def test_masks_without_errors_keep_the_truth(rendered):
    movie = as_true_movie(rendered, z_step=1.0)
    worse = spoiled_with(movie)
    assert as_columns(worse, worse.links) == as_columns(movie, movie.links)
    assert np.array_equal(worse.masks > 0, movie.masks > 0)
    assert not np.array_equal(worse.masks, movie.masks)  # the labels are shuffled


def test_one_half_of_a_split_object_matches_it(rendered):
    movie = as_true_movie(rendered, z_step=1.0)
    worse = spoiled_with(movie, split=1.0)
    assert len(worse.detections) == 2 * len(movie.detections)
    assert np.array_equal(worse.masks > 0, movie.masks > 0)
    assert len(worse.links) == len(movie.links)


def test_links_of_missing_objects_are_not_true(rendered):
    movie = as_true_movie(rendered, z_step=1.0)
    worse = spoiled_with(movie, missing=0.3)
    left = as_columns(worse, worse.links)
    places = set(
        zip(
            worse.detections.frame.tolist(),
            worse.detections.centroid[:, 1].tolist(),
            strict=True,
        )
    )
    assert 0.5 < len(places) / len(movie.detections) < 0.9
    everything = as_columns(movie, movie.links)
    assert left == [link for link in everything if set(link) <= places]


def test_a_merged_pair_matches_the_larger_cell(tmp_path):
    """A pair of touching cells, in two frames; one becomes a part of the other.

    .77777888....
    """
    (tmp_path / "TRA").mkdir()
    for t in range(2):
        labels = [[0] + [7] * 5 + [8] * 3 + [0] * 4] * 4
        tifffile.imwrite(tmp_path / "TRA" / f"man_track{t:03d}.tif", np.array(labels, np.uint16))
    (tmp_path / "TRA" / "man_track.txt").write_text("7 0 1 0\n8 0 1 0\n")
    movie = read_movie(tmp_path, 0, 1)
    worse = spoiled_with(movie, merged=1.0)
    assert as_columns(worse, worse.links) == [((0, 4.5), (1, 4.5))]


@pytest.mark.parametrize("with_images", [False, True])
def test_links_of_the_benchmark_are_those_of_the_tracker(rendered, with_images):
    movie = as_true_movie(rendered, z_step=1.0)
    graph = candidates(load_model("general_2d"), movie, with_images=with_images)
    for mode in MODES:
        lineage = Tracker.load("general_2d", mode=mode, device="cpu").track(
            rendered.images if with_images else None, rendered.masks
        )
        expected = np.column_stack([lineage.edges.source, lineage.edges.target])
        assert sorted(chosen_links(graph, mode).tolist()) == sorted(expected.tolist())


def test_division_scores_mean_nothing_where_nothing_divides():
    edges = Counts(correct=3, found=4, expected=4)
    assert summary(Scores(edges, Counts(0, 2, 0))) == {
        "edge_f1": 0.75,
        "division_f1": None,
        "wrong_edges": 1,
        "missed_edges": 1,
        "wrong_divisions": 2,
        "missed_divisions": 0,
    }


def test_delays_are_compared_by_means_over_sets_of_a_kind():
    def case(kind, has_errors, edge_f1, division_f1):
        row = {"tracker": "greedy", "edge_f1": edge_f1, "division_f1": division_f1}
        return {"kind": kind, "has_errors": has_errors, "trackers": [row]}

    sets = [
        case("real", False, 0.9, 0.5),
        case("rendered", False, 0.8, None),
        case("rendered", False, 0.6, 0.4),
    ]
    assert delay_benchmark.means(sets, "greedy") == [
        {"kind": "real", "has_errors": False, "edge_f1": 0.9, "division_f1": 0.5},
        {"kind": "rendered", "has_errors": False, "edge_f1": 0.7, "division_f1": 0.4},
    ]


def test_models_are_compared_by_the_means_of_versions_and_the_change_of_errors():
    def run(model, stride, edge_f1, errors, seconds):
        scores = {"edge_f1": edge_f1, "division_f1": 0.5, "errors": errors}
        time = {"cpu_s_per_1000_detections": seconds}
        return {"model": model, "stride": stride, **scores, **time}

    def case(movie, detections, *runs):
        return {"movie": movie, "detections": detections, "runs": runs}

    result = {
        "models": [{"model": "large", "parameters": 2000}, {"model": "small", "parameters": 100}],
        "movies": [
            case("a", 300, run("large", 1, 0.9, 10, 0.4), run("small", 2, 0.7, 30, 0.1)),
            case("a, every 2nd", 100, run("large", 1, 0.8, 10, 0.8), run("small", 2, 0.6, 30, 0.5)),
        ],
    }
    assert list(models.table(result)) == [
        ["model", "parameters", "stride", "CPU s per 1,000 detections", "a", "errors"],
        ["large", "2,000", "1", "0.500", "0.8500 / 0.500", "+0.0 %"],
        ["small", "100", "2", "0.200", "0.6500 / 0.500", "+100.0 %"],
    ]


def test_reliability_compares_scores_with_the_share_of_right_edges():
    score = np.array([0.62, 0.68, 0.64, 0.66, 1.0])
    curve = reliability(score, np.array([True, False, False, True, True]))
    np.testing.assert_allclose(curve.score, [0.65, 1.0])
    np.testing.assert_allclose(curve.share_right, [0.5, 1.0])
    assert curve.n_edges.tolist() == [4, 1]
    assert curve.expected_error == pytest.approx(4 / 5 * 0.15)


def test_the_tutorial_names_existing_commands_and_options():
    lines = [line.split() for line in benchmarks.__doc__.splitlines() if line.startswith("    ")]
    assert len(lines) == 7
    for line in lines:
        group, words = (engine, line[1:]) if line[0] == "trackastra-engine" else (main, line[3:])
        name, command, arguments = group.resolve_command(click.Context(group), words)
        command.make_context(name, arguments)  # raises for unknown options


def test_links_over_gaps_are_counted_separately():
    """
    frame  0   1   2   3
           A   A   .   A     A is missed in frame 2, where no candidate leads over
           B   .   B         B in frame 1; the last A is given to B
    """
    frame = np.array([0, 0, 1, 2, 3])
    detections = Detections(frame, np.ones(5, int), np.zeros((5, 2)), np.ones((5, 7)))
    edges = Edges(np.array([1, 3]), np.array([3, 4]), np.array([0.9, 0.9]))
    movie = SpoiledMovie("drawn", CandidateGraph(detections, edges), np.array([-1, -1, 0, 1, 2]))
    assert movie.count("greedy", 1) == {"links": [0, 1, 3], "gaps": [0, 0, 2]}
    assert movie.count("greedy", 2) == {"links": [1, 2, 3], "gaps": [1, 1, 2]}


def test_a_delay_is_compared_with_the_final_links(truth_folder):
    """Links of one division and one cell are the same at all delays."""
    movie = read_movie(truth_folder, 0, 2)
    rows = delay_benchmark.measure(movie, Tracker.load("general_2d", device="cpu"))
    assert [row["tracker"] for row in rows] == ["delay 0", "delay 1", "delay 2"]
    assert rows[-1]["links"] > 0
    assert rows[-1]["links_changed"] == rows[-1]["divisions_changed"] == 0


def test_changed_links_and_divisions_are_counted():
    at_once = np.array([[0, 3], [0, 4], [1, 5], [2, 7], [2, 8]])
    final = np.array([[0, 4], [1, 3], [1, 5], [2, 7], [2, 8]])
    assert delay_benchmark.changes(at_once, final) == {
        "links": 5,
        "links_changed": 1,
        "divisions": 2,
        "divisions_changed": 1,
    }


def test_every_listed_format_is_read_as_written(tmp_path):
    for number, (name, write) in enumerate(formats.MOVIES.items()):
        assert (name, formats.movie_answer(write, tmp_path / str(number))) == (name, "as written")
    for name in formats.TABLES:
        assert (name, formats.table_answer(name, tmp_path / name.partition(",")[0])) == (
            name,
            "as written",
        )
