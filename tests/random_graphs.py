"""Random candidate graphs, and costs of every kind to link them by."""

import numpy as np
from hypothesis import strategies as st

from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.costs import CONFIGURATIONS, LinkCosts
from trackastra_engine.model.edges import Edges

ROUNDING = 1e-6  # HiGHS's tolerance of feasibility, larger than the rounding of sums of 40 costs

# Costs of every kind: upstream's, cheap divisions (no assignment), divisions that pay.
COSTS = {
    **CONFIGURATIONS,
    "cheap divisions": LinkCosts(0.25, -0.25, -1.0, 0.2, 0.5, 0.25, 0.1),
    "paid divisions": LinkCosts(appear=0.1, disappear=0.1, split=-0.4),
    "dear detections": LinkCosts(detection=0.8, split=2.0),
}
any_costs = st.sampled_from(sorted(COSTS)).map(COSTS.get)


def detections_in(frames, seed=0):
    """Detections in the given frames (sorted), at random places of a 100 x 100 image."""
    n = len(frames)
    label = np.concatenate(
        [np.arange(1, count + 1) for count in np.unique(frames, return_counts=True)[1]] or [[]]
    )
    centroid = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    return Detections(
        np.asarray(frames, np.int32), label.astype(np.int64), centroid, np.ones((n, 7))
    )


@st.composite
def graphs(draw, max_edges=40, max_step=2, levels=(0.05, 0.3, 0.5, 0.7, 0.7000001, 1.0)):
    """Detections in up to 6 frames, some empty, and random edges over at most `max_step` frames."""
    counts = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    frames = np.repeat(np.arange(len(counts)), counts)
    possible = [
        (i, j)
        for i in range(len(frames))
        for j in range(len(frames))
        if 1 <= frames[j] - frames[i] <= max_step
    ]
    chosen = []
    if possible:
        chosen = draw(st.lists(st.sampled_from(possible), unique=True, max_size=max_edges))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    scores = rng.choice(levels, len(chosen)) if levels else rng.uniform(0.05, 1, len(chosen))
    table = np.array(sorted(chosen), np.int64).reshape(-1, 2)
    detections = detections_in(frames, seed)
    return CandidateGraph(detections, Edges(table[:, 0], table[:, 1], scores))


def vars_of(edges):
    return edges.source, edges.target, edges.score
