"""Real movies are read correctly, and their harder versions keep the truth.

The movie of the tables, positions along x; A divides after frame 2 into D and E:

    frame   0    1    2    3    4
       A   10 - 10 - 10
                       D 8 -  8
                       E 12 - 12
       B   30 - 31 - 32 - 33 - 34
"""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from benchmarks import movie_variants
from benchmarks.accuracy_sets import Wanted, accuracy_sets
from benchmarks.real_movies import KEPT_BACK, read_tables, real_parts
from benchmarks.spoiled_masks import ErrorShares
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import read_movie

POINTS = [
    *[(0, 5, 0, 0, 10, 4), (0, 2, 0, 0, 30, 4)],
    *[(1, 1, 0, 0, 10, 4), (1, 2, 0, 0, 31, 0)],  # the size of B is not known
    *[(2, 2, 0, 0, 10, 6), (2, 1, 0, 0, 32, 4)],
    *[(3, 1, 0, 0, 8, 2), (3, 3, 0, 0, 12, 2), (3, 2, 0, 0, 33, 4)],
    *[(4, 1, 0, 0, 8, 2), (4, 3, 0, 0, 12, 2), (4, 9, 0, 0, 34, 4)],
]
EDGES = [
    *[(0, 5, 1, 1), (1, 1, 2, 2), (2, 2, 3, 1), (2, 2, 3, 3), (3, 1, 4, 1), (3, 3, 4, 3)],
    *[(0, 2, 1, 2), (1, 2, 2, 1), (2, 1, 3, 2), (3, 2, 4, 9)],
]


