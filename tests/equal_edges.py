"""Edges that are equal to the last bit."""

import numpy as np


def assert_equal_edges(found, expected):
    for field in ("source", "target", "score"):
        np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))
