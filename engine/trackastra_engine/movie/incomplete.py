"""Acquisitions that stopped early: files that promise more frames than they hold."""

import logging

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.tiff import OpenTiff
from trackastra_engine.movie.tiff_damage import EXPORT_AGAIN

logger = logging.getLogger(__name__)


def n_complete(tiff: OpenTiff, planes: NDArray[np.intp], *, allow_incomplete: bool) -> int:
    """Return of how many frames, from the first on, a stack holds all planes (T, Z).

    Frames may be missing at the end, whole ones in any case, which is reported. Raises InputError
    if others are, as of files that were not copied to their end.
    """
    is_there = tiff.is_there[planes]
    if is_there.all():
        return len(planes)
    n_frames = int(np.argmin(is_there.all(axis=1)))
    is_at_end = not is_there[n_frames:].any() and not tiff.misses_files
    if n_frames == 0 or not (is_at_end or allow_incomplete):
        raise InputError(
            f"{tiff.path} is truncated or part of a set: {tiff.n_planes} planes are promised but "
            f"{np.count_nonzero(tiff.is_there)} are there; {EXPORT_AGAIN}"
            + (f", or give {option('allow_incomplete')} to take what is there" * (n_frames > 0))
        )
    logger.warning(
        "%s promises %d frames but holds %d, as if the acquisition had stopped early; the others "
        "are left out",
        tiff.path,
        len(planes),
        n_frames,
    )
    return n_frames
