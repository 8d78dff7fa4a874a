"""The intensity range of a movie, from counts frame by frame in constant memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.kernels.pixels import count_values

LOW_PERCENT, HIGH_PERCENT = 1.0, 99.8  # upstream's `normalize` (utils.py)
SUBSAMPLE = 4  # every 4th row and column count if both sides exceed 64 times this
N_COARSE_BITS = 20  # of a float32's 32: bins are at most 2^-11 of the value wide


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """The raw intensities of a movie that `upstream` tokens map to 0 and 1."""

    low: float
    high: float


class IntensityHistogram:
    """Counts of the pixel values of a movie, for the percentiles that models need.

    Exact for 8- and 16-bit images: equal to numpy's percentile of the whole movie. Other images
    are counted in bins of 0.05 % of the value, since exact counts would not fit in memory.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] | None = None
        self._dtype: np.dtype[Any] | None = None

    def add(self, image: NDArray[Any]) -> None:
        """Count the pixels of one frame ([Z,] Y, X).

        Raises InputError if the pixel type differs from that of earlier frames.
        """
        counts = self._counts_of(image.dtype)
        if all(side > 64 * SUBSAMPLE for side in image.shape[-2:]):
            image = image[..., ::SUBSAMPLE, ::SUBSAMPLE]
        bins = self._bins(image.ravel())
        count_values(bins.astype(bins.dtype.newbyteorder("="), copy=False), counts)

    def merge(self, other: "IntensityHistogram") -> None:
        """Add the counts of other frames of the movie.

        Raises InputError if their pixel type differs.
        """
        if other._dtype is not None and other._counts is not None:
            counts = self._counts_of(other._dtype)
            counts += other._counts

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays, with one entry per different value."""
        if self._counts is None:
            return {}
        bins = np.flatnonzero(self._counts)
        return {"none": np.empty(0, self._dtype), "bins": bins, "counts": self._counts[bins]}

    @classmethod
    def restored(cls, state: Mapping[str, NDArray[Any]]) -> "IntensityHistogram":
        """Return the histogram with this state."""
        histogram = cls()
        if state:
            histogram._counts_of(state["none"].dtype)[state["bins"]] = state["counts"]
        return histogram

    def _counts_of(self, dtype: np.dtype[Any]) -> NDArray[np.int64]:
        """Return the counts by bin; raises InputError if they are of another pixel type."""
        if self._counts is None:
            self._dtype = dtype
            self._counts = np.zeros(2**16 if self._is_exact else 2**N_COARSE_BITS, np.int64)
        elif dtype != self._dtype:
            raise InputError(
                f"a frame has pixels of type {dtype} after frames of type {self._dtype}; "
                "save the whole movie with one type"
            )
        return self._counts

    @property
    def _is_exact(self) -> bool:
        assert self._dtype is not None
        return self._dtype.kind in "iub" and self._dtype.itemsize <= 2

    def _bins(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if self._is_exact:
            return pixels.astype(np.int32) + 2**15 if pixels.dtype.kind == "i" else pixels
        bits = pixels.astype(np.float32).view(np.uint32)
        ordered = np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))  # sorts as the floats do
        return ordered >> np.uint32(32 - N_COARSE_BITS)

    def _values(self, bins: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the pixel value of each bin (its lower end if it holds several)."""
        assert self._dtype is not None
        if self._is_exact:
            return (bins - (2**15 if self._dtype.kind == "i" else 0)).astype(float)
        ordered = (bins << (32 - N_COARSE_BITS)).astype(np.uint32)
        bits = np.where(ordered >> 31, ordered & np.uint32(2**31 - 1), ~ordered)
        return bits.astype(np.uint32).view(np.float32).astype(float)

    def range(self) -> IntensityRange | None:
        """Return the 1 and 99.8 percentiles, or None if no image was added."""
        if self._counts is None:
            return None
        cumulative = np.cumsum(self._counts)
        position = np.array([LOW_PERCENT, HIGH_PERCENT]) / 100 * (cumulative[-1] - 1)
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, cumulative[-1] - 1)
        a = self._values(np.searchsorted(cumulative, below, side="right"))
        b = self._values(np.searchsorted(cumulative, above, side="right"))
        low, high = (a + (b - a) * (position - below)).astype(np.float32)
        return IntensityRange(float(low), float(high))
