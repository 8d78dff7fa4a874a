"""Convert the pixels of users and programs to plain arrays, and labels to integers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError

MAX_LABEL = 2**63 - 1  # labels are stored as int64


def unmasked(pixels: Any, kind: str) -> NDArray[Any]:
    """Return pixels as a plain array; kind: images or masks.

    Masked pixels are background in masks, and NaN in images; no object may contain any.
    """
    if not isinstance(pixels, np.ma.MaskedArray):
        return np.asarray(pixels)
    if kind == "masks":
        return np.asarray(pixels.filled(0))
    if not np.ma.is_masked(pixels):
        return np.asarray(pixels.data)
    real = np.array(pixels.data, pixels.dtype if pixels.dtype.kind == "f" else np.float64)
    real[np.ma.getmaskarray(pixels)] = np.nan
    return real


def check_label_type(dtype: np.dtype[Any], name: str) -> None:
    """Raise InputError if pixels of this type cannot be labels."""
    if dtype.kind not in "uif":
        raise InputError(
            f"masks in {name} are of type {dtype}; expected integers, 0 for the background and "
            f"a number for each object: save the labels of the segmentation as uint16 or uint32"
        )


def check_image_type(dtype: np.dtype[Any], name: str) -> None:
    """Raise InputError if pixels of this type cannot be intensities."""
    if dtype.kind not in "buif":
        raise InputError(
            f"images in {name} are of type {dtype}; expected real numbers, such as uint8, uint16 "
            "or float32"
        )


def whole_labels(labels: NDArray[Any], place: str) -> NDArray[np.integer[Any]]:
    """Return labels as integers, even if a program saved them as floats.

    place: of the mask, for messages. Raises InputError if a label is negative, too large or not a
    whole number.
    """
    if labels.dtype.kind == "f":
        return _integers(labels, place)
    if labels.dtype == np.uint64 and labels.size and (largest := int(labels.max())) > MAX_LABEL:
        raise InputError(
            f"{place} contains the label {largest}; labels must be below 2^63: renumber the objects"
        )
    if labels.dtype.kind == "i" and labels.size and (lowest := int(labels.min())) < 0:
        raise InputError(
            f"{place} contains the negative label {lowest}; expected 0 for the background and "
            "positive numbers for objects: relabel or remove it"
        )
    return labels


def _integers(labels: NDArray[Any], place: str) -> NDArray[np.integer[Any]]:
    if labels.size == 0:
        return labels.astype(np.uint32)
    lowest, largest = float(labels.min()), float(labels.max())  # NaN if the labels contain one
    most = 2 ** (np.finfo(labels.dtype).nmant + 1)  # floats skip whole numbers beyond it
    if not lowest >= 0 or not largest < most:
        wrong = labels[~((labels >= 0) & (labels < most))].flat[0]
        raise InputError(
            f"{place} is of type {labels.dtype} and contains {wrong:g}; expected whole numbers "
            f"from 0 to {most - 1}: save the labels of the segmentation as uint16 or uint32"
        )
    whole: NDArray[np.integer[Any]] = labels.astype(np.uint32 if largest < 2**32 else np.int64)
    if not np.array_equal(whole, labels):
        wrong = labels[whole != labels].flat[0]
        raise InputError(
            f"{place} is of type {labels.dtype} and contains {wrong:g}, which is no label; "
            "expected whole numbers, 0 for the background: give the labels of the segmentation, "
            "not an image or probabilities"
        )
    return whole
