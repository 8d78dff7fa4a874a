"""The changes that the newest frame makes in earlier links."""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.model.edges import Edges
from trackastra_engine.online.update import Links, Objects, Update


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Detections, tracks and links of successive frames; rows are those in the whole movie."""

    numbers: list[int]  # of the frames, given by the caller
    first_frame: int
    first_row: int
    detections: Detections
    track: IntArray  # (N,)
    links: Edges  # between the frames

    def objects(self, rows: IntArray) -> Objects:
        """Return the objects of some rows."""
        index = rows - self.first_row
        return Objects(
            self._number(index),
            self.detections.label[index],
            self.track[index],
            self.detections.centroid[index],
        )

    def named(self, links: Edges) -> Links:
        """Return links with frames and labels for rows."""
        source, target = links.source - self.first_row, links.target - self.first_row
        label = self.detections.label
        return Links(
            self._number(source), label[source], self._number(target), label[target], links.score
        )

    def divisions(self) -> IntArray:
        """Return the rows (M, 3) of each mother and her daughters."""
        links = self.links.rows(np.lexsort((self.links.target, self.links.source)))
        first = np.flatnonzero(links.source[1:] == links.source[:-1])
        return np.column_stack([links.source[first], links.target[first], links.target[first + 1]])

    def _number(self, index: IntArray) -> IntArray:
        number: IntArray = np.array(self.numbers, np.int64)
        return number[self.detections.frame[index] - self.first_frame]


def compare(fov: Hashable, before: Stretch, after: Stretch, final_frame: int) -> Update:
    """Return the update about the last frame of `after`, which `before` does not contain."""
    last = after.first_frame + len(after.numbers) - 1
    start, newest = (
        after.first_row + np.searchsorted(after.detections.frame, [last - 1, last])
    ).tolist()
    stop = after.first_row + len(after.detections)
    is_new = after.links.target >= newest
    links, earlier = after.links.rows(is_new), after.links.rows(~is_new)
    divisions, old_divisions = after.divisions(), before.divisions()
    renamed = np.flatnonzero(after.track[: len(before.track)] != before.track)
    return Update(
        fov=fov,
        frame=after.numbers[-1],
        n_missed=after.numbers[-1] - after.numbers[-2] - 1 if last > 0 else 0,
        objects=after.objects(np.arange(newest, stop)),
        links=after.named(links),
        appeared=after.objects(_without(links.target, newest, stop if last > 0 else newest)),
        lost=after.objects(_without(links.source, start, newest)),
        divisions=after.objects(_only_in(divisions, old_divisions).ravel()),
        undone_divisions=before.objects(_only_in(old_divisions, divisions).ravel()),
        added_links=after.named(earlier.rows(_changed(earlier, before.links))),
        removed_links=before.named(before.links.rows(_changed(before.links, earlier))),
        renamed=after.objects(after.first_row + renamed),
        final_frame=final_frame,
    )


def _without(linked: IntArray, start: int, stop: int) -> IntArray:
    """Return the rows from `start` to `stop` that are not among those linked."""
    rows = np.arange(start, stop)
    return rows[~np.isin(rows, linked)]


def _only_in(some: IntArray, others: IntArray) -> IntArray:
    """Return the rows (M, 3) of an array that another one does not contain."""
    is_in_both = (some[:, None] == others[None]).all(axis=2).any(axis=1)
    missing: IntArray = some[~is_in_both]
    return missing


def _changed(some: Edges, others: Edges) -> IntArray:
    """Return the rows of the edges that are not among others."""
    n_rows = np.int64(1 + max(some.target.max(initial=0), others.target.max(initial=0)))
    key, others_key = (
        edges.source.astype(np.int64) * n_rows + edges.target for edges in (some, others)
    )
    return np.flatnonzero(~np.isin(key, others_key))
