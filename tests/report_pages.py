"""Report pages, with hostile texts and uncertain links, and a lineage of many tracks."""

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.review import DoubtfulLink
from trackastra_engine.model.edges import Edges
from trackastra_engine.output.report import RunFacts, write_report

HOSTILE = "</script><img src=x onerror=alert(1)>/$title 'movie' &amp;.tif"
DOUBTFUL = DoubtfulLink((3, 4), (2, 2), 0.51, 0.02, (((2, 1), 0.49), (None, 0.0)))


def written(tmp_path, lineage, movie, doubtful=(), facts=RunFacts("cells"), corrections=None):  # noqa: B008
    path = tmp_path / "report.html"
    write_report(lineage, movie, doubtful, facts, path, corrections=corrections)
    return (tmp_path / "report.html").read_text("utf-8")


def tracks_of_points(n_tracks, n_frames):
    """Return the lineage of points that move side by side, a hundred in a row."""
    frame = np.repeat(np.arange(n_frames), n_tracks)
    label = np.tile(np.arange(1, n_tracks + 1), n_frames)
    places = np.column_stack([10.0 * (label // 100), 10.0 * (label % 100) + frame])
    found = Detections(frame.astype(np.int32), label, places, np.zeros((len(frame), 7)))
    rows = np.arange((n_frames - 1) * n_tracks)
    return build_lineage(found, Edges(rows, rows + n_tracks, np.full(len(rows), 0.9)))
