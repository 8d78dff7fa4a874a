"""The data of the charts of a page, and the numbers at its top."""

import math
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.motion.summary import MovieMotion

MAX_TIME_BINS = 300
MAX_LENGTH_BINS = 40
SCORE_BINS = 25


def summary(lineage: Lineage, n_frames: int) -> list[tuple[str, str]]:
    """Return the numbers at the top of the page, with their names."""
    return [
        (f"{n_frames:,}", "frames"),
        (f"{len(lineage.detections):,}", "objects"),
        (f"{len(lineage.tracklets):,}", "tracks"),
        (f"{lineage.n_divisions:,}", "divisions"),
    ]


def charts(
    lineage: Lineage, n_frames: int, motion: MovieMotion | None = None
) -> list[dict[str, Any]]:
    """Return the charts: counts and divisions over time, lengths of tracks, scores of links.

    If the field of view moves, a chart shows its motion over time.

    Values are those of bins `width` wide from `start`; over time, a bin is one frame or several.
    """
    found, edges = lineage.detections, lineage.edges
    width = math.ceil(n_frames / MAX_TIME_BINS)
    n_bins = math.ceil(n_frames / width)
    frames_of_bin = np.bincount(np.arange(n_frames) // width)
    counts = np.bincount(found.frame // width, minlength=n_bins) / frames_of_bin
    mothers = np.flatnonzero(np.bincount(edges.source, minlength=len(found)) > 1)
    divisions = np.bincount(found.frame[mothers] // width, minlength=n_bins)
    length = lineage.tracklets[:, 2] - lineage.tracklets[:, 1] + 1
    scores = np.histogram(edges.score.clip(0, 1), SCORE_BINS, (0, 1))[0]
    time = {"x": "frame", "start": 0, "width": width}
    per = "per frame" if width == 1 else f"per {width} frames"
    return [
        {
            **{"title": "Objects per frame", "y": "objects", "values": counts.round(1).tolist()},
            **time,
            "says": f"{counts.mean():,.0f} on average",
        },
        {
            **{"title": f"Divisions {per}", "y": "divisions", "values": divisions.tolist()},
            **time,
            "says": f"{len(mothers):,} in all",
        },
        *_motion_charts(motion, time),
        _length_chart(length),
        {
            **{"title": "Scores of links, on a log scale", "y": "links", "values": scores.tolist()},
            **{"x": "score", "start": 0, "width": 1 / SCORE_BINS},
            "is_log": True,
            "says": _share_above(edges.score),
        },
    ]


def _motion_charts(motion: MovieMotion | None, time: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a chart of the field's motion into each frame, the largest in each bin; or none."""
    if motion is None or not motion.is_aligned.any():
        return []
    starts = np.arange(0, len(motion.length), time["width"])
    values = np.maximum.reduceat(motion.length, starts)
    labels = {"title": "Motion of the field", "y": "pixels", "says": str(motion)}
    return [{**labels, **time, "values": values.round(1).tolist()}]


def _length_chart(length: IntArray) -> dict[str, Any]:
    width = math.ceil(int(length.max()) / MAX_LENGTH_BINS)
    return {
        "title": "Lengths of tracks",
        "y": "tracks",
        "values": np.bincount((length - 1) // width).tolist(),
        "x": "frames",
        "start": 1,
        "width": width,
        "says": f"half of them up to {np.median(length):,.0f} frames",
    }


def _share_above(score: Any) -> str:
    if len(score) == 0:
        return "no links"
    return f"{100 * (score >= 0.9).mean():.1f} % are 0.9 or more"
