"""A few frames in a row, whose edges are scored without the rest of the movie."""

from collections.abc import Iterable
from dataclasses import dataclass

from trackastra_engine.association import EdgeStream, Score
from trackastra_engine.detections import Detections
from trackastra_engine.edges import Edges, concatenate_edges
from trackastra_engine.model import AssociationModel
from trackastra_engine.shapes import in_true_proportion
from trackastra_engine.spec import ModelSpec
from trackastra_engine.tokens import IntensityRange, prepare_tokens
from trackastra_engine.voxels import VoxelSize, proportions

CHUNK_FRAMES = 32  # at most so many are lost with a run that dies


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames whose detections, and edges from these, are made and kept together."""

    frames: range
    reach: range  # all frames of the windows that hold one of `frames`
    ends_movie: bool  # whether the last window of the movie is one of these windows


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """How detections become edges: by which model, and with which options."""

    model: AssociationModel
    stride: int = 1  # frames from a window to the next
    max_gap: int = 1  # frames
    voxel_um: VoxelSize | None = None  # if the model sees it

    @property
    def spec(self) -> ModelSpec:
        """Return what is to be known of the model."""
        return self.model.spec

    def score(self, intensity_range: IntensityRange | None) -> Score:
        """Return how the detections of a window are scored, given what is known of the movie."""
        spec = self.spec

        def score(detections: Detections) -> Edges:
            if spec.uses_voxel_size and self.voxel_um is not None:
                detections = in_true_proportion(detections, proportions(self.voxel_um, spec.ndim))
            tokens = prepare_tokens(detections, spec.recipe, intensity_range)
            return self.model.associate(tokens, max_gap=self.max_gap)

        return score

    def chunks(self, n_frames: int) -> list[Chunk]:
        """Return the chunks of a movie."""
        last_window = max(0, n_frames - self.spec.window)  # it ends with the movie in any case
        chunks = []
        for first in range(0, n_frames, CHUNK_FRAMES):
            stop = min(first + CHUNK_FRAMES, n_frames)
            begin = -(-max(0, first - self.spec.window + 1) // self.stride) * self.stride
            end = min(n_frames, stop - 1 + self.spec.window)
            reach = range(min(begin, last_window), end)
            chunks.append(Chunk(range(first, stop), reach, end == n_frames))
        return chunks

    def edges(self, chunk: Chunk, frames: Iterable[Detections], score: Score) -> Edges:
        """Return the edges from the detections of a chunk, the first of which is row 0.

        frames: the detections of each frame within the chunk's reach. The edges are those of an
        EdgeStream over the whole movie, to the bit: the same windows are averaged in their order.
        """
        stream = EdgeStream(
            score,
            self.spec,
            stride=self.stride,
            max_gap=self.max_gap,
            first_frame=chunk.reach.start,
        )
        parts = []
        for detections in frames:
            parts += stream.push(detections)
        parts += stream.finish() if chunk.ends_movie else stream.close(chunk.frames.stop)
        own = [part for part in parts if part.frame in chunk.frames]
        first_row = own[0].first_row
        return concatenate_edges(part.edges.shifted(part.first_row - first_row) for part in own)


def remembering(score: Score, n_windows: int) -> Score:
    """Return the same way to score, which does not compute the last `n_windows` once more.

    Chunks have windows in common with the one before. Windows of one movie hold the same if their
    first and last frames with detections are the same.
    """
    recent: dict[tuple[int, int], Edges] = {}

    def remembered(detections: Detections) -> Edges:
        ends = int(detections.frame[0]), int(detections.frame[-1])
        if ends not in recent:
            recent[ends] = score(detections)
        if len(recent) > n_windows:
            del recent[next(iter(recent))]
        return recent[ends]

    return remembered
