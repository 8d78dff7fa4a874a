"""The yardsticks of the accuracy benchmark do what they say."""

import re

import numpy as np
import pytest
import tifffile

from benchmarks import tables
from benchmarks.accuracy import read_movie
from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.gaps import SpoiledMovie
from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.detections import Detections
from trackastra_engine.edges import Edges


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
    movie = read_movie("drawn", truth_folder, 0, 2)
    assert as_columns(movie, movie.links) == sorted([*DIVISION, *DAUGHTERS, NEAR, FAR])
    assert set(np.unique(movie.masks)) == {0, 1, 2, 3}


def test_nearest_neighbour_links_within_its_distance(truth_folder):
    movie = read_movie("drawn", truth_folder, 0, 2)
    links = nearest_neighbour(movie.detections, max_distance=5)
    assert as_columns(movie, links) == sorted([*DIVISION, *DAUGHTERS, NEAR])


def test_overlap_links_what_overlaps(truth_folder):
    movie = read_movie("drawn", truth_folder, 0, 2)
    links = overlap(movie.detections, movie.masks)
    assert as_columns(movie, links) == sorted([*DIVISION, *DAUGHTERS, NEAR])


def test_a_part_of_the_frames_is_a_movie_of_its_own(truth_folder):
    movie = read_movie("drawn", truth_folder, 1, 2)
    assert movie.detections.frame.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(movie.links) == 3


def test_the_tables_of_the_readme_are_those_of_the_results():
    text = tables.README.read_text()
    assert tables.filled(text) == text


def test_the_pictures_of_the_readme_exist():
    pictures = re.findall(r"\((benchmarks/results/[^)]*)\)", tables.README.read_text())
    assert pictures
    assert all((tables.README.parent / picture).is_file() for picture in pictures)


def test_links_over_gaps_are_counted_apart():
    """
    frame  0   1   2   3
           A   A   .   A     A is missed in frame 2, where no candidate leads over
           B   .   B         B in frame 1; the candidate A - A is given to B
    """
    frame = np.array([0, 0, 1, 2, 3])
    detections = Detections(frame, np.ones(5, int), np.zeros((5, 2)), np.ones((5, 7)))
    edges = Edges(np.array([1, 1]), np.array([2, 3]), np.array([0.9, 0.9]))
    movie = SpoiledMovie("drawn", CandidateGraph(detections, edges), np.array([-1, -1, 0, 1, 2]))
    assert movie.count("greedy", 1) == {"links": [0, 1, 3], "gaps": [0, 0, 2]}
    assert movie.count("greedy", 2) == {"links": [1, 2, 3], "gaps": [1, 1, 2]}
