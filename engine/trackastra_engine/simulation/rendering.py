"""Draw simulated cells as images and masks, for the demo, the benchmarks and the tests."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.simulation.cells import Outlines
from trackastra_engine.simulation.observation import (
    MIN_VISIBLE,
    image_shape,
    packed_labels,
    round_extents,
    view_offset,
    voxel_size,
)
from trackastra_engine.simulation.parameters import SimulationParameters
from trackastra_engine.simulation.truth import find_parents

BACKGROUND, GAIN = 300.0, 1500.0  # counts of the camera: background, and middle of an average cell
READ_NOISE = 15.0  # counts
BLUR_DIAMETERS = 0.05  # standard deviations of the optics and of the texture within cells
TEXTURE_DIAMETERS, TEXTURE = 0.12, 0.2


@dataclass(frozen=True, slots=True, eq=False)
class RenderedMovie:
    """T frames of a microscope with a perfect segmentation, and the truth."""

    images: NDArray[np.uint16]  # (T, [Z,] Y, X)
    masks: NDArray[np.uint16]  # (T, [Z,] Y, X), renumbered in each frame; 0 = background
    edges: IntArray  # (E, 4) source frame, source label, target frame, target label


def draw(
    frames: list[Outlines], parameters: SimulationParameters, rng: np.random.Generator
) -> RenderedMovie:
    """Return the movie of the outlines of T frames; every visible cell has a mask."""
    label = _label_packed if parameters.shape.is_packed else _label_free
    images, masks, identity, mother = [], [], [], []
    for outlines in frames:
        owner, depth = label(outlines, parameters)
        images.append(_image(outlines, owner, depth, parameters, rng))
        seen = rng.permutation(np.unique(owner[owner > 0]))
        new_label = np.zeros(len(outlines.identity) + 1, np.uint16)
        new_label[seen] = np.arange(1, len(seen) + 1)
        masks.append(new_label[owner])
        identity.append(outlines.identity[seen - 1])
        mother.append(outlines.mother[seen - 1])
    return RenderedMovie(np.stack(images), np.stack(masks), _edges(identity, mother))


def write_frames(frames: Iterable[NDArray[Any]], folder: Path) -> None:
    """Write frames ([Z,] Y, X) into a new folder, one TIFF each, as a microscope would."""
    import tifffile  # 0.2 s with numpy: only where a movie is written

    folder.mkdir()
    for index, frame in enumerate(frames):
        tifffile.imwrite(folder / f"t{index:04}.tif", frame, compression="zlib")


def _edges(identity: list[IntArray], mother: list[IntArray]) -> IntArray:
    parent = find_parents(identity, mother)
    frame = np.repeat(np.arange(len(identity)), [len(cells) for cells in identity])
    label = np.concatenate([np.arange(1, len(cells) + 1) for cells in identity])
    target = np.flatnonzero(parent >= 0)
    source = parent[target]
    return np.column_stack([frame[source], label[source], frame[target], label[target]])


def _label_packed(
    outlines: Outlines, parameters: SimulationParameters
) -> tuple[IntArray, FloatArray]:
    """Return the cell (1 + row; 0: none) of each voxel, and the voxel's depth in it, 0 to 1."""
    shape, voxel = image_shape(parameters), voxel_size(parameters)
    labels = packed_labels(outlines, parameters, voxel)
    if parameters.margin_px:  # then only whole cells are segmented
        edge = np.ones(labels.shape, bool)
        edge[(slice(1, -1),) * labels.ndim] = False
        labels[np.isin(labels, labels[edge])] = 0
    owner = np.zeros(shape, labels.dtype)
    start = (view_offset(parameters) / voxel).astype(int)
    inside = tuple(slice(a, a + n) for a, n in zip(start, labels.shape, strict=True))
    view = tuple(slice(0, n) for n in owner[inside].shape)
    owner[inside] = labels[view]
    depth = ndimage.distance_transform_edt(owner, sampling=voxel) / parameters.shape.diameter_px
    return owner, np.clip(2 * depth, 0, 1)


def _label_free(
    outlines: Outlines, parameters: SimulationParameters
) -> tuple[IntArray, FloatArray]:
    """Return the same as `_label_packed`; in overlaps, a voxel belongs to its deepest cell."""
    shape, voxel = image_shape(parameters), voxel_size(parameters)
    owner, depth = np.zeros(shape, np.int64), np.zeros(shape)
    centroid = (outlines.center + view_offset(parameters)) / voxel
    half = round_extents(outlines, parameters.shape.is_rod) / voxel
    low, high = np.maximum(centroid - half, -0.5), np.minimum(centroid + half, shape - 0.5)
    visible = ((high - low) > 2 * MIN_VISIBLE * half).all(axis=1)
    for row in np.flatnonzero(visible):
        box = tuple(
            slice(int(np.ceil(a)), int(np.floor(b)) + 1)
            for a, b in zip(low[row], high[row], strict=True)
        )
        start = np.array([s.start for s in box])
        points = np.moveaxis(np.indices(owner[box].shape), 0, -1) + start - centroid[row]
        found = _depth(points * voxel, outlines, int(row), parameters.shape.is_rod)
        is_deeper = found > depth[box]
        owner[box][is_deeper] = row + 1
        depth[box][is_deeper] = found[is_deeper]
    for row in np.setdiff1d(np.flatnonzero(visible), owner[owner > 0] - 1):
        middle = tuple(np.clip(np.round(centroid[row]).astype(int), 0, shape - 1))
        owner[middle] = row + 1
    return owner, depth


def _depth(points: FloatArray, outlines: Outlines, row: int, is_rod: bool) -> FloatArray:
    """Return the depth, 1 in the middle of a cell to 0 at its outline, of points (..., D)."""
    radius, length = outlines.width[row] / 2, outlines.length[row] / 2
    along = points @ outlines.axis[row]
    across = np.maximum((points**2).sum(-1) - along**2, 0)
    if is_rod:
        along = np.maximum(np.abs(along) - max(length - radius, 0), 0)
        length = radius
    depth: FloatArray = 1 - np.sqrt(across / radius**2 + (along / length) ** 2)
    return depth


def _image(
    outlines: Outlines,
    owner: IntArray,
    depth: FloatArray,
    parameters: SimulationParameters,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    diameter = parameters.shape.diameter_px / voxel_size(parameters)
    texture = ndimage.gaussian_filter(rng.normal(size=owner.shape), TEXTURE_DIAMETERS * diameter)
    texture *= TEXTURE / max(float(texture.std()), 1e-9)
    brightness = np.append(0.0, outlines.intensity)[owner]
    # Thicker in the middle, like half a ball, but not dark at the rim.
    profile = 0.4 + 0.6 * np.sqrt(np.clip(1 - (1 - depth) ** 2, 0, 1))
    signal = brightness * profile * np.maximum(1 + texture, 0)
    signal = ndimage.gaussian_filter(signal, np.maximum(BLUR_DIAMETERS * diameter, 0.5))
    counts = rng.poisson(BACKGROUND + GAIN * signal) + rng.normal(size=owner.shape) * READ_NOISE
    pixels: NDArray[np.uint16] = np.clip(np.round(counts), 0, 65_535).astype(np.uint16)
    return pixels
