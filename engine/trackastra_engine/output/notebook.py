"""Convert a lineage for notebooks: to a table, a graph, and a small picture."""

from importlib import import_module
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray, feature_names
from trackastra_engine.errors import MissingDependencyError
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.axes import space_axes
from trackastra_engine.output.report.tree import lineage_tree

MOST_DRAWN = 300  # tracks in a picture, those of the largest lineages
WIDTH, LANE_HEIGHT, MOST_HEIGHT = 640, 12, 400  # pixels of a picture


def tracks_table(lineage: Lineage) -> Any:
    """Return a pandas DataFrame with a row for each detection, by track, then frame.

    The columns are those of `tracks.csv`: track, parent, frame, label, [z,] y, x, score of the link
    to the detection before, and features. Raises MissingDependencyError without pandas.
    """
    pandas = _package("pandas", "pip install pandas")
    order = np.argsort(lineage.tracklet_id, kind="stable")  # detections are sorted by frame
    return pandas.DataFrame(_columns(lineage)).iloc[order].reset_index(drop=True)


def tracks_graph(lineage: Lineage) -> Any:
    """Return a networkx DiGraph with a node for each detection and an edge for each link.

    Nodes are numbered from 1, as in a GEFF; their attributes are the columns of `tracks_table`,
    except `score`, which edges have. Raises MissingDependencyError without networkx.
    """
    networkx = _package("networkx", "pip install networkx")
    graph = networkx.DiGraph()
    columns = _columns(lineage)
    columns.pop("score")
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    graph.add_nodes_from(
        (node, dict(zip(columns, row, strict=True))) for node, row in enumerate(rows, 1)
    )
    edges = lineage.edges
    ends = (edges.source + 1).tolist(), (edges.target + 1).tolist(), edges.score.tolist()
    graph.add_weighted_edges_from(zip(*ends, strict=True), weight="score")
    return graph


def page(lineage: Lineage) -> str:
    """Return HTML with the counts and the tree of a lineage."""
    n_frames = len(np.unique(lineage.detections.frame))
    n_drawn = min(len(lineage.tracklets), MOST_DRAWN)
    drawn = "" if n_drawn == len(lineage.tracklets) else f" The largest {n_drawn} are drawn."
    return (
        f"<div><b>Lineage</b>: {len(lineage.detections):,} detections in {n_frames:,} frames, "
        f"{len(lineage.tracklets):,} tracks, {lineage.n_divisions:,} divisions.{drawn}</div>"
        f"{_picture(lineage)}"
    )


def _picture(lineage: Lineage) -> str:
    """Return an SVG: a horizontal line for each track, joined to that of its mother."""
    if not len(lineage.tracklets):
        return ""
    tree = lineage_tree(lineage)
    tracklets, lane = tree.tracklets[:MOST_DRAWN], tree.lane[:MOST_DRAWN]
    first = int(tracklets[:, 1].min())
    step_x = WIDTH / (int(tracklets[:, 2].max()) - first + 1)
    height = min(MOST_HEIGHT, LANE_HEIGHT * (float(lane.max()) + 1))
    y = (lane + 0.5) * height / (float(lane.max()) + 1)
    start, end = ((tracklets[:, at] - first + 0.5) * step_x for at in (1, 2))
    lines = []
    for row, parent in enumerate(tree.parent[:MOST_DRAWN].tolist()):
        begin = f"M{end[parent]:.1f} {y[parent]:.1f}V{y[row]:.1f}" if parent >= 0 else ""
        lines.append(f"{begin or f'M{start[row]:.1f} {y[row]:.1f}'}H{end[row]:.1f}")
    return (
        f'<svg width="{WIDTH}" height="{height:.0f}" role="img"><path d="{"".join(lines)}" '
        'fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/></svg>'
    )


def _columns(lineage: Lineage) -> dict[str, IntArray | FloatArray]:
    """Return the columns (N,) of `tracks_table`, in the order of the detections."""
    found, track = lineage.detections, lineage.tracklet_id
    score = np.full(len(found), np.nan)
    score[lineage.edges.target] = lineage.edges.score
    return {
        "track": track,
        "parent": lineage.tracklets[track - 1, 3],
        "frame": found.frame,
        "label": found.label,
        **dict(zip(space_axes(found.ndim), found.centroid.T, strict=True)),
        "score": score,
        **dict(zip(feature_names(found.ndim), found.features.T, strict=True)),
    }


def _package(name: str, command: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise MissingDependencyError(f"this needs {name}; install it with: {command}") from None
