"""The benchmark of depths: real steps become those along z, and planes move cells little."""

import numpy as np

from benchmarks import depths
from benchmarks.movie_variants import typical_spacing
from benchmarks.true_movies import TrueMovie
from wandering_cells import in_plane, wandering_cells


def fields():
    flat = [in_plane(wandering_cells(seed)) for seed in range(3)]
    return [TrueMovie(None, None, movie.detections, movie.parent) for movie in flat]


def steps(movie, axis):
    child = np.flatnonzero(movie.parent >= 0)
    place = movie.detections.centroid[:, axis]
    return place[child] - place[movie.parent[child]]


def test_cells_of_fields_wander_along_z(monkeypatch):
    monkeypatch.setattr(depths, "LEAST_STEPS", 2)
    flat = fields()
    seen = depths.volume(flat, np.random.default_rng(0))
    assert seen.detections.ndim == 3
    assert len(seen.links) == sum(len(field.links) for field in flat)
    places = [tuple(place) for field in flat for place in field.detections.centroid]
    assert sorted(map(tuple, seen.detections.centroid[:, 1:])) == sorted(places)
    assert 0.7 < steps(seen, 0).std() / steps(seen, 1).std() < 1.4
    along = [field.detections.centroid[:, axis] for field in flat for axis in range(2)]
    known = [
        np.abs(x - x[f.parent])[f.parent >= 0] for x, f in zip(along, doubled(flat), strict=True)
    ]
    known = np.sort(np.concatenate(known))
    nearest = np.minimum(np.searchsorted(known, np.abs(steps(seen, 0)) - 1e-9), len(known) - 1)
    np.testing.assert_allclose(np.abs(steps(seen, 0)), known[nearest], atol=1e-6)


def doubled(movies):
    return [movie for movie in movies for _ in range(2)]


def test_planes_and_halves():
    cells = wandering_cells()
    movie = TrueMovie(None, None, cells.detections, cells.parent)
    spacing = typical_spacing(movie.detections)
    coarse = depths.in_planes(movie, 0.5)
    moved = coarse.detections.centroid - movie.detections.centroid
    assert not moved[:, 1:].any()
    assert 0.2 * spacing < np.abs(moved[:, 0]).max() <= 0.25 * spacing + 1e-9
    np.testing.assert_array_equal(coarse.links, movie.links)
    cut = depths.halves(movie)
    assert sum(len(half.parent) for half in cut) == 3 * len(movie.parent)
    assert all(half.score(half.links).edges.f1 == 1 for half in cut)
