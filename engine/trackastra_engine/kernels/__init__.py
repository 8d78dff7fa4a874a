"""Every Numba loop of the engine: arrays in, filled arrays out; slow twins are in the tests.

No fastmath, so that results match the twins. `nogil`, so that stages can overlap in threads.
`compiled_code.py` stores the compiled loops on disk.
"""

from collections.abc import Callable
from typing import Any

import numba

from trackastra_engine.kernels.compiled_code import CompiledCode


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop once for each combination of types, and store it on disk if possible."""
    compiled: Any = numba.njit(nogil=True)(function)
    # Not `cache=True`, with which Numba raises if it cannot write.
    compiled._cache = CompiledCode(function)
    return compiled  # type: ignore[no-any-return]
