"""Decide the uncertain links of a results folder one by one, and link again after each."""

from pathlib import Path

import numpy as np

from trackastra_engine.association.cache_index import CachedMovie
from trackastra_engine.detection.detections import find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.jobs.decided import corrections_of
from trackastra_engine.jobs.relink import relinked
from trackastra_engine.linking.correction_table import write_corrections
from trackastra_engine.linking.corrections import Corrections, Decision, Place
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.options import DEFAULT_OPTIONS, LinkingOptions
from trackastra_engine.linking.review import DoubtfulLink


class Decisions:
    """Decisions on the links of a results folder, and the tracks under them."""

    lineage: Lineage
    questions: list[DoubtfulLink]  # open ones, the least certain first

    def __init__(self, folder: Path, linking: LinkingOptions = DEFAULT_OPTIONS) -> None:
        """Begin with the corrections in the folder.

        Raises InputError if the folder has no cached detections and edges.
        """
        self._cached = CachedMovie.read(folder)
        self._linking = linking
        earlier = corrections_of((), folder)
        self._earlier = [] if earlier is None else earlier.decisions()
        self._made: list[Decision] = []
        self._link(self._earlier)

    @property
    def n_made(self) -> int:
        """Return the number of decisions since the beginning."""
        return len(self._made)

    def decide(self, source: Place | None, target: Place, *, is_link: bool = True) -> None:
        """Link a detection to an earlier one or to none, or forbid a link, and link again.

        It replaces earlier decisions that contradict it. Raises InputError if the decision is not
        possible, such as a third daughter; then nothing changes.
        """
        decision = (source, target, is_link)
        self._link(_merged(self._earlier, [*self._made, decision]))
        self._made.append(decision)

    def undo(self) -> None:
        """Undo the last decision, if there is one."""
        self._made = self._made[:-1]
        self._link(_merged(self._earlier, self._made))

    def save(self, path: Path) -> None:
        """Write the decisions, with the earlier ones of the folder, as a table of corrections."""
        write_corrections(self._corrections, path)

    def _link(self, decisions: list[Decision]) -> None:
        corrections = Corrections.of(decisions)
        made = relinked(self._cached, self._linking, corrections)
        self._corrections = corrections
        self.lineage, self.questions = made.lineage, made.doubtful


def _merged(earlier: list[Decision], later: list[Decision]) -> list[Decision]:
    """Return all decisions except those that later ones contradict."""
    merged = list(earlier)
    for decision in later:
        merged = [other for other in merged if not _is_contradicted(other, decision)]
        merged.append(decision)
    return merged


def _is_contradicted(other: Decision, decision: Decision) -> bool:
    source, target, is_link = decision
    if other[:2] == (source, target):
        return True
    is_its_parent = other[2] and other[1] == target
    is_its_end = other[1] is None and other[0] == source
    return is_link and (is_its_parent or is_its_end)


def choices(question: DoubtfulLink) -> dict[str, Place | None]:
    """Return the possible parents of a question's object by name, its current one first."""
    named = [(question.source, question.score), *question.alternatives]
    return {f"{called(place)}, {score:.2f}": place for place, score in named}


def called(place: Place | None) -> str:
    """Return the name of a detection, or of no parent."""
    return "no parent" if place is None else f"object {place[1]} of frame {place[0]}"


def place_of(lineage: Lineage, place: Place) -> tuple[float, ...]:
    """Return t, [z,] y, x of a detection, in frames and pixels; raises InputError without one."""
    (row,) = find_rows(lineage.detections, np.array([place])).tolist()
    if row < 0:
        raise InputError(f"there is no {called(place)}; open the folder again")
    return (float(place[0]), *lineage.detections.centroid[row].tolist())
