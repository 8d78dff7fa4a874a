"""Run all stages on one movie, from frames to a lineage."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from trackastra_engine.association.association import Association
from trackastra_engine.association.cache import ChunkCache
from trackastra_engine.association.cache_index import note_kept
from trackastra_engine.association.chunks import edges_of_chunks, edges_of_movie
from trackastra_engine.association.cluster import edges_on_cluster
from trackastra_engine.association.edge_stream import Score, check_gap, check_stride
from trackastra_engine.detection.detections import (
    Detections,
    IntArray,
    concatenate,
    split_frames,
)
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.errors import InputError, option
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.linking.rates import MovieRates, rates_to_use
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.devices import Device
from trackastra_engine.model.onnx_model import DEFAULT_MODEL, AssociationModel
from trackastra_engine.motion.alignment import Align, check_align
from trackastra_engine.movie.frames import ArrayOrPath, Movie, open_movie
from trackastra_engine.movie.selection import EVERYTHING, Selection
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.resources import usable_threads

logger = logging.getLogger(__name__)

MOST_EMPTY_FRAMES = 1000  # for each frame with a detection


class Tracker:
    """Tracks movies with one model and one linker."""

    def __init__(
        self,
        model: AssociationModel,
        link: Linker,
        *,
        max_distance: MaxDistance | None = None,
        stride: int = 1,
        align: Align = "auto",
        threads: int | None = None,
        rates: str = "auto",
        on_rates: Callable[[MovieRates], object] | None = None,
    ) -> None:
        """Make a tracker; on_rates: called with the rates of each movie by which it is corrected.

        For the other arguments see `load`, which raises the same errors.
        """
        check_gap(link.max_gap, model.spec)
        check_stride(stride, model.spec, max_gap=link.max_gap)
        check_align(align)
        self.model = model
        self.link = link
        self.max_distance = max_distance
        self.stride = stride
        self.align = align
        if threads is not None and threads < 1:
            raise InputError(f"the number of threads is {threads}; give 1 or more")
        self.threads = usable_threads() if threads is None else threads
        self.training_rates = rates_to_use(rates, model.spec.training_rates)
        self._on_rates = on_rates

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        mode: str | Linker = "greedy",
        max_distance: float | str | None = None,
        stride: int = 1,
        align: Align = "auto",
        rates: str = "auto",
        device: Device = "auto",
        threads: int | None = None,
    ) -> "Tracker":
        """Return a tracker with the model of that name or file.

        mode: the name of a linker, one of linking.MODES, or a linker with options of its own;
        max_distance: longest link in pixels, or a text such as "40px", "12um" or "auto";
        stride: frames from a window to the next, more than 1 for speed at some loss in accuracy;
        align: "auto" carries the frames of a window along their common motion before it is scored,
        with models that learned from relative positions; "off" never does.
        threads: that compute at a time, by default one for each core that this process may use.
        rates: "auto" to correct scores for how often cells of the movie have no parent or divide,
        as far as the model knows how often they did in training, or "off".

        Raises InputError, ModelError or MissingDependencyError with what to do.
        """
        longest = None if max_distance is None else MaxDistance.parse(max_distance)
        loaded = AssociationModel.load(model, device=device)
        chances = loaded.spec.scores_are_chances
        link = linker(mode, chances=chances) if isinstance(mode, str) else mode
        return cls(
            loaded,
            link,
            max_distance=longest,
            stride=stride,
            align=align,
            threads=threads,
            rates=rates,
        )

    def track(
        self,
        images: ArrayOrPath | None,
        masks: ArrayOrPath,
        *,
        selection: Selection = EVERYTHING,
        voxel_um: VoxelSize | None = None,
        corrections: Corrections | None = None,
        progress: Progress = no_progress,
    ) -> Lineage:
        """Return the lineage of a movie, from arrays (T, [Z,] Y, X) or paths of TIFFs or OME-Zarr.

        images: None if there are only masks; masks: integers, 0 is background; selection: which
        axes, channel, position and level, such as Selection(axes="tcyx", channel=1); voxel_um:
        size of a voxel along ([z,] y, x), instead of the size in the files; corrections: links that
        are decided.

        Raises InputError if the movie cannot be read, holds no object or does not fit the model.
        """
        movie = open_movie(images, masks, selection=selection, voxel_um=voxel_um)
        return self.track_movie(movie, corrections=corrections, progress=progress)

    def track_movie(
        self,
        movie: Movie,
        *,
        corrections: Corrections | None = None,
        cache: Path | None = None,
        index: Path | None = None,
        dask: str | None = None,
        progress: Progress = no_progress,
    ) -> Lineage:
        """Return the lineage of an opened movie; see `track`.

        cache: folder that keeps detections and edges, so that nothing is computed twice; index:
        file that tells which of these are the movie's, with which it can be linked again; dask:
        address of a cluster that does the work, or local:N for N processes.
        """
        self.check_fit(movie)
        voxel_um = self.relevant_voxel(movie.ndim, movie.voxel_um)
        association = self.association(voxel_um)
        kept = None if cache is None else ChunkCache(cache, association, movie)
        found = GrowingRows(concatenate([], association.spec.ndim))
        links = self._links(voxel_um, corrections)
        chunks = edges_of_movie if dask is None else partial(edges_on_cluster, dask)
        with closing(chunks(association, movie, found, kept, progress)) as edges:
            links.push(edges)
        if len(found) == 0:
            raise InputError(
                f"none of the {len(movie)} masks contains an object; segment the movie first"
            )
        if kept is not None and index is not None:
            note_kept(kept, index, movie, association)
        return self._finished(links, found.whole())

    def track_detections(
        self,
        detections: Detections,
        *,
        voxel_um: VoxelSize | None = None,
        corrections: Corrections | None = None,
        progress: Progress = no_progress,
    ) -> Lineage:
        """Return the lineage of detections that were made elsewhere, as of `read_points`.

        Models that know intensities by the range of the images take all as bright as those.

        Raises InputError if they lie in one frame alone or do not fit the model.
        """
        self.check_fit(detections)
        n_frames = int(detections.frame.max(initial=-1)) + 1
        if len(np.unique(detections.frame)) < 2:
            raise InputError(
                f"all {len(detections)} detections are in one frame; tracking needs at least two"
            )
        self._check_frames(np.unique(detections.frame))
        if voxel_um is not None:
            check_voxel_size(voxel_um, detections.ndim)
        frames = split_frames(detections, n_frames)
        voxel_um = self.relevant_voxel(detections.ndim, voxel_um)
        links = self._links(voxel_um, corrections)
        association = self.association(voxel_um)
        links.push(edges_of_chunks(association, frames, n_frames, None, None, progress))
        return self._finished(links, detections)

    def _check_frames(self, frames: IntArray) -> None:
        """Raise InputError if unique frame numbers (F,) cannot be those of a movie."""
        if frames[-1] >= MOST_EMPTY_FRAMES * len(frames):
            raise InputError(
                f"frame {frames[-1]} is too large, as only {len(frames)} frames have detections; "
                "number the frames from 0"
            )
        if np.diff(frames).min() > self.link.max_gap:
            listed = ", ".join(map(str, frames[:3]))
            raise InputError(
                f"the frames {listed}, ... do not follow each other, so nothing can be linked; "
                "number them 0, 1, 2, ..."
            )

    def check_fit(self, movie: Movie | Detections) -> None:
        """Raise InputError if the model cannot take a movie of these dimensions."""
        spec = self.model.spec
        accepts_planes = spec.ndim == 3 and spec.accepts_planes and isinstance(movie, Movie)
        if movie.ndim != spec.ndim and not accepts_planes:
            is_flat = isinstance(movie, Movie) and movie.ndim == 3 and movie.frame_shape[0] == 1
            raise InputError(
                f"the movie is {movie.ndim}D but the model {spec.name} needs {spec.ndim}D movies; "
                + (
                    f"each frame is one plane: name its axes with {option('axes')}, such as tcyx"
                    if is_flat
                    else "choose another model"
                )
            )

    def _links(self, voxel_um: VoxelSize | None, corrections: Corrections | None) -> LinkStream:
        return LinkStream(
            self.link,
            self.max_distance,
            voxel_um,
            self.model.spec.ndim,
            training_rates=self.training_rates,
            corrections=corrections,
        )

    def _finished(self, links: LinkStream, detections: Detections) -> Lineage:
        """Return the lineage of a movie after its last edges."""
        lineage = links.finish(detections)
        if self._on_rates is not None and links.rates is not None:
            self._on_rates(links.rates)
        return lineage

    def association(self, voxel_um: VoxelSize | None) -> Association:
        """Return how detections of a movie with such voxels, as far as relevant, become edges."""
        # Models of upstream must give the edges that upstream gives.
        is_aligned = self.align == "auto" and self.model.spec.recipe == "relative"
        return Association(
            self.model, self.stride, self.link.max_gap, voxel_um, is_aligned, self.threads
        )

    def relevant_voxel(self, ndim: int, voxel_um: VoxelSize | None) -> VoxelSize | None:
        """Return the size of a voxel where it matters: to the model, or to distances in um."""
        is_seen = self.model.spec.uses_voxel_size
        if is_seen and ndim == 3 and voxel_um is None:
            logger.warning(
                "the size of the movie's voxels is not known, so cubes are assumed; give the size "
                "with %s",
                option("voxel"),
            )
        is_in_um = self.max_distance is not None and self.max_distance.unit == "um"
        return voxel_um if is_seen or is_in_um else None

    def scoring(
        self, intensity_range: IntensityRange | None, voxel_um: VoxelSize | None = None
    ) -> Score:
        """Return how the detections of a window are scored soonest, one window at a time."""
        answering = replace(self.association(voxel_um), model=self.model.in_threads(self.threads))
        return answering.score(intensity_range)
