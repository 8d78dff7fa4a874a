"""Annotated movies of two tables, compared with a simulated truth; and errors in them."""

from dataclasses import replace

import numpy as np
import pytest

from quick_training import QUICK, invoke
from small_networks import DIVIDING
from trackastra_engine.errors import InputError
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.simulation import simulate
from trackastra_training.configuration import AnnotatedMovie, write_configuration
from trackastra_training.ground_truth import read_known_movie, read_known_movies

SPEC = ModelSpec("any", 2, 4, "relative", "window", 128.0, "all")
POINTS = "frame,label,y,x,diameter\n0,1,5,5,3\n0,2,5,25,0\n1,1,6,5,3\n1,2,6,25,4\n4,9,6,25,4\n"
EDGES = "source_frame,source_label,target_frame,target_label\n"


def write(folder, points=POINTS, edges=EDGES + "0,1,1,1\n0,2,1,2\n"):
    folder.mkdir(parents=True)
    (folder / "points.csv").write_text(points)
    (folder / "edges.csv").write_text(edges)
    return folder


def write_simulated(folder, seed, weight=""):
    """Write a simulated movie as tables, in random order, and return it."""
    movie = simulate(DIVIDING, seed)
    found, rng = movie.detections, np.random.default_rng(seed)
    child = rng.permutation(np.flatnonzero(movie.parent >= 0))
    ends = np.column_stack([found.frame, found.label])
    points = np.column_stack([ends, found.centroid, found.features[:, 0]])
    lines = [",".join(map(repr, row)) for row in rng.permutation(points).tolist()]
    edges = np.column_stack([ends[movie.parent[child]], ends[child]]).tolist()
    write(
        folder,
        "frame,label,y,x,diameter\n" + "\n".join(lines),
        (EDGES.rstrip() + weight.replace("0.5", "weight") + "\n")
        + "\n".join(",".join(map(str, row)) + weight for row in edges),
    )
    return movie


@pytest.mark.parametrize("weight", ["", ",0.5"], ids=["four columns", "as track writes them"])
def test_tables_are_read_as_the_movie_they_were_written_from(tmp_path, weight):
    movie = write_simulated(tmp_path / "movie", 1, weight)
    known = read_known_movie(AnnotatedMovie(tmp_path / "movie"), SPEC)
    assert (known.n_children == 2).any()
    np.testing.assert_array_equal(known.parent, movie.parent)
    np.testing.assert_array_equal(
        known.n_children, np.bincount(movie.parent[movie.parent >= 0], minlength=len(movie.parent))
    )
    np.testing.assert_allclose(known.detections.centroid, movie.detections.centroid)
    np.testing.assert_allclose(known.detections.features[:, 0], movie.detections.features[:, 0])


def test_some_frames_may_be_chosen_and_the_tables_may_be_anywhere(tmp_path):
    movie = write_simulated(tmp_path / "movie", 2)
    lineage, cells = tmp_path / "lineage.csv", tmp_path / "cells.csv"
    (tmp_path / "movie" / "edges.csv").rename(lineage)
    (tmp_path / "movie" / "points.csv").rename(cells)
    known = read_known_movie(AnnotatedMovie(lineage, points=cells, frames=(2, 5)), SPEC)
    first, last = np.searchsorted(movie.detections.frame, [2, 6])
    assert known.detections.frame.tolist() == (movie.detections.frame[first:last] - 2).tolist()
    expected = np.maximum(movie.parent[first:last] - first, -1)
    np.testing.assert_array_equal(known.parent, expected)


