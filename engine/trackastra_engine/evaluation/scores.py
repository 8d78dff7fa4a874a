"""The figures of py-ctcmetrics and traccuracy, from objects that are matched here."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.evaluation.edge_scores import Counts
from trackastra_engine.evaluation.matched_objects import Matching, TrackedObjects


@dataclass(frozen=True, slots=True)
class LinkCounts:
    """Counts of edges and divisions, divisions also within one frame."""

    edges: Counts
    divisions: Counts
    divisions_within_1_frame: Counts


def challenge_scores(matching: Matching) -> tuple[float, float, float]:
    """Return TRA, LNK and DET of the Cell Tracking Challenge; the truth must contain a link."""
    from ctc_metrics.metrics import det, lnk, tra
    from ctc_metrics.utils.representations import count_acyclic_graph_correction_operations

    truth, found, pairs = matching.truth, matching.found, matching.pairs
    frame_of_pair = truth.frame[pairs[:, 0]]
    operations = count_acyclic_graph_correction_operations(
        truth.tracks,
        found.tracks,
        _labels_by_frame(truth),
        _labels_by_frame(found),
        truth.labels_by_frame(pairs[:, 0], frame_of_pair),
        found.labels_by_frame(pairs[:, 1], frame_of_pair),
    )
    return float(tra(**operations)[0]), float(lnk(**operations)), float(det(**operations))


def count_links(matching: Matching) -> LinkCounts:
    """Return the counts of correct edges and divisions.

    A division is correct if the mother and all her daughters are; within one frame, also if it is
    one frame early or late and leads to the correct daughters.
    """
    from traccuracy import EdgeFlag, NodeFlag
    from traccuracy.matchers import Matched
    from traccuracy.track_errors import evaluate_division_events

    truth, found = _graph(matching.truth), _graph(matching.found)
    pairs = [(i, j) for i, j in matching.unique_pairs.tolist()]
    matched = Matched(truth, found, pairs, {"name": "CTC", "matching type": "one-to-one"})
    evaluate_division_events(matched, max_frame_buffer=1)
    right_edges = truth.get_edges_with_flag(EdgeFlag.TRUE_POS)

    def is_right(mother: int) -> bool:
        """Return whether a mother has all of her true daughters and no other.

        traccuracy requires two correct ones, but some cells have three: one in sparse1.
        """
        links = truth.graph.out_edges(mother)
        n_found = found.graph.out_degree(matched.get_gt_pred_match(mother))
        return bool(len(links) == n_found and right_edges.issuperset(links))

    candidates = (NodeFlag.TP_DIV, NodeFlag.WC_DIV)
    n_right = sum(is_right(node) for flag in candidates for node in truth.get_nodes_with_flag(flag))
    missed = truth.get_nodes_with_flag(NodeFlag.FN_DIV)
    shifted = [truth.nodes[node].get(NodeFlag.MIN_BUFFER_CORRECT) == 1 for node in missed]
    n_divisions = len(found.get_divisions()), len(truth.get_divisions())
    return LinkCounts(
        Counts(len(right_edges), len(found.edges), len(truth.edges)),
        Counts(n_right, *n_divisions),
        Counts(n_right + sum(shifted), *n_divisions),
    )


def _labels_by_frame(objects: TrackedObjects) -> list[IntArray]:
    return objects.labels_by_frame(np.arange(len(objects)), objects.frame)


def _graph(objects: TrackedObjects) -> Any:
    import networkx
    from traccuracy import TrackingGraph

    graph = networkx.DiGraph()
    graph.add_nodes_from((row, {"t": frame}) for row, frame in enumerate(objects.frame.tolist()))
    graph.add_edges_from(objects.links.tolist())
    return TrackingGraph(graph, label_key=None)
