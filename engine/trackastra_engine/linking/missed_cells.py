"""Find out whether a segmentation misses cells in single frames, and warn of it.

Then tracks end, and others begin at the same places two frames later. Without links over gaps, such
cells also get wrong parents, and seem to divide.
"""

import logging

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.errors import option
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.motion.summary import MovieMotion

logger = logging.getLogger(__name__)

NEAR_DIAMETERS = 0.75  # from the place of an end to that of a beginning
# Smallest share of the detections of which to warn, and smallest number. In 19 versions of five
# real sets the share is at most 0.3 %, but for a section of an embryo, which cells leave for a
# frame. With 2 % of the cells missed and 2 % merged, it is 0.8 to 3.3 %, but for three versions of
# a movie with 12 or 23 cells per frame.
MIN_SHARE, MIN_COUNT = 0.007, 10
MIN_EXCESS = 2.0  # least ratio to the number that coincidences explain


def found_again(
    lineage: Lineage,
    n_frames: int,
    proportions: FloatArray,
    motion: MovieMotion | None = None,
) -> IntArray:
    """Return the rows of detections without a child where a track begins some frames later.

    proportions: (D,) of a voxel, see voxels.proportions; motion: of the movie, if windows were
    aligned.
    """
    from scipy.spatial import cKDTree  # 0.3 s, not needed for models that see pixels

    found, edges = lineage.detections, lineage.edges
    has_child, has_parent = np.zeros((2, len(found)), bool)
    has_child[edges.source], has_parent[edges.target] = True, True
    ends, begins = np.flatnonzero(~has_child), np.flatnonzero(~has_parent)
    until, begin_frame = found.frame[ends] + n_frames, found.frame[begins]
    place = found.centroid[ends]
    if motion is not None:
        place = motion.carried(place, found.frame[ends], until)
    place = place * proportions
    begun = in_true_proportion(found.rows(begins), proportions)
    again = [np.empty(0, np.int64)]
    for frame in np.intersect1d(until, begin_frame).tolist():
        first, stop = np.searchsorted(until, [frame, frame + 1])
        later = slice(*np.searchsorted(begin_frame, [frame, frame + 1]))
        distance, nearest = cKDTree(place[first:stop]).query(begun.centroid[later])
        is_near = distance < NEAR_DIAMETERS * begun.features[later, 0]
        again.append(ends[first + np.unique(nearest[is_near])])
    return np.concatenate(again)


def n_missed_for_a_frame(
    lineage: Lineage, proportions: FloatArray, motion: MovieMotion | None = None
) -> int:
    """Return about how many cells seem to be missed in one frame; 0 if coincidences explain them.

    Where many tracks end and begin, some do so at the same place. They are as many three frames
    after an end as two frames after it.
    """
    last = int(lineage.detections.frame.max(initial=0))
    if last < 3:
        return 0
    two, three = (len(found_again(lineage, n, proportions, motion)) for n in (2, 3))
    expected = three * (last - 1) / (last - 2)  # frames that are two and three before another
    return round(two - expected) if two >= MIN_EXCESS * expected else 0


def warn_of_missed_cells(
    lineage: Lineage, proportions: FloatArray, motion: MovieMotion | None = None
) -> None:
    """Warn if many cells seem to be missed in single frames."""
    count = n_missed_for_a_frame(lineage, proportions, motion)
    if count >= max(MIN_COUNT, MIN_SHARE * len(lineage.detections)):
        logger.warning(
            "about %d tracks end where others begin two frames later: cells seem to be missed or "
            "merged in single frames, or to leave the view; %s links over such gaps",
            count,
            option("max_gap", 2),
        )
