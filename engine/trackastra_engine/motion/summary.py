"""How a movie moves as a whole, for people: shift and growth from each frame to the next, jumps."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.motion.flow import flow_between

JUMP_SPACINGS = 0.5  # from this shift on, a cell looks like its neighbour
N_NAMED = 5  # jumps that a text names


@dataclass(frozen=True, slots=True, eq=False)
class MovieMotion:
    """What alignment found on the way into each of T frames; all 0 where nothing was aligned."""

    shift: FloatArray  # (T, D) pixels, the mean of the cells
    growth: FloatArray  # (T,) of distances between cells: 0.07 for 7 % more
    is_aligned: NDArray[np.bool_]  # (T,)
    is_jump: NDArray[np.bool_]  # (T,)

    @property
    def length(self) -> FloatArray:
        """Return the length (T,) of the shifts in pixels."""
        return np.asarray(np.sqrt((self.shift**2).sum(axis=1)))

    def figures(self) -> dict[str, Any]:
        """Return the frames that were aligned, with shift and growth, and those that jump."""
        frames = [
            {
                "frame": frame,
                "shift_px": self.shift[frame].round(2).tolist(),
                "growth": round(float(self.growth[frame]), 4),
            }
            for frame in np.flatnonzero(self.is_aligned).tolist()
        ]
        return {"jumps": np.flatnonzero(self.is_jump).tolist(), "aligned_frames": frames}

    def __str__(self) -> str:
        n_aligned, jumps = int(self.is_aligned.sum()), np.flatnonzero(self.is_jump).tolist()
        if n_aligned == 0:
            return "no frame needed alignment"
        found = f"{n_aligned} of {max(1, len(self.shift) - 1)} frames aligned"
        growth = 100 * float(np.median(self.growth[self.is_aligned]))
        if abs(growth) >= 1:
            found += f", distances grow by {growth:.0f} % per frame"
        if jumps:
            named = ", ".join(map(str, jumps[:N_NAMED])) + (", ..." if len(jumps) > N_NAMED else "")
            found += f", jumps of up to {self.length.max():.0f} px before frame {named}"
        return found


def movie_motion(detections: Detections, n_frames: int) -> MovieMotion:
    """Return how the detections of a movie move as a whole, as alignment sees it."""
    shift, growth = np.zeros((n_frames, detections.ndim)), np.zeros(n_frames)
    is_aligned, is_jump = np.zeros((2, n_frames), bool)
    first = np.searchsorted(detections.frame, np.arange(n_frames + 1)).tolist()
    for frame in range(n_frames - 1, 0, -1):  # flows between the last frames are still remembered
        begin, middle, end = first[frame - 1 : frame + 2]
        pair = detections.rows(slice(begin, end))
        flow = flow_between(pair, middle - begin)
        if flow.is_still:
            continue
        is_aligned[frame] = True
        shift[frame] = flow.move.mean(axis=0)
        growth[frame] = _growth(flow.place, flow.move)
        is_jump[frame] = np.linalg.norm(shift[frame]) >= JUMP_SPACINGS * typical_spacing(pair)
    return MovieMotion(shift, growth, is_aligned, is_jump)


def _growth(place: FloatArray, move: FloatArray) -> float:
    """Return by which share distances grow if places (N, D) move by (N, D) pixels."""
    away = place - place.mean(axis=0)
    return float((away * (move - move.mean(axis=0))).sum() / max((away**2).sum(), 1e-12))
