"""Score the edges of a chunk, some consecutive frames, without the rest of the movie."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from trackastra_engine.association.aligned_windows import score_aligned
from trackastra_engine.association.edge_stream import EdgeStream, FrameEdges, Score
from trackastra_engine.association.window_threads import IN_TURN, WindowThreads
from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.layer import in_plane
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import Tokens, prepare_tokens
from trackastra_engine.motion.summary import MovieMotion, movie_motion
from trackastra_engine.movie.voxels import VoxelSize, proportions

CHUNK_FRAMES = 32  # the most that are lost when a run is interrupted


@dataclass(frozen=True, slots=True)
class Chunk:
    """Frames whose detections, and edges from these, are computed and stored together."""

    frames: range
    reach: range  # all frames of the windows that contain one of `frames`
    ends_movie: bool  # whether the last window of the movie is one of these windows


@dataclass(frozen=True, slots=True, eq=False)
class Association:
    """The model and the options by which detections become edges."""

    model: AssociationModel
    stride: int = 1  # frames from a window to the next
    max_gap: int = 1  # frames
    voxel_um: VoxelSize | None = None  # if it is known and the model uses it
    aligned: bool = False  # whether windows are aligned before they are scored, see motion/
    threads: int = 1  # that measure frames and score windows; their number changes no edge
    in_plane: bool = False  # whether a 2D model sees 3D detections, in the plane

    @property
    def spec(self) -> ModelSpec:
        """Return the spec of the model."""
        return self.model.spec

    @property
    def ndim(self) -> int:
        """Return the number of spatial axes of the detections."""
        return 3 if self.in_plane else self.spec.ndim

    @property
    def sees_voxel(self) -> bool:
        """Return whether distances are always measured in true proportion."""
        return self.spec.uses_voxel_size or self.in_plane

    def score(self, intensity_range: IntensityRange | None) -> Score:
        """Return the function that scores the detections of a window of a movie."""

        def associate(windows: Sequence[Tokens]) -> Iterator[Edges]:
            return (self.model.associate(tokens, max_gap=self.max_gap) for tokens in windows)

        def score(detections: Detections) -> Edges:
            (edges,) = self._scored([detections], intensity_range, associate)
            return edges

        return score

    def score_together(
        self, windows: Sequence[Detections], intensity_range: IntensityRange | None
    ) -> list[Edges]:
        """Return the edges of windows, scored in batches that fill a GPU."""

        def associate(windows: Sequence[Tokens]) -> Iterator[Edges]:
            return self.model.associate_together(windows, max_gap=self.max_gap)

        return self._scored(windows, intensity_range, associate)

    def _scored(
        self,
        windows: Sequence[Detections],
        intensity_range: IntensityRange | None,
        associate: Callable[[Sequence[Tokens]], Iterator[Edges]],
    ) -> list[Edges]:
        """Return the edges of windows, aligned first if `aligned`."""

        def score(seen: Sequence[Detections]) -> list[Edges]:
            recipe = self.spec.recipe
            return list(associate([prepare_tokens(one, recipe, intensity_range) for one in seen]))

        seen = [self._as_seen(window) for window in windows]
        return score_aligned(seen, score) if self.aligned else score(seen)

    def motion(self, detections: Detections, n_frames: int) -> MovieMotion | None:
        """Return the common motion of the detections of a movie; None without alignment."""
        return movie_motion(detections, n_frames, self._proportions) if self.aligned else None

    @property
    def _proportions(self) -> FloatArray | None:
        """Return the proportions (D,) of a voxel, if they are known and used."""
        is_used = self.sees_voxel and self.voxel_um is not None
        return proportions(self.voxel_um, self.ndim) if is_used else None

    def _as_seen(self, detections: Detections) -> Detections:
        """Return detections in the plane, or in true proportion, if the model uses it.

        If the size of voxels is not known, it follows from the shapes of the window.
        """
        if self.in_plane:
            return in_plane(detections)
        if not self.spec.uses_voxel_size:
            return detections
        return in_true_proportion(detections, self._proportions)

    def chunks(self, n_frames: int) -> list[Chunk]:
        """Return the chunks of a movie."""
        chunks = []
        for first in range(0, n_frames, CHUNK_FRAMES):
            stop = min(first + CHUNK_FRAMES, n_frames)
            begin = max(0, first - self.spec.window + 1)  # of the earliest window that contains it
            end = min(n_frames, stop - 1 + self.spec.window)
            chunks.append(Chunk(range(first, stop), range(begin, end), end == n_frames))
        return chunks

    def edges(self, chunk: Chunk, frames: Iterable[Detections], score: "WindowScores") -> Edges:
        """Return the edges from the detections of a chunk, the first of which is row 0.

        frames: the detections of each frame within the chunk's reach. The edges are those of an
        EdgeStream over the whole movie: the same windows are averaged in the same order.
        """
        if self.model.is_at_once:
            frames = list(frames)
            score.prepare(self._windows(chunk, frames))
        parts = self._stream(chunk, frames, score)
        return joined_edges([part for part in parts if part.frame in chunk.frames])

    def stream(
        self, score: Score, first_frame: int, threads: WindowThreads = IN_TURN
    ) -> EdgeStream:
        """Return a stream of edges from a frame, before which no window begins."""
        return EdgeStream(
            score,
            self.spec,
            stride=self.stride,
            max_gap=self.max_gap,
            first_frame=first_frame,
            threads=threads,
        )

    def _windows(self, chunk: Chunk, frames: Iterable[Detections]) -> list[Detections]:
        """Return the detections of all windows that will be scored for a chunk."""
        windows = []

        def note(detections: Detections) -> Edges:
            windows.append(detections)
            return concatenate_edges([])

        self._stream(chunk, frames, note)
        return windows

    def _stream(self, chunk: Chunk, frames: Iterable[Detections], score: Score) -> list[FrameEdges]:
        """Return the edges of all frames that become final within a chunk's reach."""
        stream = self.stream(score, chunk.reach.start)
        parts = [part for detections in frames for part in stream.push(detections)]
        return parts + (stream.finish() if chunk.ends_movie else stream.close(chunk.frames.stop))


def joined_edges(parts: Sequence[FrameEdges]) -> Edges:
    """Return the edges from consecutive frames; row 0 is the first detection of the first."""
    first_row = parts[0].first_row
    return concatenate_edges(part.edges.shifted(part.first_row - first_row) for part in parts)


class WindowScores:
    """Scores the windows of a movie, those of a chunk together if that is faster.

    Windows of one movie are equal if their first and last frames with detections are the same.
    """

    def __init__(self, association: Association, intensity_range: IntensityRange | None) -> None:
        self._association = association
        self._intensity_range = intensity_range
        self._score = association.score(intensity_range)
        self._known: dict[tuple[int, int], Edges] = {}

    def __call__(self, detections: Detections) -> Edges:
        """Return the edges of a window."""
        known = self._known.get(_ends(detections))
        return self._score(detections) if known is None else known

    def prepare(self, windows: Sequence[Detections]) -> None:
        """Score all windows of a chunk together, which is fastest on a GPU.

        This includes windows of the chunk before: the last digits of scores depend on the other
        windows of a batch, and a chunk must not depend on how the others were computed.
        """
        scored = self._association.score_together(windows, self._intensity_range)
        self._known = dict(zip(map(_ends, windows), scored, strict=True))


def _ends(detections: Detections) -> tuple[int, int]:
    """Return the first and the last frame with detections."""
    return int(detections.frame[0]), int(detections.frame[-1])
