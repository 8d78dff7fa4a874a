"""Measure simulated cells as a segmentation would, with its errors, and the truth."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray, concatenate
from trackastra_engine.simulation.cells import Outlines, field_of_view, typical_spacing_px
from trackastra_engine.simulation.cuts import cut, random_cuts
from trackastra_engine.simulation.parameters import Errors, SimulationParameters
from trackastra_engine.simulation.truth import KnownMovie, known_movie

MIN_VISIBLE = 0.15  # share of a cell's extent that must lie in the image
GRID_STEPS_PER_SPACING = {2: 7, 3: 5}  # sampling of packed cells; finer changes 2D areas by 5 %
TOUCHING = 1.25  # cells closer than this many mean diameters may merge


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """M segmented objects of one frame; lengths in voxels."""

    identity: IntArray  # (M,) of the cell that the object represents, -1 if none
    mother: IntArray  # (M,)
    centroid: FloatArray  # (M, D)
    covariance: FloatArray  # (M, D, D) of the object's points
    volume: FloatArray  # (M,) number of voxels
    low: FloatArray  # (M, D) bounding box, first voxel
    high: FloatArray  # (M, D) bounding box, last voxel
    intensity: FloatArray  # (M,)

    def rows(self, index: IntArray | NDArray[np.bool_]) -> "Regions":
        """Return some of the objects."""
        return Regions(*(getattr(self, f.name)[index] for f in fields(self)))


def image_shape(parameters: SimulationParameters) -> IntArray:
    """Return the size (D,) of the image in voxels, its margin included."""
    size = field_of_view(parameters)
    size[-2:] += 2 * round(parameters.margin_px)
    return np.maximum(np.round(size / voxel_size(parameters)), 1).astype(int)


def voxel_size(parameters: SimulationParameters) -> FloatArray:
    """Return the size (D,) of a voxel in pixels of y and x."""
    size = np.ones(parameters.ndim)
    if parameters.ndim == 3:
        size[0] = parameters.z_step
    return size


def view_offset(parameters: SimulationParameters) -> FloatArray:
    """Return the start (D,) of the field of view in the image, in pixels."""
    offset = np.zeros(parameters.ndim)
    offset[-2:] = round(parameters.margin_px)
    return offset


def observe(
    frames: Sequence[Outlines], parameters: SimulationParameters, rng: np.random.Generator
) -> KnownMovie:
    """Return the detections of the outlines of T frames, and their truth."""
    measure = _measure_packed if parameters.shape.is_packed else _measure_free
    movie = []
    for outlines in frames:
        regions = measure(outlines, parameters)
        for spoil in (_merge, _split, _miss):
            regions = spoil(regions, parameters.errors, rng)
        movie.append(regions.rows(rng.permutation(len(regions.identity))))
    detections = concatenate(
        (_detections(frame, regions, parameters) for frame, regions in enumerate(movie)),
        parameters.ndim,
    )
    return known_movie(detections, [r.identity for r in movie], [r.mother for r in movie])


def _detections(frame: int, regions: Regions, parameters: SimulationParameters) -> Detections:
    count, ndim = regions.centroid.shape
    factor = 4 / np.pi if ndim == 2 else 6 / np.pi
    # Pixels count as points, as in skimage: each lacks the 1/12 of its own extent. An object cut by
    # the border may be thinner than that.
    thinnest = np.linalg.eigvalsh(regions.covariance).min(axis=1, initial=1 / 12)
    covariance = regions.covariance - thinnest[:, None, None] * np.eye(ndim)
    trace = np.trace(covariance, axis1=1, axis2=2)
    inertia = trace[:, None, None] * np.eye(ndim) - covariance
    last = image_shape(parameters)[-2:] - 1
    to_border = np.minimum(regions.low[:, -2:], last - regions.high[:, -2:]).min(axis=1)
    features = np.column_stack(
        [
            (factor * regions.volume) ** (1 / ndim),
            regions.intensity if parameters.brightness.is_present else np.full(count, np.nan),
            inertia.reshape(-1, ndim * ndim),
            np.maximum(to_border, 0),
        ]
    )
    return Detections(
        np.full(count, frame, np.int32), np.arange(1, count + 1), regions.centroid, features
    )


def _measure_free(outlines: Outlines, parameters: SimulationParameters) -> Regions:
    """Return ellipses, ellipsoids or rods, cut at the border of the image."""
    (across, along), volume = _round_shape(outlines, parameters.shape.is_rod)
    voxel = voxel_size(parameters)
    outer = outlines.axis[:, :, None] * outlines.axis[:, None, :]
    covariance = across[:, None, None] * (np.eye(parameters.ndim) - outer)
    covariance = (covariance + along[:, None, None] * outer) / (voxel[:, None] * voxel)
    centroid = (outlines.center + view_offset(parameters)) / voxel
    half = round_extents(outlines, parameters.shape.is_rod) / voxel
    low = np.maximum(centroid - half, -0.5)
    high = np.minimum(centroid + half, image_shape(parameters) - 0.5)
    visible = (high - low) / (2 * half)
    kept = np.flatnonzero((visible > MIN_VISIBLE).all(axis=1))
    share = visible[kept]
    return Regions(
        outlines.identity[kept],
        outlines.mother[kept],
        np.where(share < 1, (low + high)[kept] / 2, centroid[kept]),
        covariance[kept] * share[:, :, None] * share[:, None, :],
        volume[kept] / voxel.prod() * share.prod(axis=1),
        np.maximum(np.ceil(low[kept]), 0),
        np.floor(high[kept]),
        outlines.intensity[kept],
    )


def round_extents(outlines: Outlines, is_rod: bool) -> FloatArray:
    """Return half the size (M, D) of the bounding box of free cells, in pixels."""
    length, width = outlines.length[:, None] / 2, outlines.width[:, None] / 2
    if is_rod:
        return np.maximum(length - width, 0) * np.abs(outlines.axis) + width
    return np.sqrt(width**2 + (length**2 - width**2) * outlines.axis**2)


def _round_shape(
    outlines: Outlines, is_rod: bool
) -> tuple[tuple[FloatArray, FloatArray], FloatArray]:
    """Return the variances (M,) across and along the axis, and the volume (M,)."""
    ndim = outlines.center.shape[1]
    length, width = outlines.length, outlines.width
    radius, core = width / 2, np.maximum(length - width, 0)
    if not is_rod:
        factor = np.pi / 4 if ndim == 2 else np.pi / 6
        variances = radius**2 / (ndim + 2), (length / 2) ** 2 / (ndim + 2)
        return variances, factor * length * width ** (ndim - 1)
    # Middle (a rectangle or cylinder) and ends (two halves of a disc or ball), weighted by volume;
    # 4 / (3 pi) and 3 / 8 radii are the centroids of half a disc and half a ball.
    if ndim == 2:
        middle, ends = core * width, np.pi * radius**2
        lever, spread = 4 / (3 * np.pi), width**2 / 12
    else:
        middle, ends = np.pi * radius**2 * core, 4 / 3 * np.pi * radius**3
        lever, spread = 3 / 8, radius**2 / 4
    volume, round_part = middle + ends, radius**2 / (ndim + 2)
    across = (middle * spread + ends * round_part) / volume
    along = middle * core**2 / 12 + ends * (core**2 / 4 + lever * core * radius + round_part)
    return (across, along / volume), volume


def packed_labels(
    outlines: Outlines, parameters: SimulationParameters, step: FloatArray
) -> IntArray:
    """Return the cell (1 + its row; 0: none) of each point of a grid over the image.

    Every cell owns the points nearest to its two poles (a power diagram, so that larger cells
    get more), less a gap. `step` (D,) is the spacing of the grid, in pixels.
    """
    grid_shape = tuple(np.ceil(field_of_view(parameters) / step).astype(int).tolist())
    points = np.moveaxis(np.indices(grid_shape), 0, -1).reshape(-1, parameters.ndim)
    points = (points + 0.5) * step - 0.5
    arm = (0.5 * (outlines.length - outlines.width))[:, None] * outlines.axis
    poles = np.concatenate([outlines.center - arm, outlines.center + arm])
    spacing = typical_spacing_px(parameters)
    distance, pole = cKDTree(poles).query(points, k=4, distance_upper_bound=1.2 * spacing)
    owner = np.append(np.tile(np.arange(len(outlines.center)), 2), -1)[pole]
    weight = np.append(np.tile(outlines.width / 2, 2) ** 2, 0.0)[pole]
    power = distance**2 - weight
    best = power.argmin(axis=1)
    rows = np.arange(len(points))
    first = owner[rows, best]
    rival = np.where(owner == first[:, None], np.inf, power).min(axis=1)
    # On the border of two cells the powers are equal; they differ by 2 d x at distance x from it.
    lead = rival - np.minimum(power[rows, best], 1e12)
    is_gap = lead < parameters.shape.gap * spacing**2
    return np.where(is_gap, 0, first + 1).reshape(grid_shape)


def _measure_packed(outlines: Outlines, parameters: SimulationParameters) -> Regions:
    n_steps = GRID_STEPS_PER_SPACING[parameters.ndim]
    step = np.full(parameters.ndim, typical_spacing_px(parameters) / n_steps)
    labels = packed_labels(outlines, parameters, step)
    boxes = ndimage.find_objects(labels, len(outlines.center))
    kept = np.array([row for row, box in enumerate(boxes) if box is not None], dtype=int)
    low = np.array([[s.start for s in boxes[row]] for row in kept]).reshape(-1, parameters.ndim)
    high = np.array([[s.stop for s in boxes[row]] for row in kept]).reshape(-1, parameters.ndim)
    if parameters.margin_px:  # then only whole cells are segmented
        whole = (low > 0).all(axis=1) & (high < labels.shape).all(axis=1)
        kept, low, high = kept[whole], low[whole], high[whole]
    count, centroid, covariance = _moments(labels, len(outlines.center))
    voxel = voxel_size(parameters)
    scale, offset = step / voxel, view_offset(parameters)
    return Regions(
        outlines.identity[kept],
        outlines.mother[kept],
        ((centroid[kept] + 0.5) * step - 0.5 + offset) / voxel,
        covariance[kept] * scale[:, None] * scale,
        count[kept] * scale.prod(),
        np.round((low * step + offset) / voxel),
        np.round((high * step + offset) / voxel) - 1,
        outlines.intensity[kept],
    )


def _moments(labels: IntArray, count: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the number of points, their mean and covariance; a point has the extent 1."""
    inside = np.nonzero(labels)
    cell = labels[inside] - 1
    number = np.maximum(np.bincount(cell, minlength=count), 1).astype(float)
    centroid = np.stack([np.bincount(cell, p, count) for p in inside], 1) / number[:, None]
    covariance = np.empty((count, labels.ndim, labels.ndim))
    for i, p in enumerate(inside):
        for j, q in enumerate(inside):
            products = (p - centroid[cell, i]) * (q - centroid[cell, j])
            covariance[:, i, j] = np.bincount(cell, products, count) / number + (i == j) / 12
    return number, centroid, covariance


