"""Run all stages on one movie, from frames to a lineage."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from trackastra_engine.association.association import Association
from trackastra_engine.association.cache import ChunkCache
from trackastra_engine.association.cache_index import write_index
from trackastra_engine.association.chunks import edges_of_chunks, edges_of_movie
from trackastra_engine.association.cluster import edges_on_cluster
from trackastra_engine.association.edge_stream import (
    Score,
    check_gap,
    check_stride,
    usual_gap,
    usual_stride,
)
from trackastra_engine.detection.detections import (
    Detections,
    check_frames,
    concatenate,
    split_frames,
)
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.real_size import warn_of_odd_size
from trackastra_engine.errors import InputError, option
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.linking.rates import MovieRates, rates_to_use
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.choice import lies_in_layer
from trackastra_engine.model.devices import Device
from trackastra_engine.model.onnx_model import DEFAULT_MODEL, DEFAULT_MODELS, AssociationModel
from trackastra_engine.motion.alignment import Align, check_align
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.frames import ArrayOrPath, Movie, open_movie
from trackastra_engine.movie.selection import EVERYTHING, Selection
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.resources import usable_threads

logger = logging.getLogger(__name__)

MOST_UNEVEN = 1.1  # ratio of the sides of pixels that count as squares


class Tracker:
    """Tracks movies with one model and one linker.

    Parameters
    ----------
    model : AssociationModel
        Scores edges between detections.
    link : Linker
        Chooses the links, see `linking.linker`.
    on_found : callable, optional
        Called with the rates of each movie, if scores are corrected, and its motion, if windows
        are aligned; otherwise with None.
    max_distance, stride, align, threads, rates
        See `load`.

    Raises
    ------
    InputError
        If an option is not possible, or does not fit the model.

    Examples
    --------
    >>> from trackastra_engine import Tracker
    >>> tracker = Tracker.load("general_2d")
    >>> tracker.track(images, masks).n_divisions
    1
    """

    def __init__(
        self,
        model: AssociationModel,
        link: Linker,
        *,
        max_distance: MaxDistance | None = None,
        stride: int | None = None,
        align: Align = "auto",
        threads: int | None = None,
        rates: str = "auto",
        on_found: Callable[[MovieRates | None, MovieMotion | None], object] | None = None,
    ) -> None:
        """Make a tracker; see the class."""
        check_gap(link.max_gap, model.spec)
        usual = usual_stride(model.spec, max_gap=link.max_gap)
        self.stride = usual if stride is None else stride
        check_stride(self.stride, model.spec, max_gap=link.max_gap)
        check_align(align)
        self.model = model
        self.link = link
        self.max_distance = max_distance
        self.align = align
        if threads is not None and threads < 1:
            raise InputError(f"the number of threads is {threads}; give 1 or more")
        self.threads = usable_threads() if threads is None else threads
        self.training_rates = rates_to_use(rates, model.spec.training_rates)
        self._on_found = on_found

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        mode: str | Linker = "greedy",
        max_distance: float | str | None = None,
        stride: int | None = None,
        align: Align = "auto",
        rates: str = "auto",
        device: Device = "auto",
        threads: int | None = None,
    ) -> "Tracker":
        """Return a tracker with the model of a name or file.

        Parameters
        ----------
        model : str or Path
            An embedded model, `general_2d` or `general_3d`, or the path of an .onnx file. 2D models
            see 3D movies in the plane, except for upstream's.
        mode : str or Linker
            One of `linking.MODES`, with links up to two frames long if the model has learned them
            and is not one of upstream's; or a linker with options of its own.
        max_distance : float or str, optional
            Longest link: pixels, or a text such as "40px", "12um" or "auto".
        stride : int, optional
            Frames from one window to the next; by default 2, with upstream's models 1. Windows of
            at most 100 detections begin at every frame.
        align : {"auto", "off"}
            Whether the frames of a window are aligned before it is scored, with models that
            learned from relative positions.
        rates : {"auto", "off"}
            Whether scores are corrected for how often cells of the movie have no parent or
            divide, if the model knows how often they did in training.
        device : str
            "auto", "cpu", "cuda" or another provider of ONNX Runtime.
        threads : int, optional
            Threads that compute at a time; by default one per usable core.

        Returns
        -------
        Tracker

        Raises
        ------
        InputError
            If an option is not possible.
        ModelError
            If there is no such model, or the file does not fit this version.
        MissingDependencyError
            If ONNX Runtime is not installed.

        Examples
        --------
        >>> tracker = Tracker.load("general_2d", mode="ilp", max_distance=40)
        >>> len(tracker.track(None, masks).edges)
        13
        """
        longest = None if max_distance is None else MaxDistance.parse(max_distance)
        loaded = AssociationModel.load(model, device=device)
        spec, link = loaded.spec, mode
        if isinstance(link, str):
            gap, probabilities = usual_gap(spec, stride), spec.scores_are_probabilities
            link = linker(link, max_gap=gap, probabilities=probabilities)
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
        """Return the lineage of a movie of arrays or files.

        Parameters
        ----------
        images : (T, [Z,] Y, X) array, path or None
            Raw intensities; None if there are only masks. Paths are folders, TIFF stacks,
            OME-Zarr or other files, see engine/README.md.
        masks : (T, [Z,] Y, X) array or path
            Whole numbers; 0 is background, and each object of a frame has its own number.
        selection : Selection
            Axes, channel, position, level and files, such as `Selection(axes="tcyx", channel=1)`.
        voxel_um : tuple of float, optional
            Size of a voxel along ([z,] y, x) in micrometres, instead of the size in the files.
        corrections : Corrections, optional
            Links that are decided.
        progress : callable
            Called with the number of frames done and of all frames.

        Returns
        -------
        Lineage

        Raises
        ------
        InputError
            If the movie cannot be read, has no object or does not fit the model.

        Examples
        --------
        >>> lineage = tracker.track(images, masks)
        >>> lineage.tracklets[-1].tolist()  # id, first frame, last frame, parent
        [4, 3, 5, 2]
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
        """Return the lineage of an opened movie.

        Parameters
        ----------
        movie : Movie
            See `open_movie`.
        cache : Path, optional
            Folder that stores detections and edges, so that nothing is computed twice.
        index : Path, optional
            File that lists which of these belong to the movie, for linking it again.
        dask : str, optional
            Address of a Dask cluster that does the work, or "local:N" for N processes.
        corrections, progress
            See `track`.

        Returns
        -------
        Lineage

        Raises
        ------
        InputError
            As `track` does.

        Examples
        --------
        >>> from trackastra_engine.movie.frames import open_movie
        >>> len(tracker.track_movie(open_movie(images, masks)).tracklets)
        4
        """
        association = self._association_for(movie, movie.voxel_um)
        stored = None if cache is None else ChunkCache(cache, association, movie)
        found = GrowingRows(concatenate([], association.ndim))
        links = self._links(association, corrections)
        chunks = edges_of_movie if dask is None else partial(edges_on_cluster, dask)
        with closing(chunks(association, movie, found, stored, progress)) as edges:
            links.push(edges)
        if len(found) == 0:
            raise InputError(
                f"none of the {len(movie)} masks contains an object; segment the movie first"
            )
        if stored is not None and index is not None:
            write_index(stored, index, movie, association)
        detections = found.whole()
        warn_of_odd_size(detections, movie.voxel_um)
        return self._finished(links, detections, association.motion(detections, len(movie)))

    def track_detections(
        self,
        detections: Detections,
        *,
        voxel_um: VoxelSize | None = None,
        corrections: Corrections | None = None,
        progress: Progress = no_progress,
    ) -> Lineage:
        """Return the lineage of detections that were made elsewhere, such as by `read_points`.

        Models that normalise intensities by the movie take all intensities as equal.

        Parameters
        ----------
        detections : Detections
            In at least two frames, numbered from 0.
        voxel_um : tuple of float, optional
            Size of a voxel along ([z,] y, x) in micrometres.
        corrections, progress
            See `track`.

        Returns
        -------
        Lineage

        Raises
        ------
        InputError
            If all detections are in one frame, no frame follows another, or they do not fit the
            model.

        Examples
        --------
        >>> from trackastra_engine.detection.points import detections_of_points
        >>> points = detections_of_points([0, 0, 1, 1], [[5, 5], [5, 40], [6, 6], [6, 41]])
        >>> tracker.track_detections(points).edges.source.tolist()
        [0, 1]
        """
        check_frames(detections)
        n_frames = int(detections.frame.max()) + 1
        if voxel_um is not None:
            check_voxel_size(voxel_um, detections.ndim)
        warn_of_odd_size(detections, voxel_um)
        frames = split_frames(detections, n_frames)
        association = self._association_for(detections, voxel_um)
        links = self._links(association, corrections)
        links.push(edges_of_chunks(association, frames, n_frames, None, None, progress))
        return self._finished(links, detections, association.motion(detections, n_frames))

    def check_fit(self, movie: Movie | Detections) -> None:
        """Raise InputError if the model cannot take a movie of these dimensions."""
        spec = self.model.spec
        accepts_planes = spec.ndim == 3 and spec.accepts_planes and isinstance(movie, Movie)
        if movie.ndim != spec.ndim and not accepts_planes:
            raise InputError(
                f"the movie is {movie.ndim}D but the model {spec.name} needs {spec.ndim}D movies; "
                f"choose another model, such as {DEFAULT_MODELS[movie.ndim]}"
            )

    def _association_for(
        self, movie: Movie | Detections, voxel_um: VoxelSize | None
    ) -> Association:
        """Return how a movie becomes edges; 2D models see 3D movies in the plane.

        Models of upstream do not. Raises InputError if the model cannot take the movie.
        """
        spec = self.model.spec
        in_plane = movie.ndim == 3 and spec.ndim == 2 and spec.recipe == "relative"
        if not in_plane:
            self.check_fit(movie)
        elif not lies_in_layer(movie, voxel_um):
            logger.warning(
                "the cells of this 3D movie may lie at several depths, which the model %s does not "
                "see, but %s does",
                spec.name,
                DEFAULT_MODELS[3],
            )
        relevant = self.relevant_voxel(movie.ndim, voxel_um)
        return replace(self.association(voxel_um if in_plane else relevant), in_plane=in_plane)

    def _links(self, association: Association, corrections: Corrections | None) -> LinkStream:
        return LinkStream(
            self.link,
            self.max_distance,
            association.voxel_um,
            association.ndim,
            training_rates=self.training_rates,
            adaptation=self.model.spec.adaptation,
            corrections=corrections,
        )

    def _finished(
        self, links: LinkStream, detections: Detections, motion: MovieMotion | None
    ) -> Lineage:
        """Return the lineage of a movie after its last edges."""
        lineage = links.finish(detections, motion)
        if self._on_found is not None:
            self._on_found(links.rates, motion)
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
                "the size of the movie's voxels is not known; it is estimated from the shapes of "
                "cells (of points, cubes are assumed); give it with %s",
                option("voxel"),
            )
        if not is_seen and voxel_um is not None:
            height, width = voxel_um[-2:]
            if max(height, width) > MOST_UNEVEN * min(height, width):
                logger.warning(
                    "pixels are %g um high and %g um wide, but the model %s takes them for "
                    "squares; scale the movie to square pixels",
                    *(height, width, self.model.spec.name),
                )
        is_in_um = self.max_distance is not None and self.max_distance.unit == "um"
        return voxel_um if is_seen or is_in_um else None

    def scoring(
        self, intensity_range: IntensityRange | None, voxel_um: VoxelSize | None = None
    ) -> Score:
        """Return how the detections of a window are scored soonest, one window at a time."""
        answering = replace(self.association(voxel_um), model=self.model.in_threads(self.threads))
        return answering.score(intensity_range)
