"""What the pixels of a chunk say: its detections, and its intensities where they matter."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.errors import InputError
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.frames import Frame, Movie
from trackastra_engine.prefetch import computed_side_by_side


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured of some frames."""

    detections: Detections
    intensities: IntensityHistogram  # of all pixels, but empty for models that need no range


def needs_range(spec: ModelSpec, movie: Movie) -> bool:
    """Return whether the first window can be scored only when all frames were seen."""
    return spec.normalisation == "movie" and movie.images is not None


def measure(
    frames: Iterable[Frame], ndim: int, *, needs_range: bool, threads: int = 1
) -> Generator[Detections, None, Measured]:
    """Yield the detections of each frame, and return all that was measured.

    threads: measure so many frames at a time. Raises InputError if an object has pixels that are
    no numbers.
    """
    found, intensities = [], IntensityHistogram()

    def measured(frame: Frame) -> tuple[Frame, Detections]:
        return frame, detect(frame, ndim)

    with computed_side_by_side(measured, frames, threads) as results:
        for frame, detections in results:
            if frame.image is not None and not np.isfinite(detections.features).all():
                raise InputError(
                    f"the image of frame {frame.index} holds pixels inside objects that are not "
                    "finite numbers; replace NaN and infinity, by the background for example"
                )
            if frame.image is not None and needs_range:
                intensities.add(frame.image)
            found.append(detections)
            yield detections
    return Measured(concatenate(found, ndim), intensities)
