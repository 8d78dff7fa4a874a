"""Track incoming frames in the caller's thread."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trackastra_engine.association.edge_stream import EdgeStream
from trackastra_engine.detection.detections import (
    NO_LIMIT,
    Detections,
    check_intensities,
    check_number,
    detect,
)
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.errors import InputError
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.stream import FrameLinker
from trackastra_engine.movie.pixels import unmasked
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size, proportions
from trackastra_engine.online.arrived_frame import arrived_frame, small_mask
from trackastra_engine.online.field_of_view import FieldOfView
from trackastra_engine.online.update import Update
from trackastra_engine.tracker import Tracker


class _Prepared:
    """Names the field of a frame that is tracked only to prepare."""

    def __repr__(self) -> str:
        """Return the name used in messages."""
        return "(prepare)"


class Session:
    """Tracks any number of fields of view, frame by frame, with one model.

    Without a delay, a frame is linked as it comes, from the newest window only; later windows may
    correct these links, and updates say so. With `delay=k`, links are decided for good when k
    later frames came.

    Links into a frame are decided after those into the frames before. A cell that is missed in one
    frame keeps its track when it is found again, if the tracker links over gaps.

    Scores are corrected for the rates of cells without a parent among the frames so far (see
    linking/rates.py). Updates correct only links that later windows may still change; without a
    delay, `finish` decides all links again by the rates of the whole movie and undoes divisions of
    split cells, so that its tracks are those of `Tracker.track`, edge for edge. With a delay they
    are so from `spec.window - 2` on if the tracker's stride is 1, it links neighbouring frames
    only, and does not correct scores.

    Each frame is scored in one window. With a stride of 2, every second of these counts only until
    the next one is scored, except windows of at most 100 detections.

    Frames of a field are numbered by the caller, or counted. A number left out is a frame that is
    missing: tracks go on from the last frame that came. Not for several threads at once.

    Parameters
    ----------
    tracker : Tracker
        With a linker that does not need the whole movie: `Linker.is_pairwise`.
    delay : int, optional
        Frames after which links are decided and stay; None decides at once and corrects later.
    intensity_range : IntensityRange, optional
        Of the images, for models that normalise by the whole movie.
    voxel_um : tuple of float, optional
        Size of a voxel along ([z,] y, x) in micrometres.
    max_objects : int
        A frame with more objects is rejected.
    like : (image, mask), optional
        A frame of the expected size and types, which is passed to `prepare`.

    Raises
    ------
    InputError
        If the tracker needs the whole movie, the delay is too long or the voxel size does not fit.

    Examples
    --------
    >>> from trackastra_engine.online import Session
    >>> session = Session(tracker)
    >>> updates = [session.push(image, mask) for image, mask in zip(images, masks)]
    >>> updates[3].divisions.track.tolist()  # mother, daughter, daughter
    [2, 7, 8]
    >>> session.finish().n_divisions
    1
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        delay: int | None = None,
        intensity_range: IntensityRange | None = None,
        voxel_um: VoxelSize | None = None,
        max_objects: int = NO_LIMIT,
        like: tuple[NDArray[Any] | None, NDArray[Any]] | None = None,
    ) -> None:
        """Make ready to track, which takes about a second; see the class."""
        spec = tracker.model.spec
        if not tracker.link.is_pairwise:
            raise InputError(
                "this linker needs the whole movie, which is not known online; choose greedy or ilp"
            )
        if delay is not None and not 0 <= delay <= spec.window - 2:
            raise InputError(
                f"the delay is {delay} frames; give 0 to {spec.window - 2}, after which all links "
                f"of the model {spec.name} are final, or None for links at once"
            )
        if voxel_um is not None:
            check_voxel_size(voxel_um, spec.ndim)
        relevant = tracker.relevant_voxel(spec.ndim, voxel_um)
        limit = None
        if tracker.max_distance is not None:
            limit = tracker.max_distance.in_pixels(relevant)
            if limit is None:
                raise InputError(
                    "the maximum distance auto needs the whole movie; give a number of pixels"
                )
        self._linker = FrameLinker(
            tracker.link, limit, proportions(relevant, spec.ndim), adaptation=spec.adaptation
        )
        self._score = tracker.scoring(intensity_range, relevant)
        self.voxel_um = voxel_um
        self.tracker = tracker
        self.delay = delay
        self.intensity_range = intensity_range
        self.max_objects = max_objects
        self.fields: dict[Hashable, FieldOfView] = {}
        mask = small_mask(spec.ndim)
        self.prepare(None if spec.normalisation == "movie" else mask, mask)
        if like is not None:
            self.prepare(*like)

    def push(
        self,
        image: NDArray[Any] | None,
        mask: NDArray[Any],
        *,
        fov: Hashable = 0,
        frame: int | None = None,
    ) -> Update | None:
        """Track the next frame of a field of view. A warning reports odd labels, as in `track`.

        Parameters
        ----------
        image : ([Z,] Y, X) array or None
            Raw intensities.
        mask : ([Z,] Y, X) array
            Whole numbers, 0 is background.
        fov : hashable
            The field of view.
        frame : int, optional
            The caller's number of the frame, larger than all before; by default the next one.

        Returns
        -------
        Update or None
            None while links wait for the delay.

        Raises
        ------
        InputError
            If the frame does not fit the model or the field. After any error, the field stays as
            it was.

        Examples
        --------
        >>> update = session.push(images[0], masks[0], fov="new")
        >>> update.objects.track.tolist()
        [1, 2]
        """
        mask = unmasked(mask, "masks")
        update = self._push(image, mask, fov, frame)
        movie = self.fields[fov]
        name = f"frame {movie.numbers[-1]} of {movie.name}"
        movie.label_watch.see(movie.found[-1], mask.shape, lambda: mask, name)
        return update

    def _push(
        self,
        image: NDArray[Any] | None,
        mask: NDArray[Any],
        fov: Hashable,
        frame: int | None = None,
    ) -> Update | None:
        """Add the next frame of a field of view, without a check of its labels."""
        movie = self.fields.get(fov) or self.new_field(fov)
        number = movie.next_number(frame)
        detections = self._detect(movie, image, mask, number)
        update = movie.push(detections, number)
        movie.frame_shape = mask.shape
        self.fields[fov] = movie
        return update

    def push_detections(
        self, detections: Detections, *, fov: Hashable = 0, frame: int | None = None
    ) -> Update | None:
        """Track the next frame of a field of view, given as detections.

        Parameters
        ----------
        detections : Detections
            With different labels; their `frame` is ignored.
        fov, frame
            See `push`.

        Returns
        -------
        Update or None

        Raises
        ------
        InputError
            As `push` does, and for labels that are given twice.

        Examples
        --------
        >>> first = detections.rows(detections.frame == 0)
        >>> len(session.push_detections(first, fov="detections").objects)
        2
        """
        movie = self.fields.get(fov) or self.new_field(fov)
        number = movie.next_number(frame)
        check_number(len(detections), self.max_objects)
        self.tracker.check_fit(detections)
        if len(np.unique(detections.label)) < len(detections):
            raise InputError(
                f"two detections of frame {number} of field of view {fov!r} have the same label; "
                "give each its own label"
            )
        detections = detections.rows(np.argsort(detections.label))
        index = np.full(len(detections), len(movie.found), np.int32)
        update = movie.push(replace(detections, frame=index), number)
        self.fields[fov] = movie
        return update

    def push_points(
        self,
        position: ArrayLike,
        *,
        label: ArrayLike | None = None,
        diameter: ArrayLike | None = None,
        intensity: ArrayLike | None = None,
        fov: Hashable = 0,
        frame: int | None = None,
    ) -> Update | None:
        """Track the next frame of a field of view, given as N points; see detection/points.py.

        Parameters
        ----------
        position : (N, D)
            Pixels, ([z,] y, x).
        label : (N,), optional
            By default from 1, in their order.
        diameter : (N,), optional
            Pixels; by default half the typical spacing of the frame.
        intensity : (N,), optional
            Of the image.
        fov, frame
            See `push`.

        Returns
        -------
        Update or None

        Raises
        ------
        InputError
            As `push` does, and at the first point that cannot be used.

        Examples
        --------
        >>> len(session.push_points([[5, 5], [5, 40]], fov="points").objects)
        2
        """
        places = np.atleast_1d(position)
        if places.size == 0:
            places = np.empty((0, self.tracker.model.spec.ndim))
        check_number(len(places), self.max_objects)
        zeros = np.zeros(len(places), int)
        about = {"label": label, "diameter": diameter, "intensity": intensity}
        detections = detections_of_points(zeros, places, voxel_um=self.voxel_um, **about)
        return self.push_detections(detections, fov=fov, frame=frame)

    def finish(self, fov: Hashable = 0) -> Lineage:
        """Return the tracks of a field of view and forget it; its next frame begins a new movie.

        Where numbers of frames are missing, a tracklet ends and continues as its child.

        Parameters
        ----------
        fov : hashable
            The field of view.

        Returns
        -------
        Lineage

        Raises
        ------
        InputError
            If no frame of the field arrived.

        Examples
        --------
        >>> _ = session.push(None, masks[0], fov="short")
        >>> len(session.finish("short").detections)
        2
        """
        if fov not in self.fields:
            raise InputError(f"field of view {fov!r} has no frames; push one first")
        lineage = self.fields[fov].finish()
        del self.fields[fov]
        return lineage

    def prepare(self, image: NDArray[Any] | None, mask: NDArray[Any]) -> None:
        """Track a frame in a field of its own, so that later frames like it do not wait.

        Loads and compiles the code for its types and size. Raises InputError as `push` does.
        """
        apart = _Prepared()
        for _ in range(self.tracker.model.spec.window + 1):
            self._push(image, unmasked(mask, "masks"), apart)
        self.finish(apart)

    def new_field(self, fov: Hashable) -> FieldOfView:
        """Return a field of view without frames, which the session does not know yet."""
        spec = self.tracker.model.spec
        tracker = self.tracker
        stream = EdgeStream(self._score, spec, stride=tracker.stride, max_gap=tracker.link.max_gap)
        return FieldOfView(
            fov,
            stream,
            self._linker,
            training_rates=tracker.training_rates,
            delay=self.delay,
            ndim=spec.ndim,
        )

    def _detect(
        self, movie: FieldOfView, image: NDArray[Any] | None, mask: NDArray[Any], number: int
    ) -> Detections:
        """Return the detections of the next frame, checked as those of a movie are."""
        spec = self.tracker.model.spec
        arrived = arrived_frame(image, mask, number, field=movie.name, shape=movie.frame_shape)
        if image is not None and spec.normalisation == "movie" and self.intensity_range is None:
            raise InputError(
                f"the model {spec.name} normalises intensities by the whole movie, which is not "
                "known online; give intensity_range or no images, or choose a model that "
                "normalises by window"
            )
        self.tracker.check_fit(arrived)
        frame = replace(next(arrived.frames([number])), index=len(movie.found))
        detections = detect(frame, spec.ndim, max_objects=self.max_objects)
        if image is not None:
            check_intensities(detections, f"the image of frame {number} of {movie.name}")
        return detections
