"""Acquisitions that stopped early: files that announce more frames than they contain."""

import logging

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.tiff import OpenTiff
from trackastra_engine.movie.tiff_damage import EXPORT_AGAIN

logger = logging.getLogger(__name__)


def n_complete(tiff: OpenTiff, planes: NDArray[np.intp], *, allow_incomplete: bool) -> int:
    """Return the number of complete frames at the start of a stack.

    planes: (T, Z), indices of the planes of each frame.

    Whole frames may be missing at the end, and with `allow_incomplete` any frames after a complete
    one; a warning reports them. Raises InputError for other missing planes, as in a partial copy.
    """
    is_there = tiff.is_there[planes]
    if is_there.all():
        return len(planes)
    n_frames = int(np.argmin(is_there.all(axis=1)))
    is_at_end = not is_there[n_frames:].any() and not tiff.misses_files
    if n_frames == 0 or not (is_at_end or allow_incomplete):
        raise InputError(
            f"{tiff.path} is truncated or part of a set: it announces {tiff.n_planes} planes but "
            f"contains {np.count_nonzero(tiff.is_there)}; {EXPORT_AGAIN}"
            + (f", or give {option('allow_incomplete')} to use complete frames" * (n_frames > 0))
        )
    logger.warning(
        "%s announces %d frames but contains %d, as if the acquisition had stopped early; the "
        "others are left out",
        tiff.path,
        len(planes),
        n_frames,
    )
    return n_frames
