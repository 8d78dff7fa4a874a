"""The dividing cell, and the pixels or the error message of an opened movie."""

import numpy as np
import pytest

from small_movies import dividing_cell
from trackastra_engine.errors import InputError
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

IMAGES, MASKS = dividing_cell()


def labels_of(masks, images=None, **selection):
    movie = open_movie(images, masks, selection=Selection(**selection))
    return np.stack([frame.labels for frame in movie])


def error_of(images, masks, **selection):
    """Return the error message of a movie when it is opened or read."""
    with pytest.raises(InputError) as caught:
        list(open_movie(images, masks, selection=Selection(**selection)))
    assert "\n" not in str(caught.value)
    return str(caught.value)
