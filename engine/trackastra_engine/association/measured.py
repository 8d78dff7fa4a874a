"""Measure the pixels of a chunk: its detections, and its intensities if the model needs them."""

from collections.abc import Generator, Iterable
from dataclasses import dataclass

from trackastra_engine.detection.detections import (
    Detections,
    check_intensities,
    concatenate,
    detect,
)
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.frames import Frame, Movie
from trackastra_engine.prefetch import computed_side_by_side


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The measurements of some frames."""

    detections: Detections
    intensities: IntensityHistogram  # of all pixels; empty for models that need no range


def needs_range(spec: ModelSpec, movie: Movie) -> bool:
    """Return whether windows can be scored only after all frames were measured."""
    return spec.normalisation == "movie" and movie.images is not None


def measure(
    frames: Iterable[Frame], ndim: int, *, needs_range: bool, threads: int = 1
) -> Generator[Detections, None, Measured]:
    """Yield the detections of each frame, and return all measurements.

    threads: number of frames measured at a time. Raises InputError if pixels of an object are not
    finite.
    """
    found, intensities = [], IntensityHistogram()

    def measured(frame: Frame) -> tuple[Frame, Detections]:
        return frame, detect(frame, ndim)

    with computed_side_by_side(measured, frames, threads) as results:
        for frame, detections in results:
            if frame.image is not None:
                check_intensities(detections, f"the image of frame {frame.index}")
                if needs_range:
                    intensities.add(frame.image)
            found.append(detections)
            yield detections
    return Measured(concatenate(found, ndim), intensities)
