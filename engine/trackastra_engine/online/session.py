"""Track incoming frames in the caller's thread."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trackastra_engine.association.edge_stream import EdgeStream
from trackastra_engine.detection.detections import NO_LIMIT, Detections, check_number, detect
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.errors import InputError
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.stream import FrameLinker
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.pixels import unmasked
from trackastra_engine.movie.sources import ArraySource
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size, proportions
from trackastra_engine.online.field_of_view import FieldOfView
from trackastra_engine.online.update import Update
from trackastra_engine.tracker import Tracker

WARM_UP_SIDE = 64  # pixels of a frame
MAX_NUMBER = 2**31 - 1  # frames are stored as int32


class Session:
    """Tracks any number of fields of view, frame by frame, with one model.

    Without a delay, a frame is linked as it comes, from the newest window alone; later windows may
    correct these links, and updates say so. With `delay=k`, links are decided for good when k
    later frames came.

    Scores are corrected for the rates of cells without a parent among the frames so far (see
    linking/rates.py). Updates correct only links that later windows may still change; without a
    delay, `finish` decides all links anew by the rates of the whole movie, so that its tracks are
    those of `Tracker.track`, edge for edge. With a delay they are so from `spec.window - 2` on if
    the tracker's rates are off, or the model has none.

    Frames of a field are numbered by the caller, or counted. A number left out is a frame that is
    missing: tracks go on from the last frame that came. Not for several threads at once.
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
        """Make ready to track, which takes a second or so.

        intensity_range: of the images, for models that take it from the whole movie; voxel_um:
        size of a voxel along ([z,] y, x); max_objects: of a frame, which is refused if it holds
        more; like: what is given to `prepare`, too.

        Raises InputError if the tracker's linker, stride or longest link need the whole movie, the
        delay is longer than that of final links, or the voxel size does not fit.
        """
        spec = tracker.model.spec
        if not tracker.link.is_separable:
            raise InputError(
                "this linker needs the whole movie, which is not known online; choose greedy or "
                "ilp, without gaps"
            )
        if tracker.stride != 1:
            raise InputError(
                f"the stride is {tracker.stride}, but each new frame needs a window; choose 1"
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
        self._linker = FrameLinker(tracker.link, limit, proportions(relevant, spec.ndim))
        self._score = tracker.scoring(intensity_range, relevant)
        self.voxel_um = voxel_um
        self.tracker = tracker
        self.delay = delay
        self.intensity_range = intensity_range
        self.max_objects = max_objects
        self.fields: dict[Hashable, FieldOfView] = {}
        self.prepare(*self._small_frame())
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
        """Take the next frame of a field of view; return what it made known.

        image, mask: ([Z,] Y, X), image None if there is none; frame: the caller's number for it,
        larger than all before. Returns None while links wait for the delay.

        Raises InputError if the frame does not fit the model or the field, which stays as it was,
        as it does after any other error. Masks that are not labelled get a warning, once a field.
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
        number = _next_number(movie, frame)
        detections = self._detect(movie, image, mask, number)
        update = movie.push(detections, number)
        movie.frame_shape = mask.shape
        self.fields[fov] = movie
        return update

    def push_detections(
        self, detections: Detections, *, fov: Hashable = 0, frame: int | None = None
    ) -> Update | None:
        """Take the next frame of a field of view as detections; see `push`.

        Their labels must differ; what they say of the frame does not matter.
        """
        movie = self.fields.get(fov) or self.new_field(fov)
        number = _next_number(movie, frame)
        spec = self.tracker.model.spec
        check_number(len(detections), self.max_objects)
        if detections.ndim != spec.ndim:
            raise InputError(
                f"the detections are {detections.ndim}D but the model {spec.name} needs "
                f"{spec.ndim}D ones; choose another model"
            )
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
        """Take the next frame of a field of view as N points; see `push`, and detection/points.py.

        position: (N, D) pixels, ([z,] y, x); label: (N,), from 1 in their order if not given;
        diameter: (N,) pixels, half the typical spacing of this frame if not given.
        """
        places = np.atleast_1d(position)
        if places.size == 0:
            places = np.empty((0, self.tracker.model.spec.ndim))
        check_number(len(places), self.max_objects)
        zeros = np.zeros(len(places), int)
        detections = detections_of_points(
            zeros, places, label=label, diameter=diameter, intensity=intensity
        )
        return self.push_detections(detections, fov=fov, frame=frame)

    def finish(self, fov: Hashable = 0) -> Lineage:
        """Return the tracks of a field of view and forget it; its next frame begins a new movie.

        Where numbers of frames are missing, a tracklet ends and goes on as its child.

        Raises InputError if no frame of the field came.
        """
        if fov not in self.fields:
            raise InputError(f"field of view {fov!r} has no frames; push one first")
        lineage = self.fields[fov].finish()
        del self.fields[fov]
        return lineage

    def prepare(self, image: NDArray[Any] | None, mask: NDArray[Any]) -> None:
        """Track a frame in a field of its own, so that none of its types and size waits later.

        What is loaded or compiled only once is so now. Raises InputError as `push` does.
        """
        apart = object()
        for _ in range(self.tracker.model.spec.window + 1):
            self._push(image, np.asarray(mask), apart)
        self.finish(apart)

    def new_field(self, fov: Hashable) -> FieldOfView:
        """Return a field of view without frames, which the session does not know yet."""
        spec = self.tracker.model.spec
        stream = EdgeStream(self._score, spec)
        return FieldOfView(
            fov,
            stream,
            self._linker,
            training_rates=self.tracker.training_rates,
            delay=self.delay,
            ndim=spec.ndim,
        )

    def _detect(
        self, movie: FieldOfView, image: NDArray[Any] | None, mask: NDArray[Any], number: int
    ) -> Detections:
        """Return the detections of the next frame, checked as those of a movie are."""
        if 0 in mask.shape:
            raise InputError(f"the mask of frame {number} of {movie.name} has no pixels")
        shape = movie.frame_shape or mask.shape
        images = None
        if image is not None:
            image = unmasked(image, "images")
            self._check_image(movie, image)
            images = ArraySource(movie.name, 1, shape, image.dtype, {number: image})
        masks = ArraySource(movie.name, 1, shape, mask.dtype, {number: mask})
        arrived = Movie(masks, images)
        self.tracker.check_fit(arrived)
        frame = next(arrived.frames([number]))
        index = len(movie.found)
        detections = detect(
            replace(frame, index=index), self.tracker.model.spec.ndim, max_objects=self.max_objects
        )
        if image is not None and not np.isfinite(detections.features).all():
            raise InputError(
                f"the image of frame {number} of {movie.name} has NaN or infinity inside objects; "
                "replace these pixels, for example by the background"
            )
        return detections

    def _check_image(self, movie: FieldOfView, image: NDArray[Any]) -> None:
        spec = self.tracker.model.spec
        if image.dtype.kind not in "buif":
            raise InputError(
                f"an image of {movie.name} is of type {image.dtype}; expected real numbers, such "
                "as uint8, uint16 or float32"
            )
        if spec.normalisation == "movie" and self.intensity_range is None:
            raise InputError(
                f"the model {spec.name} normalises intensities by the whole movie, which is not "
                "known online; give intensity_range or no images, or choose a model that "
                "normalises by window"
            )

    def _small_frame(self) -> tuple[NDArray[Any] | None, NDArray[Any]]:
        """Return an image, if it can be used, and a mask of a few cells."""
        spec = self.tracker.model.spec
        mask = np.zeros((WARM_UP_SIDE,) * spec.ndim, np.uint16)
        for label, start in enumerate(range(8, WARM_UP_SIDE - 8, 8), start=1):
            mask[(slice(start, start + 4),) * spec.ndim] = label
        return (None if spec.normalisation == "movie" else mask), mask


def _next_number(movie: FieldOfView, number: int | None) -> int:
    last = movie.numbers[-1] if movie.numbers else -1
    if number is None:
        return last + 1
    if not last < number <= MAX_NUMBER:
        raise InputError(
            f"frame {number} of {movie.name} follows frame {last}, but numbers must increase, up "
            f"to {MAX_NUMBER}; finish the field of view before numbers start again"
        )
    return int(number)
