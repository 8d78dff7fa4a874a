"""Limit the length of links, and warn of links that are longer than is typical."""

import logging
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.errors import InputError, option
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.voxels import VoxelSize, mean_side

logger = logging.getLogger(__name__)

LIKELY_SCORE = 0.5
# Beyond the third quartile by this many times the distance of the quartiles: Tukey's outer fence
# (Exploratory Data Analysis, 1977). On sparse1, epidermis and simulated movies 0.05 to 0.17 % of
# the true links lie beyond it; on sparse1 with a tenth of the detections missing, 24 of the 28
# links that do are wrong.
FENCE_QUARTILES = 3.0
AUTO_FENCES = 1.5  # reach of "auto" in fences; up to 3 changed nothing, 1 cost true links
MIN_LINKS = 20  # likely links that are needed to judge lengths
N_EXAMPLES = 3  # links that a warning names
MANY_LEFT_OUT = 0.5  # share of the likely links beyond a limit, which then is hardly that of cells


@dataclass(frozen=True, slots=True)
class MaxDistance:
    """The longest link that is considered: a length, or one estimated from the movie."""

    length: float | None = None  # None for "auto"
    unit: str = "px"  # lengths of a voxel along x, or micrometres: "um"

    @classmethod
    def parse(cls, text: str | float) -> "MaxDistance":
        """Return the distance from a number or a text: 40, "40px", "12um" or "auto".

        Raises InputError for anything else.
        """
        if text == "auto":
            return cls()
        found = re.fullmatch(r"\s*([\d.eE+-]+)\s*(px|um|\u00b5m|\u03bcm)?\s*", str(text))
        try:
            length = float(found[1]) if found else 0.0
        except ValueError:
            length = 0.0
        if found is None or not 0 < length < np.inf:
            raise InputError(
                f"the maximum distance is {text}; give a positive number of pixels or micrometres, "
                "such as 40, 40px or 12um, or auto"
            )
        return cls(length, "px" if found[2] in (None, "px") else "um")

    def in_pixels(self, voxel: VoxelSize | None) -> float | None:
        """Return the distance in lengths of a voxel along x; None if estimated from the movie.

        Raises InputError if it is in micrometres and the size of voxels is unknown.
        """
        if self.unit == "px" or self.length is None:
            return self.length
        if voxel is None:
            raise InputError(
                f"the maximum distance is {self.length:g}um, but the movie does not specify its "
                f"pixel size; give it with {option('voxel')}, or give the distance in pixels"
            )
        return self.length / voxel[-1]


def own_lengths(
    graph: CandidateGraph, proportions: FloatArray, motion: MovieMotion | None
) -> FloatArray:
    """Return the length (E,) of each edge in pixels of x, without the common motion of cells.

    motion: of the movie, if its windows were aligned.
    """
    if motion is None or not motion.flows:
        return graph.lengths(proportions)
    place, frame = graph.detections.centroid, graph.detections.frame
    source, target = graph.edges.source, graph.edges.target
    own = place[target] - motion.carried(place[source], frame[source], frame[target])
    return np.asarray(np.linalg.norm(own * proportions, axis=1))


def typical_reach(
    graph: CandidateGraph, proportions: FloatArray, motion: MovieMotion | None = None
) -> float | None:
    """Return the largest typical length of likely links in pixels; None if there are too few.

    At least a median diameter, as cells that hardly move also divide. See `own_lengths`.
    """
    is_likely = (graph.edges.score >= LIKELY_SCORE) & (graph.n_missed == 0)
    length = own_lengths(graph, proportions, motion)[is_likely]
    if len(length) < MIN_LINKS:
        return None
    first, third = np.quantile(length, [0.25, 0.75])
    diameter = np.median(graph.detections.features[:, 0]) * mean_side(proportions)
    return float(max(diameter, third + FENCE_QUARTILES * (third - first)))


def auto_distance(
    graph: CandidateGraph, proportions: FloatArray, motion: MovieMotion | None = None
) -> float | None:
    """Return the longest link to consider, in pixels, from the likely links of a movie."""
    reach = typical_reach(graph, proportions, motion)
    return None if reach is None else AUTO_FENCES * reach


def count_far(graph: CandidateGraph, limit: float, proportions: FloatArray) -> NDArray[np.int64]:
    """Return the number of likely edges beyond a limit in pixels of x, and of all likely ones.

    Edges between neighbouring frames count.
    """
    is_likely = (graph.edges.score >= LIKELY_SCORE) & (graph.n_missed == 0)
    is_far = graph.lengths(proportions) > limit
    return np.array([(is_far & is_likely).sum(), is_likely.sum()], np.int64)


def warn_of_short_limit(limit: float, n_far: int, n_likely: int) -> None:
    """Warn if a limit in pixels of x leaves out most of the likely edges of a movie."""
    if n_likely >= MIN_LINKS and n_far > MANY_LEFT_OUT * n_likely:
        logger.warning(
            "%d of %d likely links are longer than the maximum distance, %.3g pixels, and are left "
            "out; check its unit and the pixel size",
            *(n_far, n_likely, limit),
        )


def warn_of_far_links(
    lineage: Lineage, proportions: FloatArray, motion: MovieMotion | None = None
) -> None:
    """Warn if links are much longer than is typical, with examples, the longest first."""
    graph = CandidateGraph(lineage.detections, lineage.edges)
    reach = typical_reach(graph, proportions, motion)
    per_frame = own_lengths(graph, proportions, motion)
    per_frame /= 1 + graph.n_missed
    far = np.flatnonzero(per_frame > (np.inf if reach is None else reach))
    if len(far) == 0:
        return
    far = far[np.argsort(-per_frame[far], kind="stable")]
    found, edges = lineage.detections, lineage.edges
    examples = [
        f"{per_frame[row]:.0f} px from label {found.label[edges.source[row]]} in frame "
        f"{found.frame[edges.source[row]]} to {found.label[edges.target[row]]} in frame "
        f"{found.frame[edges.target[row]]}"
        for row in far[:N_EXAMPLES].tolist()
    ]
    logger.warning(
        "%d of %d links are longer than is typical of this movie (%.0f px per frame); check "
        "them: %s%s",
        len(far), len(edges), reach, "; ".join(examples), "; ..." if len(far) > N_EXAMPLES else "",
    )  # fmt: skip
