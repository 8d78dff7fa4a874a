"""How is the time of one run divided: by operator, by provider, and copies between them?"""

import json
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.random_network import SPEC
from trackastra_engine.model.model_file import computed_at_once
from trackastra_engine.model.onnx_model import (
    PROVIDER_OPTIONS,
    PROVIDERS,
    AssociationModel,
    session_options,
)
from trackastra_engine.model.tokens import Tokens

N_WARM = 3  # runs before the measured one
N_KERNELS = 20  # in the result, the longest first


def profile(path: Path, window: dict[str, NDArray[np.float32]], device: str) -> dict[str, Any]:
    """Return the times of one run of a window, in milliseconds.

    `nodes`: by provider and operator, count and time; on CUDA it is the time of the CPU to start
    them, and Memcpy... are copies between the devices. `kernels`: the kernels on the GPU, if this
    build of ONNX Runtime reports them.
    """
    options = session_options(onnxruntime, device)
    options.enable_profiling = True
    names = ["cuda", "cpu"] if device == "cuda" else ["cpu"]
    with TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "run")
        session = onnxruntime.InferenceSession(
            computed_at_once(path.read_bytes()) if device == "cuda" else str(path),
            options,
            providers=[(PROVIDERS[name], PROVIDER_OPTIONS[name]) for name in names],
        )
        engine = AssociationModel(session, SPEC, path)
        for _ in range(N_WARM + 1):
            engine.associate(Tokens(window["coordinates"], window["features"]))
        events = json.loads(Path(session.end_profiling()).read_text())
    return summary(events)


def summary(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the last run of the events of a profile."""
    last = max((e for e in events if e["name"] == "model_run"), key=lambda event: event["ts"])
    own = [e for e in events if last["ts"] <= e["ts"] < last["ts"] + last["dur"]]
    spent: Counter[tuple[str, str]] = Counter()
    count: Counter[tuple[str, str]] = Counter()
    kernels: Counter[str] = Counter()
    for event in own:
        if event["cat"] == "Kernel":
            kernels[event["name"]] += event["dur"]
        elif event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            key = event["args"]["provider"], event["args"]["op_name"]
            spent[key] += event["dur"]
            count[key] += 1
    return {
        "run_ms": last["dur"] / 1e3,
        "nodes": [
            {"provider": key[0], "operator": key[1], "count": count[key], "ms": time / 1e3}
            for key, time in spent.most_common()
        ],
        "kernels": [
            {"name": name, "ms": time / 1e3} for name, time in kernels.most_common(N_KERNELS)
        ],
    }
