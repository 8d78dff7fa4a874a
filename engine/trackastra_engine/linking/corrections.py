"""Decisions of a person about links, and candidate graphs in which a linker must follow them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, IntArray, find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges, concatenate_edges

BoolArray = NDArray[np.bool_]
Place = tuple[int, int]  # frame and label of a detection
Decision = tuple[Place | None, Place | None, bool]  # source, target, whether they are linked

OPEN = -1  # the frame of an end that is left open
LINK, NO_LINK = "link", "no-link"  # verdicts
CERTAIN = 1.0  # the score of a link that a person has made
MAX_CHILDREN = 2
MAX_NAMED = 3  # rows that a message names


@dataclass(frozen=True, slots=True, eq=False)
class Corrections:
    """C decisions of a person. Decisions may be repeated, but must not contradict each other.

    In a link without a target, a track ends at its source; without a source, a track begins at its
    target. Two links from a source are a division.

    Parameters
    ----------
    source, target : (C, 2) int64
        Frame and label; the frame is -1 where a track begins or ends.
    is_link : (C,) bool
        True if the link must be made, False if it must not.
    origin : tuple of str
        Names of the decisions in messages, such as "line 2 of a.csv".

    Raises
    ------
    InputError
        If a decision is invalid or contradicts another one; the message names both.

    Examples
    --------
    >>> decided = Corrections.of([((2, 2), (3, 4), False), (None, (3, 4), True)])
    >>> tracker.track(images, masks, corrections=decided).n_divisions
    0
    """

    source: IntArray  # (C, 2) frame and label; frame OPEN where a track begins
    target: IntArray  # (C, 2) frame and label; frame OPEN where a track ends
    is_link: BoolArray  # (C,) whether the link must, or must not, be made
    origin: tuple[str, ...]  # (C,) names of the decisions in messages

    def __post_init__(self) -> None:
        _check(self.decisions(), self.origin)

    def __len__(self) -> int:
        """Return the number of decisions."""
        return len(self.is_link)

    @classmethod
    def of(
        cls, decisions: Iterable[Decision], origin: Iterable[str] | None = None
    ) -> "Corrections":
        """Return the corrections of some decisions, called "row 0" and so on by default."""
        listed = list(decisions)
        ends = np.array(
            [[source or (OPEN, 0), target or (OPEN, 0)] for source, target, _ in listed], np.int64
        ).reshape(-1, 2, 2)
        names = (f"row {row}" for row in range(len(listed))) if origin is None else origin
        is_link = np.array([is_link for _, _, is_link in listed], bool)
        return cls(ends[:, 0], ends[:, 1], is_link, tuple(names))

    def decisions(self) -> list[Decision]:
        """Return the decisions in order."""
        return [
            (_place(*source), _place(*target), is_link)
            for source, target, is_link in zip(
                self.source.tolist(), self.target.tolist(), self.is_link.tolist(), strict=True
            )
        ]

    @property
    def longest_link(self) -> int:
        """Return the number of frames of the longest link to make; 1 if there is none."""
        is_whole = self.is_link & (self.source[:, 0] != OPEN) & (self.target[:, 0] != OPEN)
        return int((self.target - self.source)[is_whole, 0].max(initial=1))

    def check_known(self, detections: Detections) -> None:
        """Raise InputError if decisions name detections that are not in the movie."""
        is_unknown = np.zeros(len(self), bool)
        for ends in (self.source, self.target):
            is_unknown |= (ends[:, 0] != OPEN) & (find_rows(detections, ends) < 0)
        unknown = np.flatnonzero(is_unknown).tolist()
        if unknown:
            named = ", ".join(self.origin[row] for row in unknown[:MAX_NAMED])
            more = len(unknown) - MAX_NAMED
            raise InputError(
                f"{named}{f' and {more} more' if more > 0 else ''} of the corrections: the movie "
                "has no such object in that frame; give corrections of the same masks"
            )


def corrected_graph(graph: CandidateGraph, corrections: Corrections) -> CandidateGraph:
    """Return the graph in which a linker must follow the corrections.

    Edges are removed if a verdict, another given parent, the begin or end of a track, or two given
    children exclude them. Links to make are `given`, whether they were scored or not. Decisions on
    detections that are not in the graph are ignored.
    """
    found, edges = graph.detections, graph.edges
    source, target = find_rows(found, corrections.source), find_rows(found, corrections.target)
    is_open = [ends[:, 0] == OPEN for ends in (corrections.source, corrections.target)]
    is_whole = (source >= 0) & (target >= 0)
    given = np.unique(_pairs(source, target)[corrections.is_link & is_whole], axis=0)
    rejected = _pairs(source, target)[~corrections.is_link & is_whole]
    has_parent, has_children = np.zeros((2, len(found)), bool)
    has_parent[given[:, 1]] = True
    has_parent[target[is_open[0] & (target >= 0)]] = True
    has_children[source[is_open[1] & (source >= 0)]] = True
    has_children |= np.bincount(given[:, 0], minlength=len(found)) == MAX_CHILDREN
    is_free = ~(has_parent[edges.target] | has_children[edges.source])
    is_free &= ~are_among(edges, rejected, len(found))
    kept = edges.rows(np.flatnonzero(is_free))
    made = Edges(
        given[:, 0].astype(np.int32), given[:, 1].astype(np.int32), np.full(len(given), CERTAIN)
    )
    rows = np.arange(len(kept), len(kept) + len(given))
    return CandidateGraph(found, concatenate_edges([kept, made]), rows)


def given_edges(edges: Edges, detections: Detections, corrections: Corrections) -> BoolArray:
    """Return which edges (E,) between the detections are links that corrections demand."""
    ends = (find_rows(detections, places) for places in (corrections.source, corrections.target))
    pairs = _pairs(*ends)[corrections.is_link]
    return are_among(edges, pairs[(pairs >= 0).all(axis=1)], len(detections))


def _pairs(source: IntArray, target: IntArray) -> IntArray:
    return np.column_stack([source, target])


def are_among(edges: Edges, pairs: IntArray, n_detections: int) -> BoolArray:
    """Return which edges (E,) are among some pairs (P, 2) of rows."""
    is_named = np.zeros(n_detections, bool)
    is_named[pairs[:, 0]] = True
    rows = np.flatnonzero(is_named[edges.source])  # few, so that only these are compared
    is_among = np.zeros(len(edges), bool)
    size = np.int64(max(1, n_detections))
    is_among[rows] = np.isin(
        edges.source[rows].astype(np.int64) * size + edges.target[rows],
        pairs[:, 0] * size + pairs[:, 1],
    )
    return is_among


def _place(frame: int, label: int) -> Place | None:
    return None if frame == OPEN else (frame, label)


def _check(decisions: list[Decision], origin: tuple[str, ...]) -> None:
    """Raise InputError for the first decision that is invalid or contradicts an earlier one.

    Rows in the dictionaries are numbers of decisions.
    """
    verdict: dict[tuple[Place | None, Place | None], tuple[bool, int]] = {}
    parent: dict[Place, tuple[Place | None, int]] = {}
    children: dict[Place, dict[Place | None, int]] = {}

    def contradict(other: int, row: int, reason: str) -> None:
        raise InputError(
            f"{origin[other]} and {origin[row]} of the corrections contradict each other: {reason}"
        )

    for row, (source, target, is_link) in enumerate(decisions):
        _check_ends(source, target, is_link, origin[row])
        known, other = verdict.setdefault((source, target), (is_link, row))
        if known != is_link:
            contradict(other, row, "the same link has both verdicts")
        if not is_link or other != row:
            continue
        if target is not None:
            earlier, other = parent.setdefault(target, (source, row))
            if earlier != source:
                contradict(other, row, f"{_named(target)} can have one parent or none")
        if source is not None:
            own = children.setdefault(source, {})
            own[target] = row
            if len(own) > MAX_CHILDREN or (None in own and len(own) > 1):
                other = next(iter(own.values()))
                contradict(other, row, f"{_named(source)} can have two children at most, or none")


def _check_ends(source: Place | None, target: Place | None, is_link: bool, name: str) -> None:
    if source is None and target is None:
        raise InputError(f"{name} of the corrections names no object; give a source or a target")
    if source is None or target is None:
        if not is_link:
            raise InputError(
                f"{name} of the corrections has one end and the verdict {NO_LINK}; give both ends, "
                f"or {LINK} where a track begins or ends"
            )
    elif target[0] <= source[0]:
        raise InputError(
            f"{name} of the corrections links {_named(source)} to {_named(target)}; give a target "
            "in a later frame"
        )


def _named(place: Place) -> str:
    return f"object {place[1]} of frame {place[0]}"
