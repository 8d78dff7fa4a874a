"""Every Numba loop of the engine: arrays in, filled arrays out; slow twins are in the tests.

No fastmath, so that results match the twins. `nogil`, so that stages can overlap in threads.
"""

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop once for each combination of types, and keep it on disk."""
    compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    return compiled
