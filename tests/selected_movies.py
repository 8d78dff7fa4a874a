"""A movie of two channels, and the result of a selection: pixels or stamps."""

import numpy as np

from small_movies import dividing_cell
from trackastra_engine import Selection
from trackastra_engine.movie.frames import open_movie

IMAGES, MASKS = dividing_cell(5)
TWO = np.stack([IMAGES, IMAGES[::-1]], axis=1)  # (t, c, y, x)


def images_of(*sources, **selection):
    movie = open_movie(*sources, selection=Selection(**selection))
    return np.array([frame.image for frame in movie])


def masks_of(*sources, **selection):
    movie = open_movie(*sources, selection=Selection(**selection))
    return np.array([frame.labels for frame in movie])


def stamps_of(source, **selection):
    """Return the stamps of all frames, by which a cache recognises them."""
    movie = open_movie(None, source, selection=Selection(**selection))
    return [movie.masks.stamp(index) for index in range(len(movie))]
