"""Seeded movies: simulated ones with images, and masks of any length, drawn when they are read."""

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.simulation import Division, Motion, Shape, SimulationParameters, render

SPACING_DIAMETERS = 1.85  # distance of nuclei: between dense and sparse
CYCLE_FRAMES = 50.0
MOTION = Motion(flow=0.12, diffusion=0.04, persistent=0.08, persistence=0.8)
# Shape of swinging cells, in distances of grid points: they neither touch nor leave the image.
SCATTER, SWING, RADIUS = 0.1, 0.1, 0.25
PERIODS_FRAMES = (6.0, 12.0)


def simulated_movie(
    n_cells: int, shape: tuple[int, int], n_frames: int, *, seed: int = 0
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Return images and masks (T, Y, X) of nuclei that stream, divide and die; about `n_cells`."""
    side = max(shape)
    n_in_square = round(n_cells * side**2 / (shape[0] * shape[1]))
    # A field of view fits its cells: 0.8 spacings squared per cell (simulation/cells.py).
    diameter_px = 0.8 * side / np.sqrt(n_in_square) / SPACING_DIAMETERS
    parameters = SimulationParameters(
        n_frames=n_frames,
        n_cells=n_in_square,
        spacing=SPACING_DIAMETERS,
        motion=MOTION,
        shape=Shape(diameter_px=diameter_px),
        # Births and deaths are equally frequent.
        division=Division(cycle_frames=CYCLE_FRAMES, death_probability=np.log(2) / CYCLE_FRAMES),
    )
    movie = render(parameters, seed)
    view = (slice(None), slice(shape[0]), slice(shape[1]))
    return movie.images[view], movie.masks[view]


class SwingingCells:
    """Masks (T, Y, X) of round cells that swing around points of a grid; T costs no memory."""

    dtype = np.dtype(np.uint16)

    def __init__(self, n_frames: int, n_cells: int, side_px: int, *, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.shape = (n_frames, side_px, side_px)
        n_rows = int(np.ceil(np.sqrt(n_cells)))
        distance = side_px / n_rows
        grid = np.stack(np.divmod(rng.permutation(n_rows**2)[:n_cells], n_rows), axis=1) + 0.5
        self._place = (grid + rng.uniform(-SCATTER, SCATTER, grid.shape)) * distance
        self._swing = SWING * distance
        self._phase = rng.uniform(0, 2 * np.pi, grid.shape)
        self._speed = 2 * np.pi / rng.uniform(*PERIODS_FRAMES, grid.shape)
        radius = RADIUS * distance
        y, x = np.mgrid[-int(radius) : int(radius) + 1, -int(radius) : int(radius) + 1]
        is_inside = y**2 + x**2 <= radius**2
        self._disc = (y * side_px + x)[is_inside]  # from the middle to each pixel, in a flat image

    def __len__(self) -> int:
        """Return T."""
        return self.shape[0]

    def __getitem__(self, frame: int) -> NDArray[np.uint16]:
        """Draw one frame (Y, X)."""
        centre = np.round(self._place + self._swing * np.sin(self._phase + self._speed * frame))
        middle = centre.astype(int) @ [self.shape[2], 1]
        masks = np.zeros(self.shape[1] * self.shape[2], self.dtype)
        masks[middle[:, None] + self._disc] = np.arange(1, len(middle) + 1)[:, None]
        return masks.reshape(self.shape[1:])


def images_of(masks: NDArray[np.uint16], *, seed: int = 0) -> NDArray[np.uint16]:
    """Return an image (Y, X) of one mask: bright cells and noise."""
    noise = np.random.default_rng(seed).integers(0, 200, masks.shape, np.uint16)
    return np.where(masks > 0, np.uint16(1000), np.uint16(300)) + noise


def cells_per_frame(masks: NDArray[np.uint16]) -> int:
    """Return the mean number of cells in masks (T, Y, X)."""
    return round(float(np.mean([len(np.unique(frame)) - 1 for frame in masks])))