def test_a_point_of_unknown_size_has_the_typical_size_of_its_frame(tmp_path):
    known = read_known_movie(AnnotatedMovie(write(tmp_path / "movie")), SPEC)
    assert known.detections.features[:, 0].tolist() == [3, 3, 3, 4, 4]


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ("0,1,1,1\n0,7,1,2\n", "from label 7 of frame 0 to label 2 of frame 1 has no source"),
        ("0,1,1,1\n0,2,2,2\n", "to label 2 of frame 2 has no target: the table of points does not"),
        (
            "0,1,1,1\n0,2,1,1\n",
            "label 2 of frame 0 to label 1 of frame 1 gives the target a second",
        ),
        ("1,1,0,1\n", "from label 1 of frame 1 to label 1 of frame 0 does not go forward in time"),
        ("0,1,0,2\n", "does not go forward in time"),
        ("0,2,4,9\n", "is longer than 3 frames, the longest link in a window"),
        ("0,1,1\n", "has 3 cells, the line of names 4"),
        ("0,1,1,x\n", "line 2 of {}/edges.csv is '0,1,1,x'; expected a whole number for target_"),
        ("0,1,1,1.5\n", "is '0,1,1,1.5'; expected a whole number for target_label"),
        ("0,1,1,nan\n", "is '0,1,1,nan'; expected a whole number for target_label"),
        ("", "contains no edge"),
    ],
)
def test_edges_that_cannot_be_used_get_one_sentence(tmp_path, edges, words):
    movie = AnnotatedMovie(write(tmp_path / "movie", edges=EDGES + edges))
    with pytest.raises(InputError) as caught:
        read_known_movie(movie, SPEC)
    assert str(caught.value).startswith(f"{tmp_path / 'movie'} cannot be learned from:\n  ")
    assert words.format(tmp_path / "movie") in str(caught.value)


def test_tables_of_a_spreadsheet_are_read(tmp_path):
    """Semicolons, a byte-order mark, Windows line ends, capitals, quotes, a column before."""
    points = "\ufeff" + POINTS.replace(",", ";").replace("\n", "\r\n")
    names = '"note";Source_Frame;source_label;target_frame;target_label'
    edges = names + '\r\n"a;b";0;1.0;1;1\r\n;;;;\r\n'
    movie = AnnotatedMovie(write(tmp_path / "movie", points, edges))
    assert read_known_movie(movie, SPEC).parent.tolist() == [-1, -1, 0, -1, -1]


def test_all_movies_are_checked(tmp_path):
    good = write(tmp_path / "good")
    header = write(tmp_path / "header", edges="a,b,c,d\n0,1,1,1\n")
    points = write(tmp_path / "points", points="frame,y,x,diameter\n0,1,1,-3\n")
    lone = write(tmp_path / "lone")
    (lone / "points.csv").unlink()
    many = write(tmp_path / "many", edges=EDGES + "0,5,1,1\n" * 15)
    movies = [
        AnnotatedMovie(good),
        AnnotatedMovie(header),
        AnnotatedMovie(points),
        AnnotatedMovie(lone),
        AnnotatedMovie(many),
        AnnotatedMovie(lone.parent / "many", frames=(2, 9)),
        AnnotatedMovie(lone.parent / "many", masks=tmp_path),
    ]
    with pytest.raises(InputError) as caught:
        read_known_movies(movies, SPEC)
    told = str(caught.value)
    assert f"\n{good} cannot" not in told
    for words in (
        "has no column 'source_frame'",
        "point 1 has the diameter -3; expected 0 if unknown, or a length",
        f"there is no {lone / 'points.csv'}",
        "and 19 more",
        "frames 2-9 are not in the movie, which has frames 0-4",
        "a movie of tables must not have masks, images or a voxel",
    ):
        assert words in told, words
    with pytest.raises(InputError, match="the points have 2 axes but the model has 3"):
        read_known_movie(AnnotatedMovie(good), replace(SPEC, ndim=3))
    seen = read_known_movie(AnnotatedMovie(good), replace(SPEC, ndim=3), sees_otherwise=True)
    assert seen.detections.ndim == 2


def test_a_model_learns_from_tables(tmp_path):
    for seed in (1, 2):
        write_simulated(tmp_path / f"movie{seed}", seed)
    data = replace(QUICK.data, real_share=1.0)
    movies = (AnnotatedMovie("movie1"),), (AnnotatedMovie("movie2"),)
    configuration = replace(QUICK, data=data, train=movies[0], validate=movies[1])
    write_configuration(configuration, tmp_path / "run.toml")
    result = invoke("run", tmp_path / "run.toml", "-o", tmp_path / "model")
    assert result.exit_code == 0, result.output
    result = invoke("evaluate", tmp_path / "model", tmp_path / "movie2")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'movie2'}" in result.output
