"""A file that lists the cached chunks of a movie, so that the movie can be linked again."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from trackastra_engine.association.association import Association
from trackastra_engine.association.cache import ChunkCache, read_detections, read_edges
from trackastra_engine.association.edge_stream import FrameEdges, usual_gap
from trackastra_engine.detection.detections import Detections, concatenate
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.replace import PRIVATE
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.model.spec import PROBABILITIES_KEY, Adaptation, TrainingRates
from trackastra_engine.motion.summary import MovieMotion, movie_motion
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.voxels import VoxelSize, proportions

Stored = TypeVar("Stored")

FILE_NAME = "movie.json"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class CachedMovie:
    """A movie whose detections and edges are cached."""

    title: str
    folder: str  # of the cache; relative to the file of this index, if next to it
    chunks: list[tuple[int, int, str, str]]  # first frame, stop, files of detections and edges
    ndim: int  # of the detections
    max_gap: int  # frames of the longest edges
    voxel_um: VoxelSize | None
    frame_interval_s: float | None
    scores_are_probabilities: bool
    sees_voxel: bool  # whether distances are always measured in true proportion
    training_rates: TrainingRates | None = None  # of the model
    adaptation: Adaptation | None = None  # of the model
    model: str = ""  # its file, and a digest of it
    model_digest: str = ""
    is_aligned: bool = False  # whether windows were aligned before they were scored
    usual_gap: int = 1  # frames of the longest links if none is chosen
    format_version: int = FORMAT_VERSION

    @property
    def n_frames(self) -> int:
        """Return the number of frames."""
        return self.chunks[-1][1]

    def write(self, path: Path) -> None:
        """Write the index to a file, which is replaced if it exists."""
        fields = asdict(self)
        fields[PROBABILITIES_KEY] = fields.pop("scores_are_probabilities")
        with new_file(path) as partial:
            partial.write_text(json.dumps(fields), "utf-8")

    @classmethod
    def read(cls, results: Path) -> "CachedMovie":
        """Return the index in a folder of results.

        Raises InputError if it is missing, damaged or of another version.
        """
        path = results / PRIVATE / FILE_NAME
        if not path.is_file():
            raise InputError(
                f"{results} contains no cached detections and edges; give an output folder of "
                "trackastra-engine track that was tracked from masks"
            )
        try:
            known = json.loads(path.read_text("utf-8"))
            known["folder"] = str(path.parent / known["folder"])
            known["voxel_um"] = known["voxel_um"] and tuple(known["voxel_um"])
            known["scores_are_probabilities"] = known.pop(PROBABILITIES_KEY)
            rates = known.get("training_rates")
            known["training_rates"] = rates and TrainingRates(**rates)
            adaptation = known.get("adaptation")
            known["adaptation"] = adaptation and Adaptation(**adaptation)
            cached = cls(**known)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"{path} is damaged ({error}); track the movie again") from None
        if cached.format_version != FORMAT_VERSION:
            raise InputError(f"{path} is of another version; track the movie again")
        return cached

    def edges(self, found: GrowingRows[Detections], max_gap: int) -> Iterator[FrameEdges]:
        """Yield the edges of each chunk, and add its detections to `found`.

        Raises InputError if a chunk is missing or damaged, or no edges of that length were scored.
        """
        scored = " or ".join(map(str, range(1, self.max_gap + 1)))
        if max_gap < 1:
            raise InputError(f"the longest gap is {max_gap} frames; give {scored}")
        if max_gap > self.max_gap:
            raise InputError(
                f"links over {max_gap} frames were not scored; give {scored}, or, if the model has "
                f"learned such links, track the movie again with --max-gap {max_gap}"
            )
        first_row, own = 0, self._detections(0)
        for place, (first, stop, _, edge_file) in enumerate(self.chunks):
            found.add(own)
            is_last = place + 1 == len(self.chunks)
            following = concatenate([], self.ndim) if is_last else self._detections(place + 1)
            n_near = int(np.searchsorted(following.frame, stop + max_gap))
            joined = concatenate([own, following.rows(slice(n_near))], self.ndim)
            edges = self._there(read_edges(Path(self.folder) / edge_file))
            # Edges to targets outside `joined` are too long.
            edges = edges.rows(np.flatnonzero(edges.target < len(joined)))
            gap = joined.frame[edges.target] - joined.frame[edges.source]
            near = edges.rows(np.flatnonzero(gap <= max_gap))
            yield FrameEdges(first, stop, first_row, joined, near)
            first_row, own = first_row + len(own), following

    def motion(self, detections: Detections) -> MovieMotion | None:
        """Return the common motion of the detections of the movie; None without alignment."""
        if not self.is_aligned:
            return None
        sees_voxel = self.sees_voxel and self.voxel_um is not None
        voxel = proportions(self.voxel_um, self.ndim) if sees_voxel else None
        return movie_motion(detections, self.n_frames, voxel)

    def _detections(self, place: int) -> Detections:
        path = Path(self.folder) / self.chunks[place][2]
        return self._there(read_detections(path)).detections

    def _there(self, part: Stored | None) -> Stored:
        if part is None:
            raise InputError(f"the cache in {self.folder} is not complete; track the movie again")
        return part


def write_index(cache: ChunkCache, path: Path, movie: Movie, association: Association) -> None:
    """Write the index of a movie; a cache in the same folder then removes all other chunks."""
    is_private = path.parent == cache.folder
    cached = CachedMovie(
        title="/".join(Path((movie.images or movie.masks).name).absolute().parts[-2:]),
        folder="." if is_private else str(cache.folder.absolute()),
        chunks=cache.files,
        ndim=association.ndim,
        max_gap=association.max_gap,
        usual_gap=min(usual_gap(association.spec, association.stride), association.max_gap),
        voxel_um=movie.voxel_um,
        frame_interval_s=movie.frame_interval_s,
        scores_are_probabilities=association.spec.scores_are_probabilities,
        sees_voxel=association.sees_voxel,
        training_rates=association.spec.training_rates,
        adaptation=association.spec.adaptation,
        model=str(association.model.path.absolute()),
        model_digest=association.model.digest,
        is_aligned=association.aligned,
    )
    cached.write(path)
    if is_private:
        cache.forget_others()
