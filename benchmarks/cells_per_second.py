"""Speed in the two units that people compare: frames and cells per second."""


def per_second(cells: float, frames: int, seconds: float) -> str:
    """Return how many frames of so many cells, and how many cells, are done in a second."""
    frames_per_s = frames / seconds
    digits = 1 if frames_per_s < 100 else 0
    return f"{frames_per_s:,.{digits}f} frames/s, {frames_per_s * cells:,.0f} cells/s"
