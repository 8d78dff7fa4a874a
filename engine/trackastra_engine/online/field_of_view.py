"""One field of view: a movie that grows, and its links so far."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from trackastra_engine.association.edge_stream import EdgeStream, FrameEdges
from trackastra_engine.detection.detections import Detections, IntArray, concatenate
from trackastra_engine.detection.label_check import LabelWatch
from trackastra_engine.errors import InputError
from trackastra_engine.linking.lineage import Lineage, build_lineage
from trackastra_engine.linking.rates import MovieRates, RateCounts, count_parents, movie_rates
from trackastra_engine.linking.split_objects import without_split_objects
from trackastra_engine.linking.stream import FrameLinker
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.model.spec import TrainingRates
from trackastra_engine.online.changes import Stretch, compare
from trackastra_engine.online.frame_links import links_into
from trackastra_engine.online.update import Update

MAX_NUMBER = 2**31 - 1  # frames are stored as int32


def may_follow(last: int, number: object) -> bool:
    """Return whether a frame may have a number after the last one of its field."""
    return isinstance(number, int | np.integer) and last < int(number) <= MAX_NUMBER


class FieldOfView:
    """One field of view: links each frame to those before, and corrects links that change."""

    def __init__(
        self,
        fov: Hashable,
        stream: EdgeStream,
        linker: FrameLinker,
        *,
        training_rates: TrainingRates | None,
        delay: int | None,
        ndim: int,
    ) -> None:
        """Begin a field without frames.

        training_rates: of the model, None to leave its scores as they are; delay: frames after
        which links are final, None to link at once and correct later.
        """
        self.numbers: list[int] = []  # of the frames, given by the caller
        self.found: list[Detections] = []  # by frame
        self.links = [concatenate_edges([])]  # into each frame; the last ones are not final
        self.frame_shape: tuple[int, ...] | None = None  # ([Z,] Y, X), of the first mask
        self.label_watch = LabelWatch()  # checks the masks
        self.stream = stream
        self.edges: list[Edges] = []  # from each frame whose edges are final, if they are needed
        self._fov = fov
        self._linker = linker
        self.max_gap = linker.link.max_gap  # frames of the longest links
        self.training_rates = training_rates
        self._counts = RateCounts.none()  # of the cells that `edges` connect
        self._delay = delay
        self.ndim = ndim
        self._first_rows = [0]
        self._tracks: list[IntArray] = []  # of the detections of each frame that was shown

    def next_number(self, number: int | None) -> int:
        """Return the caller's number of the next frame, or the one after the last for None.

        Raises InputError if it is not a larger whole number.
        """
        last = self.numbers[-1] if self.numbers else -1
        if number is None:
            return last + 1
        if not isinstance(number, int | np.integer):
            raise InputError(f"the frame {number!r} of {self.name} is not a whole number")
        if not may_follow(last, number):
            follows = f"follows frame {last}" if self.numbers else "is the first"
            raise InputError(
                f"frame {number} of {self.name} {follows}, but numbers must increase, from 0 to "
                f"{MAX_NUMBER}; finish the field of view before numbers start again"
            )
        return int(number)

    @property
    def keeps_edges(self) -> bool:
        """Return whether final edges are needed, for rates or for links over gaps."""
        return self.training_rates is not None or self.max_gap > 1

    def resume(
        self, numbers: list[int], found: list[Detections], links: list[Edges], edges: list[Edges]
    ) -> None:
        """Continue with the frames, links and final edges of an earlier session."""
        self.numbers, self.found, self.links = numbers, found, links
        self._first_rows = np.cumsum([0, *map(len, found)]).tolist()
        self.edges = edges
        for part in self._final_parts():
            self._counts += self._count(part)
        self._number_tracks(0)

    def push(self, detections: Detections, number: int) -> Update | None:
        """Add the next frame; return None while no links are final because of the delay."""
        stream = self.stream.copy()
        final = stream.push(detections)
        shown = self._last_shown + 1
        # The first frame into which links are decided, now or again.
        first = self.stream.n_final + 1 if self._delay is None else max(0, shown)
        parts = final + (stream.copy().finish() if stream.n_final < shown else [])
        counts = sum(map(self._count, final), self._counts)
        links = self._decided(parts, range(first, shown + 1), self._rates(parts))
        # Nothing fails from here on: a frame that fails changes nothing.
        self.stream = stream
        self._counts = counts
        if self.keeps_edges:
            self.edges += [part.edges.shifted(part.first_row) for part in final]
        self.numbers.append(number)
        self.found.append(detections)
        self._first_rows.append(self._first_rows[-1] + len(detections))
        if shown < 0:
            return None
        before = self._stretch(first, shown)
        self.links[first:] = links
        self._number_tracks(min(first, shown))
        after = self._stretch(first, shown + 1)
        return compare(self._fov, before, after, self.numbers[self._final_frame])

    def finish(self) -> Lineage:
        """Decide all links and return the lineage, with the caller's numbers of frames.

        Without a delay, links are decided as those of a whole movie, with its rates.
        """
        parts = self.stream.copy().finish()
        rates = self._rates(parts)
        detections = concatenate(self.found, self.ndim)
        if self._delay is None and self.keeps_edges:
            every = chain(self._final_parts(), parts)
            links = concatenate_edges(self._linker.links(part, rates) for part in every)
            lineage = self._linker.lineage(detections, links)
            if rates is not None:
                lineage = without_split_objects(lineage)
            edges = lineage.edges
        else:
            # With a delay, the links that were decided stay.
            first = len(self.links) if self._delay is not None else self.stream.n_final + 1
            self.links[first:] = self._decided(parts, range(first, len(self.found)), rates)
            edges = concatenate_edges(self.links)
            edges = edges.rows(np.argsort(edges.source, kind="stable"))
        numbers = np.array(self.numbers, np.int32)
        detections = replace(detections, frame=numbers[detections.frame])
        return build_lineage(detections, edges)

    @property
    def name(self) -> str:
        """Return the name used in messages."""
        return f"field of view {self._fov!r}"

    @property
    def _last_shown(self) -> int:
        """Return the frame of the latest update; negative before the first update."""
        return len(self.found) - 1 - (self._delay or 0)

    @property
    def _final_frame(self) -> int:
        """Return the last frame into which no link will change."""
        return self._last_shown if self._delay is not None else self.stream.n_final

    def _rates(self, newest: Iterable[FrameEdges]) -> MovieRates | None:
        """Return the rates so far, None if scores are not corrected.

        newest: the edges from all frames that were not final before.
        """
        if self.training_rates is None:
            return None
        return movie_rates(sum(map(self._count, newest), self._counts), self.training_rates)

    def _count(self, part: FrameEdges) -> RateCounts:
        if self.training_rates is None:
            return RateCounts.none()
        return count_parents(part, self._linker.proportions)

    def _decided(
        self, newest: Iterable[FrameEdges], frames: range, rates: MovieRates | None
    ) -> list[Edges]:
        """Return the links into some frames.

        newest: the edges from all frames that were not final before.
        """
        parts = {part.frame: part for part in newest}

        def scored(frame: int) -> FrameEdges:
            return parts[frame] if frame in parts else self._final_part(frame)

        earlier = self.links[max(0, frames.start - self.max_gap) : frames.start]
        return links_into(frames, scored, earlier, self._linker, rates)

    def _final_parts(self) -> Iterator[FrameEdges]:
        """Yield the edges from each frame whose edges are final."""
        return map(self._final_part, range(len(self.edges)))

    def _final_part(self, frame: int) -> FrameEdges:
        """Return the edges from a frame, which are final."""
        joined = concatenate(self.found[frame : frame + 1 + self.max_gap], self.ndim)
        row = self._first_rows[frame]
        return FrameEdges(frame, frame + 1, row, joined, self.edges[frame].shifted(-row))

    def _number_tracks(self, first: int) -> None:
        """Give track numbers to the detections from a frame to the last that is shown."""
        del self._tracks[first:]
        for frame in range(first, self._last_shown + 1):
            first_row = self._first_rows[frame]
            track = np.arange(first_row, self._first_rows[frame + 1]) + 1
            earliest = max(0, frame - self.max_gap)
            earlier = np.concatenate([np.empty(0, np.int64), *self._tracks[earliest:frame]])
            links = self.links[frame]
            source = links.source - self._first_rows[earliest]
            continues = np.bincount(source, minlength=1)[source] == 1
            track[links.target[continues] - first_row] = earlier[source[continues]]
            self._tracks.append(track)

    def _stretch(self, first: int, stop: int) -> Stretch:
        """Return the links into some frames, with the detections and tracks that they join."""
        begin = max(0, first - self.max_gap)
        return Stretch(
            numbers=self.numbers[begin:stop],
            first_frame=begin,
            first_row=self._first_rows[begin],
            detections=concatenate(self.found[begin:stop], self.ndim),
            track=np.concatenate([np.empty(0, np.int64), *self._tracks[begin:stop]]),
            links=concatenate_edges(self.links[first:stop]),
        )
