"""Stage 8: a lineage becomes one picture, an SVG file that needs nothing but itself."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detections import FloatArray, IntArray
from trackastra_engine.frames import Frame, Movie
from trackastra_engine.lineage import Lineage, root_of_tracklets
from trackastra_engine.output.atomic import new_file

TAIL_FRAMES = 10  # how far back tracks are drawn
PICTURE_SIZE = 1000.0  # units of the longer side; browsers show them as pixels
MAX_PIXELS = 1600  # of the longer side of the embedded image
CAPTION_HEIGHT = 64
SHOWN_PERCENTILES = (1.0, 99.7)  # intensities that become black and white
BRIGHTEST = 190  # grey of the brightest pixels: leaves room for colours on top
PALETTE = (  # light and strong, so that they stand out on grey; distant hues follow each other
    *("#ff6b6b", "#4dd4ff", "#ffd43b", "#69db7c", "#da77f2", "#ffa94d"),
    *("#5c9dff", "#f783ac", "#a9e34b", "#2fd6b0", "#b197fc", "#e3bf95"),
)


def draw_tracks(lineage: Lineage, movie: Movie, path: str | Path) -> None:
    """Write an SVG of the last frame with objects: image, objects, and tracks leading there.

    One colour per lineage (a cell and all its descendants); a ring marks a division. Volumes are
    shown as maximum along z.
    """
    now = int(lineage.detections.frame[-1])
    frame = next(movie.frames([now]))
    labels = _flat(frame.labels)
    height, width = labels.shape
    scale = PICTURE_SIZE / max(height, width)
    body = [
        _embedded(_grey_image(frame), width * scale, height * scale),
        _embedded(_object_overlay(labels, lineage, now), width * scale, height * scale),
        *_tails(lineage, now, scale),
        *_division_rings(lineage, now, scale),
        *_caption(lineage, len(movie), now, width * scale, height * scale),
    ]
    with new_file(Path(path)) as partial:
        partial.write_text(_document(body, width * scale, height * scale + CAPTION_HEIGHT), "utf-8")


def _flat(volume: NDArray[Any]) -> NDArray[Any]:
    """Return (Y, X): the volume itself or its maximum along z."""
    return np.asarray(volume.max(axis=0)) if volume.ndim == 3 else volume


def _step(shape: tuple[int, ...]) -> int:
    """Return which pixels are shown: every first, second ..."""
    return -(-max(shape) // MAX_PIXELS)


def _grey_image(frame: Frame) -> NDArray[np.uint8]:
    """Return (Y, X) grey values of the image; without an image, objects are dark grey."""
    labels = _flat(frame.labels)
    step = _step(labels.shape)
    if frame.image is None:
        return np.where(labels[::step, ::step] > 0, np.uint8(90), np.uint8(30))
    image = _flat(frame.image)[::step, ::step].astype(float)
    low, high = np.nanpercentile(image, SHOWN_PERCENTILES)
    relative = np.nan_to_num((image - low) / (high - low if high > low else 1.0))
    return np.asarray(np.clip(relative, 0, 1) * BRIGHTEST, np.uint8)


def _object_overlay(labels: IntArray, lineage: Lineage, now: int) -> NDArray[np.uint8]:
    """Return (Y, X, 4) the objects' tinted areas and coloured outlines, clear elsewhere."""
    step = _step(labels.shape)
    shown = labels[::step, ::step]
    rows = np.flatnonzero(lineage.detections.frame == now)
    colours = np.zeros((len(rows) + 1, 3), np.uint8)
    roots = root_of_tracklets(lineage.tracklets)[lineage.tracklet_id[rows]]
    colours[1:] = [_rgb(int(root)) for root in roots]
    position = np.searchsorted(lineage.detections.label[rows], shown) + 1
    inside = shown > 0
    outline = np.zeros(shown.shape, bool)
    for axis in (0, 1):
        for shift in (1, -1):
            outline |= inside & (np.roll(shown, shift, axis) != shown)
    overlay = np.zeros((*shown.shape, 4), np.uint8)
    overlay[..., :3] = colours[np.where(inside, position, 0)]
    overlay[..., 3] = np.where(outline, 210, np.where(inside, 60, 0))
    return overlay