def write_table(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


@pytest.fixture
def table_folder(tmp_path):
    write_table(tmp_path / "points.csv", "frame,label,z,y,x,diameter", POINTS)
    header = "source_frame,source_label,target_frame,target_label"
    write_table(tmp_path / "edges.csv", header, EDGES)
    return tmp_path


def by_place(movie):
    """The links as (frame, x of the source, x of the target)."""
    detections = movie.detections
    return sorted(
        (int(detections.frame[i]), *detections.centroid[[i, j], 2].tolist()) for i, j in movie.links
    )


ALL_LINKS = [
    *[(0, 10, 10), (0, 30, 31), (1, 10, 10), (1, 31, 32)],
    *[(2, 10, 8), (2, 10, 12), (2, 32, 33), (3, 8, 8), (3, 12, 12), (3, 33, 34)],
]


def test_tables_are_read_with_shuffled_labels(table_folder):
    movie = read_tables(table_folder, 0, 4)
    assert by_place(movie) == ALL_LINKS
    assert movie.masks is None
    assert movie.n_frames == 5
    assert movie.detections.label.tolist() == [1, 2, 1, 2, 1, 2, 1, 2, 3, 1, 2, 3]
    assert movie.score(movie.links).divisions.expected == 1


def test_an_unknown_diameter_is_that_of_the_others_of_its_frame(table_folder):
    movie = read_tables(table_folder, 0, 4)
    diameter = dict(
        zip(movie.detections.centroid[:, 2], movie.detections.features[:, 0], strict=True)
    )
    assert diameter[31] == 4


def test_some_frames_of_a_table_are_a_movie(table_folder):
    movie = read_tables(table_folder, 2, 3)
    assert by_place(movie) == [(0, 10, 8), (0, 10, 12), (0, 32, 33)]


def test_links_of_every_nth_frame_run_along_the_lineage(table_folder):
    movie = read_tables(table_folder, 0, 4)
    assert by_place(movie_variants.every_nth(movie, 2)) == [
        *[(0, 10, 10), (0, 30, 32)],
        *[(1, 10, 8), (1, 10, 12), (1, 32, 34)],  # the division lies in between
    ]
    assert by_place(movie_variants.every_nth(movie, 4)) == [(0, 10, 8), (0, 10, 12), (0, 30, 34)]


def test_a_cell_that_divides_twice_between_frames_has_all_descendants(table_folder):
    movie = read_tables(table_folder, 2, 4)
    grandmother = np.full(len(movie.parent), -1)
    grandmother[2:5] = 0
    grandmother[5:7], grandmother[7] = 2, 3
    twice = replace(movie, parent=grandmother)
    assert len(movie_variants.every_nth(twice, 2).links) == 3


@pytest.fixture
def mask_folder(tmp_path):
    """.77...333. in every frame, of which 7 is not seen in frame 1."""
    (tmp_path / "TRA").mkdir()
    for t, row in enumerate([".77...333.", "......333.", ".77...333."]):
        labels = [[0 if c == "." else int(c) for c in row]] * 2
        tifffile.imwrite(tmp_path / "TRA" / f"man_track{t:03d}.tif", np.array(labels, np.uint16))
    (tmp_path / "TRA" / "man_track.txt").write_text("3 0 2 0\n7 0 2 0\n")
    return tmp_path


def test_a_cell_that_is_not_seen_in_a_frame_left_out_has_a_link(mask_folder):
    movie = read_movie(mask_folder, 0, 2)
    assert len(movie.links) == 2
    rare = movie_variants.every_nth(movie, 2)
    assert len(rare.links) == 2
    assert rare.masks.shape == (2, 2, 10)


def test_shifted_masks_keep_their_links_and_sizes(mask_folder):
    movie = read_movie(mask_folder, 0, 2)
    offsets = np.array([[0.0, 0.0], [-1.2, 3.6], [2.0, 0.0]])
    moved = movie_variants.moved(movie, offsets)
    steps = np.rint(offsets) - [-1, 0]
    before = movie.detections.centroid + steps[movie.detections.frame]
    np.testing.assert_allclose(moved.detections.centroid, before)
    assert np.array_equal(moved.links, movie.links)
    assert (
        np.bincount(moved.masks.ravel()).tolist()[1:]
        == np.bincount(movie.masks.ravel()).tolist()[1:]
    )


def test_a_jump_moves_all_later_frames_by_two_spacings(table_folder):
    movie = read_tables(table_folder, 0, 4)
    jumped = movie_variants.jumping(movie)
    step = np.linalg.norm(jumped.detections.centroid - movie.detections.centroid, axis=1)
    spacing = movie_variants.typical_spacing(movie.detections)
    np.testing.assert_allclose(step, 2 * spacing * (movie.detections.frame >= 2), atol=1e-9)
    assert np.array_equal(jumped.links, movie.links)


def test_the_densest_frames_have_the_most_detections(table_folder):
    movie = movie_variants.densest(read_tables(table_folder, 0, 4), 2)
    assert by_place(movie) == [(0, 8, 8), (0, 12, 12), (0, 33, 34)]


@pytest.mark.parametrize("name", ["section", "view"])
def test_flat_versions_of_embryos_are_2d_movies_of_some_cells(name, table_folder):
    movie = read_tables(table_folder, 0, 4)
    flat = movie_variants.flat_variants()[name](movie)
    assert flat.detections.ndim == 2
    assert 0 < len(flat.detections) < len(movie.detections)
    assert flat.detections.frame.min() == 0
    assert (flat.parent < np.arange(len(flat.detections))).all()
    again = movie_variants.flat_variants()[name](movie)
    np.testing.assert_array_equal(again.detections.centroid, flat.detections.centroid)


def test_flat_versions_are_sets_of_2d_models(table_folder):
    embryo = table_folder / "phallusia" / "Pm08"
    embryo.mkdir(parents=True)
    for table in ("points.csv", "edges.csv"):
        (table_folder / table).rename(embryo / table)
    (table_folder / "celegans").mkdir()

    def titles(*ndims):
        wanted = Wanted(set(ndims), data=table_folder, only="phallusia*")
        return [str(found) for found in accuracy_sets(wanted)]

    flat = [
        f"phallusia Pm08, {name}{e}" for name in ("section", "view") for e in ("", ", with errors")
    ]
    assert titles(2) == flat
    assert titles(2, 3)[-4:] == flat
    assert not set(titles(3)) & set(flat)


NO_ERRORS = ErrorShares(missing=0.0, merged=0.0, split=0.0)


def spoiled_with(movie, **shares):
    return spoiled_points(movie, 0, NO_ERRORS._replace(**shares))


def test_points_without_errors_keep_the_truth(table_folder):
    movie = read_tables(table_folder, 0, 4)
    assert by_place(spoiled_with(movie)) == ALL_LINKS


def test_links_of_missing_points_are_not_true(table_folder):
    movie = read_tables(table_folder, 0, 4)
    spoiled = spoiled_with(movie, missing=0.3)
    left = set(zip(spoiled.detections.frame, spoiled.detections.centroid[:, 2], strict=True))
    assert 0 < len(left) < len(movie.detections)
    assert by_place(spoiled) == [
        link for link in ALL_LINKS if {link[:2], (link[0] + 1, link[2])} <= left
    ]


def test_a_merged_pair_is_between_its_points_and_matches_the_larger(tmp_path):
    """Points 2 apart, of diameters 2 and 1: their volumes are 8 and 1."""
    rows = [(t, 1 + n, 0, 0, *ball) for t in (0, 1) for n, ball in enumerate([(0, 2), (1.5, 1)])]
    write_table(tmp_path / "points.csv", "frame,label,z,y,x,diameter", rows)
    write_table(tmp_path / "edges.csv", "a,b,c,d", [(0, 1, 1, 1), (0, 2, 1, 2)])
    merged = spoiled_with(read_tables(tmp_path, 0, 1), merged=1.0)
    np.testing.assert_allclose(merged.detections.centroid[:, 2], 1.5 / 9)
    np.testing.assert_allclose(merged.detections.features[:, 0], 9 ** (1 / 3))
    assert merged.links.tolist() == [[0, 1]]


def test_one_half_of_a_split_point_matches_it(table_folder):
    movie = read_tables(table_folder, 0, 4)
    split = spoiled_with(movie, split=1.0)
    assert len(split.detections) == 2 * len(movie.detections)
    assert len(split.links) == len(ALL_LINKS)
    volume = (movie.detections.features[:, 0] ** 3).sum()
    np.testing.assert_allclose((split.detections.features[:, 0] ** 3).sum(), volume)


def test_no_movie_is_in_two_parts(tmp_path):
    for name, kept_back in KEPT_BACK.items():
        names = [movie for movies in kept_back.values() for movie in movies]
        for movie in ["new", *names]:
            (tmp_path / name / movie).mkdir(parents=True)
    found = [
        (entry.folder, frame)
        for part in ("train", "validate", "test")
        for entry in real_parts(tmp_path, part)
        for frame in range(entry.first, min(entry.last, 100) + 1)
    ]
    assert len(found) == len(set(found))
    assert (tmp_path / "celegans" / "new", 0) in found
