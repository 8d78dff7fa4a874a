"""The frames that a page shows, their size, and notes on omissions."""

import math
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.frames import Movie

MAX_FRAMES = 150  # shown at most
MAX_OBJECTS = 120_000  # in all shown frames; some 20 bytes each
MAX_PIXELS = 24_000_000  # of all shown frames; some 0.15 bytes each
MAX_SIDE = 1024  # pixels of a frame
POINTS_SIDE = 1000.0  # units of the longer side, for points


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The shown frames, and the map from positions in the movie to shown pixels."""

    n_frames: int  # of the movie
    frames: IntArray  # (S,) indices of the shown frames, ascending
    height: int  # shown pixels
    width: int
    scale: float  # shown pixels to a pixel of the movie
    origin: tuple[float, float]  # y and x of the upper left corner in the movie
    notes: tuple[str, ...]  # about omissions, in sentences

    def place(self, centroid: FloatArray) -> FloatArray:
        """Return (N, 2) x and y in shown pixels of centroids (N, D); 0 is the edge of a pixel."""
        y, x = (centroid[:, axis] + 0.5 - self.origin[axis + 2] for axis in (-2, -1))
        return np.column_stack([x, y]) * self.scale


def view_of_movie(lineage: Lineage, movie: Movie) -> View:
    """Return the view of a movie: evenly spaced frames, scaled down to the limits."""
    frames = _thinned(lineage, len(movie))
    *depth, height, width = movie.frame_shape
    side = min(MAX_SIDE, math.sqrt(MAX_PIXELS / len(frames)))
    scale = min(1.0, side / max(height, width))
    shown = max(1, round(height * scale)), max(1, round(width * scale))
    notes = _thinning_notes(len(movie), frames)
    if scale < 1:
        notes.append(
            f"Frames of {width:,} x {height:,} pixels are shown at {shown[1]:,} x {shown[0]:,}."
        )
    if depth:
        notes.append("Volumes are shown as their maximum along z.")
    return View(len(movie), frames, *shown, scale, (0.0, 0.0), tuple(notes))


def view_of_points(lineage: Lineage) -> View:
    """Return the view of points; its frame is their common box with a margin."""
    found = lineage.detections
    n_frames = int(found.frame[-1]) + 1
    frames = _thinned(lineage, n_frames)
    low, high = found.centroid[:, -2:].min(axis=0), found.centroid[:, -2:].max(axis=0)
    margin = 0.03 * float((high - low).max()) + 1
    height, width = (high - low + 2 * margin).tolist()
    scale = POINTS_SIDE / max(height, width)
    notes = [*_thinning_notes(n_frames, frames), "Points are shown as dots; there are no images."]
    if found.ndim == 3:
        notes.append("Volumes are shown along z.")
    y, x = (low - margin).tolist()
    shown = math.ceil(height * scale), math.ceil(width * scale)
    return View(n_frames, frames, *shown, scale, (y, x), tuple(notes))


def _thinned(lineage: Lineage, n_frames: int) -> IntArray:
    per_frame = len(lineage.detections) / n_frames
    most = min(MAX_FRAMES, max(2, int(MAX_OBJECTS / per_frame)))
    return np.arange(0, n_frames, math.ceil(n_frames / most))


def _thinning_notes(n_frames: int, frames: IntArray) -> list[str]:
    if len(frames) == n_frames:
        return []
    step = frames[1] if len(frames) > 1 else n_frames
    return [f"The movie shows {len(frames):,} of {n_frames:,} frames, one in {step:,}."]
