"""2D models learn from 3D tables: sections and views, and the lineage that is seen."""

from dataclasses import replace

import numpy as np
import pytest

from quick_training import QUICK, invoke
from trackastra_engine.simulation import KnownMovie
from trackastra_training import flat_views
from trackastra_training.configuration import AnnotatedMovie, write_configuration
from trackastra_training.flat_views import flat_view, section_diameter
from wandering_cells import rows_of, visible_parents, wandering_cells


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["views", "sections"])
def test_the_parent_of_a_cell_is_its_nearest_visible_ancestor(monkeypatch, share):
    monkeypatch.setattr(flat_views, "SECTION_SHARE", share)
    n_over_gaps = 0
    for seed in range(10):
        movie = wandering_cells(seed)
        flat = flat_view(movie, np.random.default_rng(seed))
        rows = rows_of(flat, movie)
        assert 0 < len(rows) < len(movie.parent)
        assert flat.parent.tolist() == visible_parents(movie, rows)
        np.testing.assert_array_equal(flat.n_children, movie.n_children[rows])
        frame, has_parent = flat.detections.frame, flat.parent >= 0
        n_over_gaps += int((frame[has_parent] - frame[flat.parent[has_parent]] > 1).sum())
        # Cells in a plane are as far apart as in space, or seem closer.
        for shown, true in zip(
            distances(flat.detections), distances(movie.detections.rows(rows)), strict=True
        ):
            assert shown <= true + 1e-9
        assert (flat.detections.features[:, 0] <= movie.detections.features[rows, 0] + 1e-9).all()
    assert n_over_gaps > 0


def distances(found):
    return np.linalg.norm(found.centroid - found.centroid[0], axis=1).tolist()


def test_a_section_shows_discs_of_balls():
    diameter = section_diameter(np.array([10.0, 10.0, 10.0]), np.array([0.0, 3.0, 5.9]))
    assert diameter.tolist() == pytest.approx([10, 8, 4])


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["views", "sections"])
def test_cells_keep_their_intensities(monkeypatch, share):
    monkeypatch.setattr(flat_views, "SECTION_SHARE", share)
    movie = wandering_cells()
    assert np.isnan(flat_view(movie, np.random.default_rng(0)).detections.features[:, 1]).all()
    movie.detections.features[:, 1] = np.arange(len(movie.parent))
    flat = flat_view(movie, np.random.default_rng(0))
    np.testing.assert_array_equal(flat.detections.features[:, 1], rows_of(flat, movie))


def test_a_single_cell_is_seen():
    movie = wandering_cells()
    single = KnownMovie(movie.detections.rows(np.arange(1)), np.array([-1]), np.array([0]))
    for seed in range(5):
        assert len(flat_view(single, np.random.default_rng(seed)).parent) == 1


def test_a_2d_model_learns_from_a_3d_table_but_is_not_validated_on_it(tmp_path):
    movie = wandering_cells()
    folder = tmp_path / "embryo"
    folder.mkdir()
    found, child = movie.detections, np.flatnonzero(movie.parent >= 0)
    ends = np.column_stack([found.frame, found.label])
    points = np.column_stack([ends, found.centroid, found.features[:, 0]])
    links = np.column_stack([ends[movie.parent[child]], ends[child]])
    write(folder / "points.csv", "frame,label,z,y,x,diameter", points)
    write(folder / "edges.csv", "source_frame,source_label,target_frame,target_label", links)
    learned = replace(
        QUICK, data=replace(QUICK.data, real_share=1.0), train=(AnnotatedMovie("embryo"),)
    )
    write_configuration(learned, tmp_path / "quick.toml")
    result = invoke("run", tmp_path / "quick.toml", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    validated = replace(learned, validate=(AnnotatedMovie("embryo"),))
    write_configuration(validated, tmp_path / "validated.toml")
    result = invoke("run", tmp_path / "validated.toml", "-o", tmp_path / "other")
    assert result.exit_code == 2
    assert "the points have 3 axes but the model has 2" in result.output


def write(path, names, rows):
    lines = [",".join(map(repr, row)) for row in rows.tolist()]
    path.write_text("\n".join([names, *lines]) + "\n")
