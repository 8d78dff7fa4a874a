"""Write a lineage as a folder in the format of the Cell Tracking Challenge."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import check_output_folder, new_folder
from trackastra_engine.kernels.pixels import look_up
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.frames import Frame, Movie
from trackastra_engine.prefetch import computed_ahead, computed_side_by_side
from trackastra_engine.progress import Progress, no_progress

logger = logging.getLogger(__name__)

MAX_UINT16 = 65_535
MAX_FRAMES_OF_3_DIGITS = 1000  # mask999.tif is the last of three digits
# Labels up to this many times the pixels of a frame are mapped by an array of all labels.
MAX_LOOKUP_PER_PIXEL = 4
DEFLATE_LEVEL = 6


@dataclass(frozen=True, slots=True)
class CtcNames:
    """The names of the files of a folder."""

    mask: str  # start of the name, before the number of the frame
    table: str
    digits: int  # smallest number of digits


CHALLENGE = CtcNames("mask", "res_track.txt", 3)
CHALLENGE_FILES = ("mask*.tif", "res_track.txt")
UPSTREAM = CtcNames("man_track", "man_track.txt", 4)  # as its `graph_to_ctc`: the names of a truth


def write_ctc(
    lineage: Lineage,
    movie: Movie,
    folder: str | Path,
    *,
    names: CtcNames = CHALLENGE,
    overwrite: bool = False,
    threads: int = 1,
    progress: Progress = no_progress,
) -> None:
    """Write masks labelled by tracklet, and a table with a line L B E P per tracklet.

    The masks are read again, frame by frame, and written by some threads; the folder appears
    when it is complete. Raises InputError if the folder cannot be written, or the masks have
    changed since they were tracked.
    """
    folder = Path(folder)
    check_output_folder(folder, overwrite=overwrite, ours=CHALLENGE_FILES)
    with new_folder(folder) as partial:
        masks = partial / names.mask, 4 if len(movie) > MAX_FRAMES_OF_3_DIGITS else names.digits
        _write_masks(lineage, movie.without_images(), _MaskFiles(*masks), threads, progress)
        np.savetxt(partial / names.table, lineage.tracklets, fmt="%d")


@dataclass(frozen=True, slots=True)
class _MaskFiles:
    """Files of masks, one for each frame."""

    start: Path  # of their paths
    digits: int  # of the number of the frame

    def write(self, frame: int, mask: NDArray[Any]) -> None:
        """Write the mask of a frame."""
        import tifffile  # 0.2 s with numpy: only when masks are written

        tifffile.imwrite(
            f"{self.start}{frame:0{self.digits}}.tif",
            mask,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": DEFLATE_LEVEL},
            metadata=None,
        )


def _write_masks(
    lineage: Lineage, movie: Movie, files: _MaskFiles, threads: int, progress: Progress
) -> None:
    dtype = _mask_type(len(lineage.tracklets))

    def write(frame: Frame) -> None:
        files.write(frame.index, relabel(frame, lineage, dtype))

    with (
        computed_ahead(movie.frames(range(len(movie)))) as frames,
        computed_side_by_side(write, frames, movie.threads(threads)) as written,
    ):
        for index, _ in enumerate(written):
            progress("write", index + 1, len(movie))


def relabel(frame: Frame, lineage: Lineage, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the mask of a frame, ([Z,] Y, X), with tracklet ids for labels.

    Detections that were left out become background. Raises InputError if the frame contains a
    label that none of its detections has.
    """
    first, last = np.searchsorted(lineage.detections.frame, [frame.index, frame.index + 1])
    known = lineage.detections.label[first:last]
    ids = lineage.tracklet_id[first:last].astype(dtype)
    largest = _largest(frame.labels)
    if largest <= MAX_LOOKUP_PER_PIXEL * frame.labels.size:
        table = np.zeros(max(largest, _largest(known)) + 1, dtype)
        table[known] = ids
        relabelled = np.empty(frame.labels.shape, dtype)
        native = frame.labels.astype(frame.labels.dtype.newbyteorder("="), order="C", copy=False)
        labels = native.view(f"u{native.itemsize}")  # none is negative
        n_without = look_up(labels.ravel(), table, relabelled.ravel())
    else:
        # TrackMate's labels are unique over the movie, and some programs write hashes.
        labels = frame.labels.astype(np.int64)  # uint64 would be compared as floats
        known, ids = np.append(known, np.int64(0)), np.append(ids, dtype.type(0))
        position = np.searchsorted(known[:-1], labels)  # the added last one is the background
        relabelled = np.where(known[position] == labels, ids[position], dtype.type(0))
        n_without = np.count_nonzero(labels) - np.count_nonzero(relabelled)
    left_out = lineage.left_out.label[lineage.left_out.frame == frame.index]
    n_left_out = np.isin(frame.labels, left_out).sum() if len(left_out) else 0
    if n_without != n_left_out:
        raise InputError(
            f"the mask of frame {frame.index} has changed since it was tracked; track it again"
        )
    return relabelled


def _largest(labels: NDArray[Any]) -> int:
    return int(labels.max()) if labels.size else 0


def _mask_type(n_tracklets: int) -> np.dtype[Any]:
    if n_tracklets <= MAX_UINT16:
        return np.dtype(np.uint16)
    logger.warning(
        "%d tracklets do not fit into the 16 bits of the Cell Tracking Challenge; "
        "the masks are written with 32",
        n_tracklets,
    )
    return np.dtype(np.uint32)
