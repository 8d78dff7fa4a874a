"""Summarise the motion of a movie: shift and growth from each frame to the next, and jumps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.motion.flow import Flow, flow_between

JUMP_SPACINGS = 0.5  # from this shift, a cell is taken for its neighbour
N_NAMED = 5  # jumps that a text names


@dataclass(frozen=True, slots=True, eq=False)
class MovieMotion:
    """The motion found by alignment into each of T frames; 0 where nothing was aligned."""

    shift: FloatArray  # (T, D) pixels, the mean of the cells
    growth: FloatArray  # (T,) of distances between cells: 0.07 for 7 % more
    is_aligned: NDArray[np.bool_]  # (T,)
    is_jump: NDArray[np.bool_]  # (T,)
    flows: Mapping[int, Flow]  # into each frame that was aligned
    proportions: FloatArray  # (D,) of a voxel, as alignment used them, see movie/voxels.py

    @property
    def length(self) -> FloatArray:
        """Return the length (T,) of the shifts in pixels."""
        return np.asarray(np.sqrt((self.shift**2).sum(axis=1)))

    def carried(self, place: FloatArray, frame: IntArray, until: IntArray) -> FloatArray:
        """Return the positions (P, D) of places in later frames if they move with the other cells.

        frame: (P,) of each place; until: (P,) the later frames; all positions in pixels.
        """
        moved = place * self.proportions
        order = np.argsort(frame, kind="stable")
        longest = int((until - frame).max(initial=0))
        for into, flow in sorted(self.flows.items()):
            begin, stop = np.searchsorted(frame, [into - longest, into], sorter=order)
            near = order[begin:stop]
            near = near[until[near] >= into]
            moved[near] += flow.at(moved[near])
        return np.asarray(moved / self.proportions)

    def figures(self) -> dict[str, Any]:
        """Return the frames that were aligned, with shift and growth, and the frames of jumps."""
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


def movie_motion(
    detections: Detections, n_frames: int, proportions: FloatArray | None = None
) -> MovieMotion:
    """Return the common motion of the detections of a movie, as alignment finds it.

    proportions: (D,) of a voxel, if windows are scored in true proportion. Windows that are scored
    in the plane, or by an estimated size of voxels, were aligned by flows that may differ a little.
    """
    if proportions is None:
        proportions = np.ones(detections.ndim)
    else:
        detections = in_true_proportion(detections, proportions)
    shift, growth = np.zeros((n_frames, detections.ndim)), np.zeros(n_frames)
    is_aligned, is_jump = np.zeros((2, n_frames), bool)
    flows = {}
    first = np.searchsorted(detections.frame, np.arange(n_frames + 1)).tolist()
    for frame in range(n_frames - 1, 0, -1):  # flows between the last frames are still cached
        begin, middle, end = first[frame - 1 : frame + 2]
        pair = detections.rows(slice(begin, end))
        flow = flow_between(pair, middle - begin)
        if flow.is_still:
            continue
        flows[frame], is_aligned[frame] = flow, True
        shift[frame] = flow.move.mean(axis=0)
        growth[frame] = _growth(flow.place, flow.move)
        is_jump[frame] = np.linalg.norm(shift[frame]) >= JUMP_SPACINGS * typical_spacing(pair)
    return MovieMotion(shift, growth, is_aligned, is_jump, flows, proportions)


def _growth(place: FloatArray, move: FloatArray) -> float:
    """Return the relative growth of distances if places (N, D) move by (N, D) pixels."""
    away = place - place.mean(axis=0)
    return float((away * (move - move.mean(axis=0))).sum() / max((away**2).sum(), 1e-12))