def _embedded(pixels: NDArray[np.uint8], width: float, height: float) -> str:
    from imagecodecs import png_encode  # 0.2 s: only when a picture is drawn

    data = base64.b64encode(png_encode(np.ascontiguousarray(pixels))).decode("ascii")
    size = f'width="{width:.1f}" height="{height:.1f}"'
    return f'<image {size} preserveAspectRatio="none" href="data:image/png;base64,{data}"/>'


def _tails(lineage: Lineage, now: int, scale: float) -> list[str]:
    """Return one line per tracklet of the last frames, with a dot where it is now."""
    found = lineage.detections
    points = _points(found.centroid, scale)
    parent = np.full(len(found), -1)
    parent[lineage.edges.target] = lineage.edges.source
    recent = np.flatnonzero(found.frame >= now - TAIL_FRAMES)
    recent = recent[np.argsort(lineage.tracklet_id[recent], kind="stable")]
    ids = lineage.tracklet_id[recent]
    roots = root_of_tracklets(lineage.tracklets)
    lines, dots = [], []
    for rows in np.split(recent, np.flatnonzero(np.diff(ids)) + 1):
        mother = parent[rows[0]]
        path = [*([mother] if mother >= 0 else []), *rows]
        colour = "#{:02x}{:02x}{:02x}".format(*_rgb(int(roots[lineage.tracklet_id[rows[0]]])))
        text = " ".join(f"{x:.1f},{y:.1f}" for x, y in points[path])
        faded = "" if found.frame[rows[-1]] == now else ' opacity="0.55"'
        lines.append(f'<polyline points="{text}" stroke="{colour}"{faded}/>')
        if not faded:
            x, y = points[rows[-1]]
            dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
    group = '<g fill="none" stroke-width="2.2" stroke-linejoin="round" stroke-linecap="round">'
    return [group, *lines, "</g>", '<g stroke="#111" stroke-width="1">', *dots, "</g>"]


def _division_rings(lineage: Lineage, now: int, scale: float) -> list[str]:
    found = lineage.detections
    mothers = np.flatnonzero(np.bincount(lineage.edges.source, minlength=len(found)) > 1)
    shown = mothers[found.frame[mothers] >= now - TAIL_FRAMES]
    rings = [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7"/>'
        for x, y in _points(found.centroid[shown], scale)
    ]
    return ['<g fill="none" stroke="#fff" stroke-width="2">', *rings, "</g>"]


def _points(centroid: FloatArray, scale: float) -> FloatArray:
    """Return (N, 2) x and y in the picture; the middle of a pixel is half a pixel in."""
    return (centroid[:, :-3:-1] + 0.5) * scale


def _caption(lineage: Lineage, n_frames: int, now: int, width: float, y: float) -> list[str]:
    n_objects = int((lineage.detections.frame == now).sum())
    first = f"Frame {now + 1} of {n_frames}: {n_objects:,} objects"
    whole = f"Whole movie: {len(lineage.tracklets):,} tracks, {lineage.n_divisions:,} divisions"
    legend = f"lines: the last {min(TAIL_FRAMES, now)} frames, one colour per lineage"
    return [
        f'<g fill="#eee" font-family="Helvetica, Arial, sans-serif" font-size="20">'
        f'<text x="14" y="{y + 27:.1f}">{first}</text>'
        f'<text x="{width - 14:.1f}" y="{y + 27:.1f}" text-anchor="end">{whole}</text>'
        f'<g fill="#aaa" font-size="16"><text x="14" y="{y + 52:.1f}">{legend}</text>'
        f'<text x="{width - 14:.1f}" y="{y + 52:.1f}" text-anchor="end">a division</text></g></g>'
        f'<circle cx="{width - 103:.1f}" cy="{y + 46.5:.1f}" r="6" fill="none" stroke="#fff" '
        f'stroke-width="2"/>'
    ]


def _document(body: list[str], width: float, height: float) -> str:
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.1f} {height:.1f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
            '<rect width="100%" height="100%" fill="#16181d"/>',
            *body,
            "</svg>\n",
        ]
    )


def _rgb(root: int) -> tuple[int, int, int]:
    """Return the colour of a lineage; those with neighbouring numbers differ."""
    code = PALETTE[root % len(PALETTE)]
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:], 16)
