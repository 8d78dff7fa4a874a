"""The benchmark of noisy measurements: noise changes what it names, and the table shows both."""

import numpy as np
import pytest

from benchmarks import noise
from benchmarks.noisy_movies import (
    noisy_intensities,
    noisy_shapes,
    noisy_sizes,
    other_sizes,
    random_intensities,
    without_shapes,
)
from benchmarks.true_movies import as_true_movie
from trackastra_engine.simulation import Division, SimulationParameters, render


@pytest.fixture(scope="module")
def movie():
    parameters = SimulationParameters(
        n_frames=4, n_cells=120, spacing=1.3, division=Division(cycle_frames=15.0)
    )
    return as_true_movie(render(parameters, 3), 1.0)


def aspects(movie):
    inertia = movie.detections.features[:, 2:-1].reshape(-1, 2, 2)
    values = np.linalg.eigvalsh(inertia)
    return values[:, 1] / values[:, 0]


def test_noise_of_sizes_scales_objects(movie):
    before, after = movie.detections, noisy_sizes(movie, 0.2).detections
    factor = after.features[:, 0] / before.features[:, 0]
    assert np.log(factor).std() == pytest.approx(0.2, rel=0.15)
    np.testing.assert_allclose(
        after.features[:, 2:-1], before.features[:, 2:-1] * factor[:, None] ** 2
    )
    np.testing.assert_array_equal(after.centroid, before.centroid)
    np.testing.assert_array_equal(after.features[:, [1, -1]], before.features[:, [1, -1]])


def test_noise_of_shapes_is_a_strain(movie):
    noisy = noisy_shapes(movie, 0.1)
    change = np.log(aspects(noisy)) - np.log(aspects(movie))
    assert 0.1 < change.std() < 0.6
    before, after = movie.detections.features[:, 0], noisy_shapes(movie, 0.25).detections.features
    assert np.log(after[:, 0] / before).std() == pytest.approx(0.2, abs=0.03)  # as the page says
    np.testing.assert_array_equal(noisy.detections.centroid, movie.detections.centroid)
    np.testing.assert_array_equal(
        noisy.detections.features[:, -1], movie.detections.features[:, -1]
    )


def test_other_sizes_scale_all_objects_by_one_factor(movie):
    before, after = movie.detections.features, other_sizes(movie, 0.5).detections.features
    np.testing.assert_allclose(after[:, 0], before[:, 0] / 2)
    np.testing.assert_allclose(after[:, 2:-1], before[:, 2:-1] / 4)
    np.testing.assert_array_equal(after[:, [1, -1]], before[:, [1, -1]])


def test_without_shapes_discs_have_the_same_sizes(movie):
    seen = without_shapes(movie)
    np.testing.assert_allclose(aspects(seen), 1)
    assert aspects(movie).max() > 1.2
    columns = [0, 1, -1]
    before, after = movie.detections.features, seen.detections.features
    np.testing.assert_array_equal(after[:, columns], before[:, columns])
    area = np.pi / 64 * before[:, 0] ** 4 / (np.pi / 4 * before[:, 0] ** 2)
    np.testing.assert_allclose(after[:, 2], area)


def test_noise_of_intensities_is_in_standard_deviations(movie):
    before = movie.detections.features[:, 1]
    after = noisy_intensities(movie, 0.5).detections.features
    assert (after[:, 1] - before).std() == pytest.approx(0.5 * before.std(), rel=0.15)
    np.testing.assert_array_equal(after[:, 0], movie.detections.features[:, 0])


def test_random_intensities_say_nothing_about_lineages(movie):
    seen = random_intensities(movie)
    value = seen.detections.features[:, 1]
    child = np.flatnonzero(movie.parent >= 0)
    assert abs(np.corrcoef(value[child], value[movie.parent[child]])[0, 1]) < 0.15
    assert value.std() > 0.1
    kept = [0, 2, 3, 4, 5, 6]
    before = movie.detections.features
    np.testing.assert_array_equal(seen.detections.features[:, kept], before[:, kept])


def test_noise_does_not_change_trackers_of_positions(movie):
    name, before = noise.without_sizes(movie)
    assert noise.without_sizes(noisy_sizes(movie, 0.4)) == (name, before)
    assert before.edges.f1 > 0.8


def rows_of_two_movies():
    score = {"edge_f1": 0.98765, "division_f1": 0.8769}
    worse = {"edge_f1": 0.9, "division_f1": None, "wrong_divisions": 0}
    for movie, errors in (("a", (10, 30)), ("b", (10, 70))):
        for kind, found in ((noise.TRUE, score), ("sizes ± 10%", worse)):
            yield {
                "movie": movie,
                "noise": kind,
                "best": "laptrack",
                "positions_only": score,
                "trackers": {"general_2d": found, "old": worse},
                "errors": {"general_2d": errors[0], "old": errors[kind != noise.TRUE]},
            }


def test_shapes_are_taken_only_from_movies_with_shapes():
    with_shapes, without = (noise.of_masks(has_shapes=has) for has in (True, False))
    assert set(with_shapes) - set(without) == {"without shapes"}
    head, *body = noise.table({"rows": list(rows_of_two_movies())[:3]})
    assert [len(row) for row in body] == [len(head)] * 2
    assert body[1][-1] == ""  # the second movie was not measured in this way


def test_table_has_a_column_of_each_noise():
    head, *body = noise.table({"rows": list(rows_of_two_movies())})
    assert head == ["edge F1 / division F1", "positions only", "as measured", "sizes ± 10%"]
    assert [row[0] for row in body] == ["a", "b"]
    assert body[0][1:] == ["0.9877 / 0.877 (laptrack)", "0.9877 / 0.877", "0.9000 / 0 false"]


def test_errors_of_models_are_compared_for_each_noise():
    head, *body = noise.change_table({"rows": list(rows_of_two_movies())})
    assert head == ["change of errors", "old against general_2d"]
    # Ten are added to each count: 2 and 4 times as many, in the geometric mean.
    assert body == [
        ["as measured", "+0 % (2 movies)"],
        ["sizes ± 10%", "+183 % (2 movies)"],
    ]
