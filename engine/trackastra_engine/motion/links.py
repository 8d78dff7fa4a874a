"""Find flows from the likely links between the cells of a window, for windows in doubt."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.motion.alignment import frame_rows
from trackastra_engine.motion.counterparts import Counterparts
from trackastra_engine.motion.flow import MIN_CELLS, Flow
from trackastra_engine.motion.smooth import smooth_move

LIKELY_SCORE = 0.3  # of links that count


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """L scored links between the detections of a window."""

    source: IntArray  # (L,) rows of the window
    target: IntArray  # (L,)
    score: FloatArray  # (L,) 0 to 1

    def between(self, begin: int, middle: int, end: int) -> "Links":
        """Return those from rows `begin` to `middle` to rows `middle` to `end`."""
        is_inside = (self.source >= begin) & (self.source < middle)
        is_inside &= (self.target >= middle) & (self.target < end)
        return Links(self.source[is_inside], self.target[is_inside], self.score[is_inside])


def flows_of_links(detections: Detections, links: Links, flows: Sequence[Flow]) -> list[Flow]:
    """Return the flows of a window from its likely links, see `flows_of`.

    flows: used between frames that have too few links.
    """
    frames, first = frame_rows(detections)
    is_likely = links.score > LIKELY_SCORE
    likely = Links(links.source[is_likely], links.target[is_likely], links.score[is_likely])
    found = list(flows)
    for number, step in enumerate(np.diff(frames).tolist()):
        begin, middle, end = first[number : number + 3].tolist()
        near = likely.between(begin, middle, end)
        if step != 1 or len(near.source) < MIN_CELLS:
            continue
        source = detections.centroid[near.source]
        move = detections.centroid[near.target] - source
        fit = float(near.score.sum()) / (end - middle)
        shown = Counterparts(near.source - begin, source, move, near.score, fit)
        spacing = typical_spacing(detections.rows(slice(begin, end)))
        place = detections.centroid[begin:middle]
        found[number] = Flow(place, smooth_move(place, spacing, shown), fit)
    return found
