"""The shown frames of a page: small images and the outlines of objects, in one pass."""

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.frames import Frame, Movie
from trackastra_engine.output.ctc import relabel
from trackastra_engine.output.report.outlines import Outlines, outlines, pack_steps
from trackastra_engine.output.report.shades import shades
from trackastra_engine.output.report.tree import Tree
from trackastra_engine.output.report.view import View
from trackastra_engine.prefetch import computed_ahead, computed_side_by_side
from trackastra_engine.progress import Progress

IMAGE_BYTES = 3_600_000  # of all images together
QUALITIES = (85, 70, 55, 40, 25)  # of JPEG: the first that fits IMAGE_BYTES, or else the last
LEVEL_FRAMES = 5  # sampled for the levels of black and white
SHOWN_PERCENTILES = (0.5, 99.8)  # intensities that become black and white


@dataclass(frozen=True, slots=True, eq=False)
class Film:
    """The images and outlines of S frames for a page."""

    images: list[str]  # (S,) JPEG in base64; none without images
    arrays: dict[str, NDArray[np.generic]]  # outlines


def film(
    movie: Movie, lineage: Lineage, view: View, tree: Tree, *, threads: int, progress: Progress
) -> Film:
    """Return the shown frames, which are read one by one and drawn by some threads."""
    levels = _levels(movie, view)
    images, parts = [], []

    def shot(frame: Frame) -> tuple[bytes | None, Outlines]:
        return _shot(frame, lineage, view, levels)

    with (
        computed_ahead(movie.frames(view.frames.tolist())) as frames,
        computed_side_by_side(shot, frames, movie.threads(threads)) as shots,
    ):
        for index, (image, ways) in enumerate(shots):
            if image is not None:
                images.append(base64.b64encode(image).decode("ascii"))
            parts.append(ways)
            progress("report", index + 1, len(view.frames))
    return Film(images, _packed(parts, tree))


def _shot(
    frame: Frame, lineage: Lineage, view: View, levels: tuple[float, float]
) -> tuple[bytes | None, Outlines]:
    shown = Frame(frame.index, None, _nearest(_flat(frame.labels), view))
    ids = relabel(shown, lineage, np.dtype(np.uint32))
    if frame.image is None:
        return None, outlines(ids)
    grey = shades(_flat(frame.image), (view.height, view.width), levels)
    return _jpeg(grey, IMAGE_BYTES // len(view.frames)), outlines(ids)


def _packed(parts: list[Outlines], tree: Tree) -> dict[str, NDArray[np.generic]]:
    """Return the outlines of all frames, and the start of each frame's."""
    packed = [pack_steps(part.steps) for part in parts]
    corner = np.concatenate([part.corner for part in parts])
    owner = np.concatenate([part.owner for part in parts])
    return {
        "way_start": np.cumsum([0, *(len(part.owner) for part in parts)]).astype(np.uint32),
        "way_track": tree.row_of_id[owner].astype(np.uint32),
        "way_x": corner[:, 0].astype(np.uint16),
        "way_y": corner[:, 1].astype(np.uint16),
        "way_length": np.concatenate([part.length for part in parts]).astype(np.uint32),
        "step_start": np.cumsum([0, *map(len, packed)]).astype(np.uint32),  # in bytes
        "steps": np.concatenate(packed).astype(np.uint8),
    }


def _levels(movie: Movie, view: View) -> tuple[float, float]:
    """Return the intensities of black and white, the same in all frames."""
    if movie.images is None:
        return 0.0, 1.0
    chosen = np.unique(np.linspace(0, len(view.frames) - 1, LEVEL_FRAMES).astype(int))
    images = movie.images.read(view.frames[chosen].tolist())
    sample = [_nearest(_flat(image), view) for image in images]
    low, high = np.nanpercentile(np.asarray(sample, float), SHOWN_PERCENTILES)
    return float(low), float(high)


def _flat(volume: NDArray[Any]) -> NDArray[Any]:
    """Return (Y, X): the volume itself or its maximum along z."""
    return np.asarray(volume.max(axis=0)) if volume.ndim == 3 else volume


def _nearest(pixels: NDArray[Any], view: View) -> NDArray[Any]:
    """Return (height, width) pixels, the one in the middle of each shown pixel."""
    rows, columns = (
        ((np.arange(shown) + 0.5) * size / shown).astype(int)
        for size, shown in zip(pixels.shape, (view.height, view.width), strict=True)
    )
    return np.asarray(pixels[rows][:, columns])  # in a quarter of the time of one indexing


def _jpeg(pixels: NDArray[np.uint8], most_bytes: int) -> bytes:
    from imagecodecs import jpeg8_encode  # 0.2 s: only when images are shown

    encoded = b""
    for quality in QUALITIES:
        encoded = bytes(jpeg8_encode(pixels, level=quality))
        if len(encoded) <= most_bytes:
            break
    return encoded
