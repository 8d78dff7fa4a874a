"""Limits of the speed of any program on this machine: memory bandwidth and matrix products."""

import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from trackastra_engine.model.onnx_model import import_runtime, session_options
from trackastra_engine.resources import n_usable_cores, usable_threads

COPIED_BYTES = 128 * 2**20  # larger than caches
MATRIX_SIZE = 1024
PRODUCT = "product.onnx"  # the graph c = a b of float32 matrices; tests/test_bench.py writes it
REPEATS = 5


@dataclass(frozen=True, slots=True)
class Machine:
    """The processor and its limits, as NumPy and ONNX Runtime reach them."""

    processor: str
    cores: int  # that this process may use
    memory_gb_s: float  # read and written by a copy of a large array
    product_gflop_s: float  # of float32 matrices


def measure_machine() -> Machine:
    """Return the limits of this machine, in half a second."""
    source = np.ones(COPIED_BYTES, np.uint8)
    target = np.empty_like(source)
    copy_s = _least_seconds(lambda: np.copyto(target, source))
    return Machine(
        processor=_processor(),
        cores=n_usable_cores(),
        memory_gb_s=2 * COPIED_BYTES / copy_s / 1e9,
        product_gflop_s=product_rate() / 1e9,
    )


def product_rate(threads: int | None = None) -> float:
    """Return the operations per second of a product of matrices.

    By ONNX Runtime, which on some processors is twice as fast as NumPy or PyTorch. threads: by
    default all usable ones.
    """
    runtime, graph = import_runtime(), files(__package__).joinpath(PRODUCT).read_bytes()
    options = session_options(runtime, "cpu", usable_threads() if threads is None else threads)
    session = runtime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    matrix = np.ones((MATRIX_SIZE, MATRIX_SIZE), np.float32)
    seconds = _least_seconds(lambda: session.run(None, {"a": matrix, "b": matrix}))
    return 2 * MATRIX_SIZE**3 / seconds


def _least_seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return min(times)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
