"""How fast can a device be at best: rates of its products and of its memory?"""

import time

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from benchmarks.random_network import CUTOFF_PX, WIDTH, published_size
from benchmarks.transformer import operations
from trackastra_engine.model.attention_plan import plan_attention
from trackastra_engine.model.devices import PROVIDER_OPTIONS, PROVIDERS

SIDE = {"cpu": 256, "cuda": 8192}  # of the matrices
N_NUMBERS = {"cpu": 2**22, "cuda": 2**28}  # in the vectors
REPEATS = 10
BYTES = 4  # of a float32


def device_rates(device: str) -> dict[str, float]:
    """Return products in operations/s, of float16 and of float32, and bytes/s of additions."""
    side, n_numbers = SIDE[device], N_NUMBERS[device]
    rates = {
        f"{name}_operations_per_s": 2 * side**3 / _seconds("MatMul", (side, side), kind, device)
        for name, kind in (("float16", np.float16), ("float32", np.float32))
    }
    seconds = _seconds("Add", (n_numbers,), np.float32, device)
    return {**rates, "bytes_per_s": 3 * BYTES * n_numbers / seconds}


def bound(coordinates: NDArray[np.float32], rates: dict[str, float]) -> dict[str, float]:
    """Return the least milliseconds of a window, for its products and its memory.

    All products count as float16. Memory is the traffic of attention in blocks: each layer writes
    and reads the keys and values of each block, and reads its mask.
    """
    plan, network = plan_attention(coordinates, CUTOFF_PX, filled=True), published_size().config
    moved = 0
    for n_layers, keys, n_queries in (
        (network.num_encoder_layers, plan.encoder_keys, len(plan.token)),
        (network.num_decoder_layers, plan.decoder_keys, len(plan.target)),
    ):
        of_keys, of_mask = 4 * WIDTH * keys.size, n_queries * keys.shape[1]
        moved += n_layers * BYTES * (of_keys + of_mask)
    return {
        "products_ms": round(1e3 * operations(coordinates) / rates["float16_operations_per_s"], 4),
        "memory_ms": round(1e3 * moved / rates["bytes_per_s"], 4),
    }


def _seconds(kind: str, shape: tuple[int, ...], dtype: type, device: str) -> float:
    """Return the least time of an operator with two arrays on the device."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    names = ["a", "b", "c"]
    values = [helper.make_tensor_value_info(name, element, shape) for name in names]
    graph = helper.make_graph(
        [helper.make_node(kind, ["a", "b"], ["c"])], kind, values[:2], values[2:]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=[(PROVIDERS[device], PROVIDER_OPTIONS[device])]
    )
    binding = session.io_binding()
    ones = onnxruntime.OrtValue.ortvalue_from_numpy(np.ones(shape, dtype), device)
    for name in names[:2]:
        binding.bind_ortvalue_input(name, ones)
    result = onnxruntime.OrtValue.ortvalue_from_shape_and_type(shape, dtype, device)
    binding.bind_ortvalue_output("c", result)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        times.append(time.perf_counter() - start)
    return min(times)
