"""Find the corrections that a person made in another program: the command `corrections`."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray, find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import check_output_file
from trackastra_engine.jobs.decided import stored_corrections
from trackastra_engine.linking.correction_table import read_corrections, write_corrections
from trackastra_engine.linking.corrections import Corrections, Decision, Place
from trackastra_engine.output.edited import read_edited
from trackastra_engine.output.edited.matching import match_objects
from trackastra_engine.output.saved_tracks import read_tracks
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

NOBODY = -1


@dataclass(frozen=True, slots=True, eq=False)
class ComparedLinks:
    """Links of the same N detections, before and after a person edited them."""

    before: IntArray  # (N,) row of the parent, or NOBODY
    after: IntArray  # (N,)
    is_left: IntArray  # (N,) whether the detection was not deleted


def compare(results: Path, edited: Path, output: Path, *, overwrite: bool = False) -> Corrections:
    """Write the corrections that change the tracks of a folder of results to the edited ones.

    Corrections in the folder that the edited tracks still obey are written, too, as the new table
    replaces them. Added and deleted objects are only reported, because corrections change links.
    Raises InputError if the movies differ, or the edited tracks merge or divide into more than two.
    """
    check_output_file(output, overwrite=overwrite)
    saved, other = read_tracks(results), read_edited(edited)
    found, edges = saved.lineage.detections, saved.lineage.edges
    rows = match_objects(found, other, saved.calibration)
    before = np.full(len(found), NOBODY)
    before[edges.target] = edges.source
    is_left = np.zeros(len(found), bool)
    is_left[rows[rows >= 0]] = True
    links = rows[other.links]
    links = links[(links >= 0).all(axis=1)]
    _report(int((rows < 0).sum()), int((~is_left).sum()), edited)
    after = _parents(found, links, edited)
    earlier = _still_right(results, found, after)
    changes = decisions(found, ComparedLinks(before, after, is_left))
    corrections = Corrections.of(dict.fromkeys([*earlier, *changes]))
    write_corrections(corrections, output)
    return corrections


def decisions(found: Detections, links: ComparedLinks) -> list[Decision]:
    """Return the differences: new parents, tracks that begin or end, objects without any link.

    A cell with a new child is decided as a whole: a linker would choose its other child again.
    """

    def place(row: int) -> Place:
        return int(found.frame[row]), int(found.label[row])

    is_new = links.before != links.after
    with_new_child = links.after[is_new & (links.after != NOBODY)]
    listed: list[Decision] = []
    for target in np.flatnonzero(is_new | np.isin(links.after, with_new_child)).tolist():
        after = int(links.after[target])
        if after != NOBODY:
            listed.append((place(after), place(target), True))
        elif links.is_left[target]:
            listed.append((None, place(target), True))
    for row in np.flatnonzero(~links.is_left).tolist():
        listed += [(None, place(row), True), (place(row), None, True)]
    n_before, n_after = (
        np.bincount(parent[parent != NOBODY], minlength=len(found))
        for parent in (links.before, links.after)
    )
    ended = (n_before > 0) & (n_after == 0) & links.is_left
    return listed + [(place(row), None, True) for row in np.flatnonzero(ended).tolist()]


def _still_right(results: Path, found: Detections, parent: IntArray) -> list[Decision]:
    """Return the corrections in a folder of results that the edited tracks do not contradict.

    parent: (N,) row of the edited parent, or NOBODY.
    """
    path = stored_corrections(results)
    if path is None:
        return []
    earlier = read_corrections([path])
    rows = (find_rows(found, ends).tolist() for ends in (earlier.source, earlier.target))
    has_child = np.isin(np.arange(len(found)), parent)
    kept = []
    for decision, source, target in zip(earlier.decisions(), *rows, strict=True):
        begin, end, is_link = decision
        if source < 0 and target < 0:  # of a track that was dropped
            holds = True
        elif end is None:
            holds = not has_child[source]
        else:
            is_known = source >= 0 or begin is None
            holds = (target >= 0 and is_known and parent[target] == source) == is_link
        if holds:
            kept.append(decision)
    logger.log(
        NOTICE,
        "the edited tracks agree with %d of %d corrections in %s, which are written again",
        *(len(kept), len(earlier), path),
    )
    return kept


def _parents(found: Detections, links: IntArray, edited: Path) -> IntArray:
    """Return (N,) the parents; raises InputError if the links merge or divide in three."""
    parent = np.full(len(found), NOBODY)
    links = np.unique(links, axis=0)
    for end, most, reason in ((1, 1, "two parents"), (0, 2, "three daughters")):
        count = np.bincount(links[:, end], minlength=len(found))
        if count.max(initial=0) > most:
            row = int(np.argmax(count))
            raise InputError(
                f"{edited} gives object {found.label[row]} of frame {found.frame[row]} {reason}; "
                "remove a link there"
            )
    parent[links[:, 1]] = links[:, 0]
    return parent


def _report(n_added: int, n_deleted: int, edited: Path) -> None:
    if n_added:
        logger.log(NOTICE, "objects only in %s: %d; their links are left out", edited, n_added)
    if n_deleted:
        logger.log(
            NOTICE, "objects missing in %s: %d; corrections leave them without links",
            edited, n_deleted,
        )  # fmt: skip