def _miss(regions: Regions, errors: Errors, rng: np.random.Generator) -> Regions:
    return regions.rows(rng.random(len(regions.identity)) >= errors.missed)


def _merge(regions: Regions, errors: Errors, rng: np.random.Generator) -> Regions:
    """Return the objects with some touching pairs merged."""
    if not errors.merged or len(regions.identity) < 2:
        return regions
    ndim = regions.centroid.shape[1]
    diameter = (regions.volume * (4 / np.pi if ndim == 2 else 6 / np.pi)) ** (1 / ndim)
    distance, other = (
        found[:, 1] for found in cKDTree(regions.centroid).query(regions.centroid, 2)
    )
    touches = distance < TOUCHING * 0.5 * (diameter + diameter[other])
    smaller = touches & (regions.volume < regions.volume[other])
    chosen = np.flatnonzero(smaller & (rng.random(len(distance)) < errors.merged))
    kept = other[chosen]
    once = np.unique(kept, return_index=True)[1]
    free = once[~np.isin(kept[once], chosen)]  # an object merges at most once
    return _absorb(regions, kept[free], chosen[free])


def _absorb(regions: Regions, larger: IntArray, smaller: IntArray) -> Regions:
    """Return the objects after each of `larger` has absorbed its partner in `smaller`."""
    volume = regions.volume[larger] + regions.volume[smaller]
    share = (regions.volume[smaller] / volume)[:, None]
    between = regions.centroid[smaller] - regions.centroid[larger]
    mixed = share[..., None]
    covariance = (1 - mixed) * regions.covariance[larger] + mixed * regions.covariance[smaller]
    covariance += mixed * (1 - mixed) * between[:, :, None] * between[:, None, :]
    intensity = (1 - share[:, 0]) * regions.intensity[larger]
    intensity += share[:, 0] * regions.intensity[smaller]
    result = regions.rows(np.arange(len(regions.identity)))  # a copy, to be changed
    result.low[larger] = np.minimum(regions.low[larger], regions.low[smaller])
    result.high[larger] = np.maximum(regions.high[larger], regions.high[smaller])
    result.centroid[larger] = regions.centroid[larger] + share * between
    result.covariance[larger], result.volume[larger] = covariance, volume
    result.intensity[larger] = intensity
    is_kept = np.ones(len(regions.identity), dtype=bool)
    is_kept[smaller] = False
    return result.rows(is_kept)


def _split(regions: Regions, errors: Errors, rng: np.random.Generator) -> Regions:
    """Return the objects with some of them cut in two across their long axis."""
    chosen = np.flatnonzero(rng.random(len(regions.identity)) < errors.split)
    if not len(chosen):
        return regions
    value, vector = np.linalg.eigh(regions.covariance[chosen])
    axis, variance = vector[:, :, -1], value[:, -1]
    along = variance[:, None, None] * axis[:, :, None] * axis[:, None, :]
    n_before = len(regions.identity)
    result = regions.rows(np.concatenate([np.arange(n_before), chosen]))
    second = np.arange(n_before, n_before + len(chosen))
    result.identity[second] = result.mother[second] = -1
    parts = cut(random_cuts(len(chosen), rng))
    for rows, part in zip((chosen, second), parts, strict=True):
        result.centroid[rows] += (part.shift * np.sqrt(variance))[:, None] * axis
        result.covariance[rows] -= (1 - part.variance)[:, None, None] * along
        result.volume[rows] *= part.volume
    return result
