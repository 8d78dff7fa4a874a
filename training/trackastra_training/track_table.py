"""The table of the tracks, `man_track.txt`, with checks of it and of its masks."""

from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.files.csv_table import lines_of_numbers, whole_number
from trackastra_engine.movie.frame_files import FrameFiles

TRACK_FILE = "man_track.txt"
LARGEST = np.iinfo(np.int64).max  # number in a table


def read_track_table(path: Path, n_frames: int) -> tuple[IntArray, list[str]]:
    """Return the tracks (K, 4), sorted: label, first frame, last frame, parent or 0; and problems.

    Rows that cannot be read are problems, and left out.
    """
    rows, problems = [], []
    for number, values in lines_of_numbers(path):
        if len(values) == 4 and all(map(_is_number, values)):
            rows.append([whole_number(value) for value in values])
        else:
            problems.append(f"{TRACK_FILE}, line {number}: {' '.join(values)!r} is not L B E P")
    if not rows:
        return np.empty((0, 4), np.int64), [*problems, f"{TRACK_FILE} lists no track"]
    tracks = np.array(sorted(rows), np.int64)
    return tracks, problems + _table_problems(tracks, n_frames)


def _is_number(text: str) -> bool:
    try:
        return abs(whole_number(text)) <= LARGEST
    except ValueError:
        return False


def _table_problems(tracks: IntArray, n_frames: int) -> list[str]:
    label, first, last, parent = tracks.T
    row_of_parent = np.searchsorted(label, parent).clip(max=len(label) - 1)
    is_listed = label[row_of_parent] == parent
    is_late = (parent != 0) & is_listed & (last[row_of_parent] >= first)
    kinds = (
        (label < 1, "the label is not positive"),
        (np.diff(label, prepend=label[0] - 1) == 0, "listed twice"),
        (last < first, "ends before it begins"),
        (first < 0, "begins before frame 0"),
        (last >= n_frames, f"ends after frame {n_frames - 1}, the last one"),
        ((parent != 0) & ~is_listed, "its parent {parent} is not listed"),
        (is_late, "begins in frame {first}, before its parent {parent} has ended"),
    )
    return [
        f"{TRACK_FILE}, track {label[row]}: " + text.format(parent=parent[row], first=first[row])
        for is_wrong, text in kinds
        for row in np.flatnonzero(is_wrong)
    ]


def name_problems(listed: FrameFiles) -> list[str]:
    """Return the gaps between the masks of a movie, by the numbers in the names of the files.

    After a missing file, all frames would have wrong numbers.
    """
    return [
        f"{n_missing} frame{'s' * (n_missing > 1)} without a mask between {before} and {after}"
        for before, after, n_missing in listed.gaps
    ]


def mask_problems(frame: int, labels: IntArray, tracks: IntArray) -> list[str]:
    """Return the problems of the labels of a frame's mask, by the table of the tracks.

    By the rules of the Cell Tracking Challenge, a track is in every frame from its first to its
    last. A cell that was out of sight continues as a new track, whose parent is the old one.
    """
    label, first, last, _ = tracks.T
    is_listed = (first <= frame) & (frame <= last)
    problems = []
    for unknown in np.setdiff1d(labels, label[is_listed]):
        rows = np.flatnonzero(label == unknown)
        listed = (
            f"lists it in frames {first[rows[0]]}-{last[rows[0]]} only"
            if len(rows)
            else "does not list it"
        )
        problems.append(f"frame {frame}, label {unknown}: in the mask, but {TRACK_FILE} {listed}")
    for missing in np.setdiff1d(label[is_listed], labels):
        problems.append(
            f"frame {frame}, label {missing}: not in the mask, but {TRACK_FILE} lists it there "
            "(after a gap, a track needs a new label, with the old one as its parent)"
        )
    return problems
