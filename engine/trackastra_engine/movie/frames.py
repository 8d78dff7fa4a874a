"""Open paths or arrays as a movie, and read its frames one at a time."""

import logging
import os
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.array_source import ArraySource
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frame_files import FrameFiles, frame_files
from trackastra_engine.movie.frame_pairs import check_gaps, check_pairs
from trackastra_engine.movie.microscope_files import is_for_bioio, open_microscope_file
from trackastra_engine.movie.numpy_files import NUMPY_FILES, open_numpy
from trackastra_engine.movie.ome_zarr import is_in_zarr, open_omezarr
from trackastra_engine.movie.pictures import PICTURES
from trackastra_engine.movie.pixels import check_image_type, check_label_type, whole_labels
from trackastra_engine.movie.remote import remote_address
from trackastra_engine.movie.selection import EVERYTHING, Part, Selection
from trackastra_engine.movie.sources import FolderSource, StackSource
from trackastra_engine.movie.stored_array import StoredArray
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size

logger = logging.getLogger(__name__)

REMOTE = r"[a-zA-Z][a-zA-Z0-9+.-]+:/"  # ftp://, gs:// and similar

BYTES_AT_ONCE = 2**29  # limit for the pixels of all frames in threads

ArrayLike: TypeAlias = Any  # has shape, dtype and [index]: numpy, a memory map, zarr, dask
ArrayOrPath: TypeAlias = str | os.PathLike[str] | ArrayLike


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One time point of a movie."""

    index: int  # from 0
    image: NDArray[Any] | None  # ([Z,] Y, X), raw intensities
    labels: NDArray[np.integer[Any]]  # ([Z,] Y, X), 0 = background


class FrameSource(Protocol):
    """The T arrays of one kind, images or masks, from any source."""

    @property
    def name(self) -> str:
        """Return its name in messages."""

    @property
    def n_frames(self) -> int:
        """Return T."""

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Return the shape of a frame, ([Z,] Y, X)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the pixels of the first frame."""

    @property
    def calibration(self) -> Calibration:
        """Return the size of a voxel and the time between frames, if the files give them."""

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time."""

    def stamp(self, index: int) -> str | None:
        """Return a text that changes if the files of a frame change; None without files."""


@dataclass(frozen=True, slots=True, eq=False)
class Movie:
    """T frames; every iteration reads them again, one at a time."""

    masks: FrameSource
    images: FrameSource | None
    voxel_um: VoxelSize | None = None  # size of a voxel, if the files or the user give it
    frame_interval_s: float | None = None  # time between frames, if the files give it

    def __len__(self) -> int:
        """Return the number of frames."""
        return self.masks.n_frames

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Return the shape of a frame, ([Z,] Y, X)."""
        return self.masks.frame_shape

    @property
    def ndim(self) -> int:
        """Return the number of spatial axes, 2 or 3."""
        return len(self.frame_shape)

    def __iter__(self) -> Iterator[Frame]:
        return self.frames(range(len(self)))

    def frames(self, indices: Iterable[int]) -> Generator[Frame, None, None]:
        """Read some frames, one at a time.

        Raises InputError if a file is damaged, the shape of a frame differs from that of the first,
        or labels are negative or not integers.
        """
        chosen = list(indices)
        masks = self.masks.read(chosen)
        images = self.images.read(chosen) if self.images is not None else None
        for index, labels in zip(chosen, masks, strict=True):
            self._check("mask", index, labels, self.masks)
            check_label_type(labels.dtype, self.masks.name)
            labels = whole_labels(labels, f"the mask of frame {index} in {self.masks.name}")
            image = next(images) if images is not None else None
            if image is not None and self.images is not None:
                self._check("image", index, image, self.images)
            yield Frame(index, image, labels)

    def threads(self, most: int) -> int:
        """Return the number of threads, at least one, with a frame each in bounded memory."""
        sources = [source for source in (self.masks, self.images) if source is not None]
        frame_bytes = sum(source.dtype.itemsize for source in sources) * prod(self.frame_shape)
        return max(1, min(most, BYTES_AT_ONCE // max(1, frame_bytes)))

    def without_images(self) -> "Movie":
        """Return the movie of the masks only, whose frames are read in less time."""
        return replace(self, images=None)

    def first(self, n_frames: int) -> "Movie":
        """Return the movie of at most its first frames."""
        n_frames = min(n_frames, len(self))
        images = None if self.images is None else _shortened(self.images, n_frames)
        return replace(self, masks=_shortened(self.masks, n_frames), images=images)

    def _check(self, kind: str, index: int, array: NDArray[Any], source: FrameSource) -> None:
        if array.shape != self.frame_shape:
            raise InputError(
                f"the {kind} of frame {index} in {source.name} is {_size(array.shape)} but the "
                f"first frame is {_size(self.frame_shape)}; all frames must have the same shape"
            )


def open_movie(
    images: ArrayOrPath | None,
    masks: ArrayOrPath,
    *,
    selection: Selection = EVERYTHING,
    voxel_um: VoxelSize | None = None,
) -> Movie:
    """Return the movie of masks, and images if given, without reading all of it.

    Parameters
    ----------
    images, masks : path or (T, [Z,] Y, X) array
        A folder of files, a TIFF stack, an OME-Zarr (also at https:// or s3://), another file of
        engine/README.md, or an array of numpy, Zarr, Dask or xarray.
    selection : Selection
        Axes, channels, position and level, if the files contain more or do not name their axes.
    voxel_um : tuple of float, optional
        Size of a voxel along ([z,] y, x) in micrometres, instead of the size in the images or
        masks.

    Returns
    -------
    Movie

    Raises
    ------
    InputError
        If they do not make a movie.

    Examples
    --------
    >>> movie = open_movie(images, masks)
    >>> len(movie), movie.frame_shape
    (6, (40, 48))
    """
    mask_source = _open_source(masks, selection.of_masks(with_images=images is not None))
    check_label_type(mask_source.dtype, mask_source.name)
    image_source = None if images is None else _open_source(images, selection.of_images())
    if image_source is not None:
        if selection.allow_incomplete:
            image_source, mask_source = _of_same_length(image_source, mask_source)
        check_pairs(image_source, mask_source)
        _reject_images_as_masks(image_source, mask_source)
        _check_images(image_source, mask_source)
    for phrase in _missing(image_source, mask_source):
        logger.warning("%s; the frames on both sides are treated as neighbours", phrase)
    if mask_source.n_frames < 2:
        raise InputError(
            f"{mask_source.name} is a movie of one frame; tracking needs at least two: give a "
            f"folder with one TIFF per frame, or one stack (t, y, x) or (t, z, y, x), and name its "
            f"axes with {option('axes')} if the file names them wrongly"
        )
    if voxel_um is not None:
        check_voxel_size(voxel_um, len(mask_source.frame_shape))
    interval_s = None
    for source in (image_source, mask_source):
        if source is not None:
            voxel_um = voxel_um or source.calibration.voxel_um
            interval_s = interval_s or source.calibration.frame_interval_s
    return Movie(mask_source, image_source, voxel_um, interval_s)


def _open_source(source: ArrayOrPath, part: Part) -> FrameSource:
    if not isinstance(source, str | os.PathLike):
        if not (hasattr(source, "shape") and hasattr(source, "dtype")):
            raise InputError(
                f"the {part.kind} are of type {type(source).__name__}; expected a path or one "
                f"array (t, y, x) or (t, z, y, x): make one of a list of frames with numpy.stack"
            )
        return ArraySource.open(source, f"the array of the {part.kind}", part)
    if (address := remote_address(source)) is not None:
        return open_omezarr(address, part)
    if re.match(REMOTE, str(source)):
        raise InputError(
            f"the {part.kind} are at {re.sub(':/+', '://', str(source))}, which is not a path on "
            "this machine; copy or mount them, and give their path (or https:// or s3://)"
        )
    path = Path(source).expanduser()
    if is_in_zarr(path):
        return open_omezarr(path, part)
    suffix = path.suffix.lower()
    if suffix in NUMPY_FILES and path.exists():
        return open_numpy(path, part)
    if suffix in PICTURES and path.exists():
        return FolderSource.open(FrameFiles(path.parent, [path], (), []), part)
    if path.is_dir():
        return FolderSource.open(frame_files(path, part.kind, part.pattern), part)
    if not path.exists():
        raise InputError(
            f"the path of the {part.kind}, {path}, does not exist; "
            f"give a folder of TIFF files, one TIFF stack or an OME-Zarr"
        )
    if is_for_bioio(path):
        return open_microscope_file(path, part)
    return StackSource.open(path, part)


def _missing(*sources: FrameSource | None) -> Iterator[str]:
    """Yield phrases about missing frames in folders, once for each kind of numbers."""
    reported: set[str] = set()
    for source in sources:
        if isinstance(source, FolderSource) and source.missing and source.kind not in reported:
            reported.add(source.kind)
            yield f"{source.name}: {source.missing}"


def _of_same_length(images: FrameSource, masks: FrameSource) -> tuple[FrameSource, FrameSource]:
    """Return both, without the frames at the end that the other lacks."""
    n_frames = min(images.n_frames, masks.n_frames)
    if images.n_frames == masks.n_frames:
        return images, masks
    check_gaps(images, masks, n_frames)
    logger.warning(
        "%s has %d frames and %s %d; the first %d of both are used",
        *(images.name, images.n_frames, masks.name, masks.n_frames, n_frames),
    )
    return _shortened(images, n_frames), _shortened(masks, n_frames)


def _shortened(source: Any, n_frames: int) -> Any:
    """Return the first frames of a source; all sources are dataclasses."""
    return replace(source, n_frames=n_frames)


def _reject_images_as_masks(images: FrameSource, masks: FrameSource) -> None:
    """Raise InputError if both are the same pixels, such as one image of a Zarr store."""
    if isinstance(images, ArraySource) and isinstance(masks, ArraySource):
        is_stored = isinstance(masks.array, StoredArray)
        is_same = is_stored and images.name == masks.name and images.order == masks.order
    else:
        is_same = type(images) is type(masks) and images.stamp(0) == masks.stamp(0)
    if is_same:
        raise InputError(
            f"{masks.name} is given as images and as masks; give the path of the masks, "
            "and leave the images out if there are none"
        )


def _check_images(images: FrameSource, masks: FrameSource) -> None:
    """Raise InputError unless each mask has an image of equal shape and of real numbers."""
    if images.n_frames != masks.n_frames:
        hint = f", or {option('allow_incomplete')} to leave out unpaired frames at the end"
        raise InputError(
            f"there are {images.n_frames} images in {images.name} but {masks.n_frames} masks in "
            f"{masks.name}; give one mask for each image{hint}"
        )
    if images.frame_shape != masks.frame_shape:
        is_deeper = len(images.frame_shape) > len(masks.frame_shape)
        raise InputError(
            f"images in {images.name} are {_size(images.frame_shape)} but masks in {masks.name} "
            f"are {_size(masks.frame_shape)}; both must be ([z,] y, x) of the same size"
            + (
                f": choose a channel with {option('channel')} if the images have several"
                if is_deeper
                else ""
            )
        )
    check_image_type(images.dtype, images.name)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
