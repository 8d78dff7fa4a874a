"""Simulated movies: the truth is consistent, and measurements agree with drawn pixels."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage.measure import regionprops

from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances
from trackastra_engine.movie.frames import Frame
from trackastra_engine.simulation import (
    Brightness,
    Division,
    Errors,
    Motion,
    Shape,
    SimulationParameters,
    known_movie,
    random_parameters,
    render,
    simulate,
)

REGIMES = ["nuclei", "rods", "packed", "particles", "budding"]
ERRORS = ["missed", "merged", "split"]
SPARSE = SimulationParameters(
    n_frames=3, n_cells=25, spacing=3.0, shape=Shape(diameter_px=24.0, aspect=1.6)
)
RODS = replace(SPARSE, shape=Shape(diameter_px=10.0, aspect=3.0, is_rod=True), spacing=5.0)
SKIN = replace(SPARSE, spacing=0.85, shape=Shape(24.0, is_packed=True, aspect=1.05, growth=1.0))
VOLUME = replace(
    SPARSE, ndim=3, z_step=2.0, motion=Motion(drift=(0.0, 0.0, 0.0)), n_cells=12, n_frames=2
)


def detect_rendered(parameters: SimulationParameters, seed: int) -> Detections:
    movie = render(parameters, seed)
    frames = zip(movie.images, movie.masks, strict=True)
    parts = [detect(Frame(t, *pixels), parameters.ndim) for t, pixels in enumerate(frames)]
    return concatenate(parts, parameters.ndim)


def matched(measured: Detections, simulated: Detections) -> tuple[Detections, Detections]:
    """Return the detections in both that lie clear of the border, paired by place and frame."""
    frame_px = 1e6  # separates frames
    points = [np.column_stack([d.frame * frame_px, d.centroid]) for d in (measured, simulated)]
    nearest = cKDTree(points[1]).query(points[0])[1]
    inside = (measured.features[:, -1] >= 5) & (simulated.features[nearest, -1] >= 5)
    return measured.rows(np.flatnonzero(inside)), simulated.rows(nearest[inside])


@pytest.mark.parametrize("parameters", [SPARSE, RODS, VOLUME], ids=["ellipses", "rods", "3D"])
def test_simulated_detections_are_those_of_the_drawn_cells(parameters):
    drawn, simulated = matched(detect_rendered(parameters, 1), simulate(parameters, 1).detections)
    size = simulated.features[:, 0]
    error = np.linalg.norm(drawn.centroid - simulated.centroid, axis=1) / size
    inertia = np.abs(drawn.features[:, 2:-1] - simulated.features[:, 2:-1]).max(1) / size**2
    assert len(drawn) > 15
    # Cells that touch, or extend out of the volume in z, are cut; most must agree.
    assert np.quantile(error, 0.6) < 0.02
    assert np.quantile(inertia, 0.6) < 0.01
    np.testing.assert_allclose(np.median(drawn.features[:, 0] / size), 1, atol=0.01)


def test_simulated_packed_cells_are_those_of_the_drawn_tissue():
    drawn, simulated = matched(detect_rendered(SKIN, 2), simulate(SKIN, 2).detections)
    assert len(drawn) > 15
    # Sampled on a grid of 7 points per spacing: 5 % of the area, 2.5 % of the diameter.
    ratio = drawn.features[:, 0] / simulated.features[:, 0]
    assert np.quantile(np.abs(ratio - 1), 0.8) < 0.05
    inertia = drawn.features[:, 2:-1] - simulated.features[:, 2:-1]
    assert np.median(np.abs(inertia).max(1) / drawn.features[:, 0] ** 2) < 0.02


def test_inertia_is_that_of_skimage():
    movie = simulate(SPARSE, 3).detections
    row = np.flatnonzero((movie.frame == 0) & (movie.features[:, -1] >= 5))[0]
    regions = regionprops(render(SPARSE, 3).masks[0])
    distance = [np.linalg.norm(region.centroid - movie.centroid[row]) for region in regions]
    expected = np.ravel(regions[np.argmin(distance)].inertia_tensor)
    # A drawn outline of 24 pixels differs from the ellipse by a percent.
    np.testing.assert_allclose(movie.features[row, 2:-1], expected, atol=0.02 * expected.max())


def test_drawn_and_simulated_movies_agree():
    parameters = replace(SPARSE, n_frames=6, division=Division(cycle_frames=8.0))
    drawn = {tuple(edge) for edge in render(parameters, 4).edges}
    measured, movie = detect_rendered(parameters, 4), simulate(parameters, 4)
    known = movie.detections
    points = [np.column_stack([1e6 * d.frame, d.centroid]) for d in (known, measured)]
    node = measured.label[cKDTree(points[1]).query(points[0])[1]]
    target = np.flatnonzero(movie.parent >= 0)
    source = movie.parent[target]
    told = np.column_stack([known.frame[source], node[source], known.frame[target], node[target]])
    assert {tuple(edge) for edge in told} == drawn
    assert (movie.n_children == 2).any()


@pytest.mark.parametrize(
    ("regime", "ndim"),
    [*product(REGIMES, (2, 3)), ("channels", 2)],  # channels are flat
)
def test_every_regime_gives_consistent_movies(regime, ndim):
    for seed in range(3):
        parameters = random_parameters(
            np.random.default_rng(seed), regime=regime, ndim=ndim, max_cells=40
        )
        movie = simulate(parameters, seed)
        detections, has_parent = movie.detections, movie.parent >= 0
        frame = detections.frame
        assert np.isfinite(np.delete(detections.features, 1, axis=1)).all()
        assert (detections.features[:, 0] > 0).all()
        assert (np.diff(frame) >= 0).all()
        assert (frame[has_parent] > frame[movie.parent[has_parent]]).all()
        assert movie.n_children.sum() == has_parent.sum()


@pytest.mark.parametrize("ndim", [2, 3])
def test_random_movies_are_of_every_kind(ndim):
    """In every regime: with or without images, errors, and stages that drift or jump."""
    drawn = [random_parameters(np.random.default_rng(seed), ndim=ndim) for seed in range(200)]
    for has_property in (
        lambda p: any(p.motion.drift),
        lambda p: p.motion.jump_probability > 0,
        lambda p: p.brightness.is_present,
        lambda p: p.brightness.bleaching > 0,
        lambda p: p.errors == Errors(),
        lambda p: np.isinf(p.division.cycle_frames),
    ):
        assert 0 < sum(map(has_property, drawn)) < len(drawn)
    for low, high, values in (
        (10, 100, [p.n_cells for p in drawn]),
        (0.9, 3.0, [p.spacing for p in drawn]),
        (0.02, 0.4, [p.motion.flow for p in drawn]),
        (0.02, 0.25, [p.motion.diffusion for p in drawn]),
        (0.02, 0.25, [p.motion.persistent for p in drawn]),
        (6, 100, [p.division.cycle_frames for p in drawn]),
        (-0.2, 0.9, [p.division.brightness for p in drawn]),
        (1.0 if ndim == 2 else 1.2, 1.0 if ndim == 2 else 5.0, [p.z_step for p in drawn]),
        *((0.003, 0.01, [getattr(p.errors, name) for p in drawn]) for name in ERRORS),
    ):
        assert min(values) <= low
        assert max(values) >= high


def test_cells_move_and_divide_rarely_or_much():
    """Median steps of a tenth of the spacing to a half; divisions in no frame, and in each."""
    steps, shares = [], []
    for seed in range(40):
        movie = simulate(random_parameters(np.random.default_rng(seed), max_cells=60), seed)
        detections, child = movie.detections, np.flatnonzero(movie.parent >= 0)
        child = child[np.diff(detections.frame[[movie.parent[child], child]], axis=0)[0] == 1]
        moved = detections.centroid[child] - detections.centroid[movie.parent[child]]
        step = np.median(np.linalg.norm(moved, axis=1))
        steps.append(step / typical_spacing(detections))
        last = detections.frame[-1]
        shares.append(len(np.unique(detections.frame[movie.n_children > 1])) / last)
    assert min(steps) < 0.15
    assert max(steps) > 0.45
    assert min(shares) == 0
    assert max(shares) == 1


@pytest.mark.parametrize(("regime", "ndim"), [(regime, 2) for regime in REGIMES] + [("nuclei", 3)])
def test_a_frame_may_hold_five_cells_or_five_hundred(regime, ndim):
    for n_cells in (5, 500):
        drawn = random_parameters(np.random.default_rng(1), regime=regime, ndim=ndim)
        shape = replace(drawn.shape, aspect=min(drawn.shape.aspect, 3.0))  # rods fit the image
        calm = replace(
            drawn,
            n_frames=2,
            n_cells=n_cells,
            clustering=0.0,  # clumps may lie outside
            is_colony=False,
            margin_px=0.0,
            shape=shape,
        )
        count = np.bincount(simulate(calm, 1).detections.frame)
        assert abs(count[0] - n_cells) < 4 + 0.2 * n_cells  # some lie on the edge of the image


def test_the_seed_decides_the_movie():
    parameters = random_parameters(np.random.default_rng(5))
    first, again, other = (simulate(parameters, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.detections.centroid, again.detections.centroid)
    np.testing.assert_array_equal(first.parent, again.parent)
    assert not np.array_equal(first.detections.centroid[0], other.detections.centroid[0])


def test_a_missed_cell_is_linked_over_the_gap():
    """Cell 0 is missed in frame 1, its daughters 1 and 2 appear in frame 2; -1 is no cell.

    frame 0: 0    frame 1: -1    frame 2: 1 2
    """
    identity = [np.array([0]), np.array([-1]), np.array([1, 2])]
    mother = [np.array([-1]), np.array([-1]), np.array([0, 0])]
    rows = np.zeros(4, int)
    detections = Detections(np.array([0, 1, 2, 2]), rows, np.zeros((4, 2)), np.zeros((4, 7)))
    movie = known_movie(detections, identity, mother)
    assert movie.parent.tolist() == [-1, -1, 0, 0]
    assert movie.n_children.tolist() == [2, 0, 0, 0]


def test_segmentation_errors_change_the_detections_as_named():
    calm = replace(SPARSE, spacing=1.1, n_cells=60, motion=Motion(flow=0.0))
    counts = {
        name: len(simulate(replace(calm, errors=Errors(**{name: 0.3})), 6).detections)
        for name in ERRORS
    }
    perfect = len(simulate(calm, 6).detections)
    assert counts["missed"] < 0.8 * perfect
    assert counts["merged"] < perfect
    assert counts["split"] > 1.2 * perfect


def test_without_images_intensities_are_nan():
    blind = replace(SPARSE, brightness=Brightness(is_present=False))
    assert np.isnan(simulate(blind, 7).detections.features[:, 1]).all()


def test_a_margin_leaves_only_whole_cells():
    skin = replace(SKIN, margin_px=12.0)
    mask = render(skin, 8).masks[0]
    assert not mask[:12].any()
    assert not mask[:, -12:].any()
    assert (simulate(skin, 8).detections.features[:, -1] >= 10).all()  # a grid of 2 px


COLONY = replace(
    RODS,
    n_frames=12,
    n_cells=60,
    spacing=1.2,
    is_colony=True,
    motion=Motion(is_pushed=True, flow=0.0, slide=0.1),
    shape=Shape(diameter_px=10.0, aspect=6.0, growth=1.0, is_rod=True),
    division=Division(cycle_frames=6.0, brightness=0.0),
)


def test_growth_pushes_a_colony_outwards_without_crowding_it():
    """Extent and number grow together; in a crowd, the distance of neighbours would shrink."""
    found = simulate(COLONY, 4).detections
    first, last = (found.centroid[found.frame == frame] for frame in (0, 11))
    growth = len(last) / len(first)
    assert growth > 2
    extent = [np.linalg.norm(part - part.mean(axis=0), axis=1).mean() for part in (first, last)]
    np.testing.assert_allclose(extent[1] / extent[0], growth**0.5, rtol=0.2)
    nearest = [cKDTree(part).query(part, 2)[0][:, 1] for part in (first, last)]
    assert np.median(nearest[1]) > 0.7 * np.median(nearest[0])


def test_a_colony_may_grow_to_a_thousand_cells():
    movie = simulate(replace(COLONY, n_cells=1000, n_frames=4), 1)
    assert 500 < np.bincount(movie.detections.frame).max() < 2000
    assert np.isfinite(movie.detections.centroid).all()


def test_a_cell_that_leaves_shrinks_and_its_neighbours_close_the_gap():
    division = Division(
        cycle_frames=np.inf, death_probability=0.05, leave_frames=5, leave_shrinkage=0.04
    )
    calm = Motion(flow=0.0, diffusion=0.0, persistent=0.0, rotation=0.0, repulsion=0.0)
    skin = replace(SKIN, n_frames=12, n_cells=120, division=division, motion=calm, margin_px=0.0)
    skin = replace(skin, shape=replace(skin.shape, flicker=0.0))
    movie = simulate(skin, 3)
    found, child = movie.detections, np.flatnonzero(movie.parent >= 0)
    last = child[(movie.n_children[child] == 0) & (found.frame[child] < 11)]
    last = last[found.features[last, -1] > 20]  # clear of the border
    assert len(last) > 10
    change = found.features[:, 0] / found.features[movie.parent, 0]
    assert np.median(change[last]) < 0.98
    stays = np.setdiff1d(child, last)
    assert np.median(change[stays]) > np.median(change[last]) + 0.02
    area = [np.pi / 4 * (found.features[found.frame == t, 0] ** 2).sum() for t in (0, 11)]
    assert area[1] > 0.9 * area[0]  # though a third of the cells left


def test_daughters_of_a_cleavage_share_the_volume_of_their_mother():
    division = Division(
        cycle_frames=8.0, is_cleavage=True, shrinkage=0.0, asymmetry=0.0, rounding=0.0
    )
    cells = replace(
        VOLUME,
        n_frames=8,
        n_cells=60,
        z_step=1.0,
        division=division,
        shape=Shape(24.0, growth=0.0, flicker=0.0),
    )
    movie = simulate(cells, 2)
    child = np.flatnonzero((movie.parent >= 0) & (movie.n_children[movie.parent] == 2))
    child = child[movie.detections.features[child, -1] > 12]
    size = movie.detections.features[:, 0]
    np.testing.assert_allclose(np.median(size[child] / size[movie.parent[child]]), 0.79, atol=0.01)


def test_markers_are_needles_where_planes_are_far_apart():
    shape = Shape(6.0, is_marker=True, flicker=0.0)
    markers = replace(VOLUME, n_cells=60, spacing=4.0, z_step=3.0, shape=shape)
    found = simulate(markers, 1).detections
    whole = np.flatnonzero(found.features[:, 0] > 0.99 * found.features[:, 0].max())
    assert len(whole) > 20  # the others are cut by the border
    covariance = covariances(found.rows(whole))  # in voxels, where they are balls
    np.testing.assert_allclose(covariance[:, 0, 0], covariance[:, 1, 1], rtol=0.05)
