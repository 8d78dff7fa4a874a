"""Scores one window each time it is asked to, and says what that took: ours and upstream's.

Run as `python window_workers.py {engine MODEL.onnx | upstream MODEL_FOLDER} WINDOW.npz OUT.npy`.
Each line on the standard input is a request, each answered by a line of JSON; at the end of the
input the scores (N, N) go to OUT.npy, unless N is large. Only `upstream` imports `trackastra`,
from whatever environment this file runs in; nothing else of this project is imported there.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

MAX_COMPARED = 5000  # tokens up to which scores are written


def engine_window(model: str, window: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Return a function that scores the window as the engine does, on one thread."""
    import onnxruntime

    from trackastra_engine.model import AssociationModel, session_options
    from trackastra_engine.spec import METADATA_KEY, ModelSpec
    from trackastra_engine.tokens import Tokens

    options = session_options(onnxruntime)
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    spec = ModelSpec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    engine = AssociationModel(session, spec, Path(model))
    tokens = Tokens(window["coordinates"], window["features"])
    few = Tokens(tokens.coordinates[::50], tokens.features[::50])
    engine.associate(few)  # compiles the kernels, or reads them from their cache

    def score() -> np.ndarray:
        edges = engine.associate(tokens)
        return np.column_stack([edges.source, edges.target, edges.score])

    return score


def upstream_window(model: str, window: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """Return a function that scores the window as upstream's `predict` does, on one thread."""
    import torch
    from trackastra.model.model import TrackingTransformer
    from trackastra.model.predict import predict

    torch.set_num_threads(1)
    network = TrackingTransformer.from_folder(model, map_location="cpu").eval()
    coordinates, features = map(torch.from_numpy, (window["coordinates"], window["features"]))
    batch = [{"timepoints": coordinates[:, 0], "coords": coordinates[:, 1:], "features": features}]
    return lambda: predict(batch, network)[0]


def as_matrix(scores: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return the scores (N, N) between neighbouring frames of either's result."""
    n_tokens = len(frame)
    if scores.shape == (n_tokens, n_tokens):
        return np.where(frame[None, :] - frame[:, None] == 1, scores, 0)
    matrix = np.zeros((n_tokens, n_tokens), np.float32)
    matrix[scores[:, 0].astype(int), scores[:, 1].astype(int)] = scores[:, 2]
    return matrix


def peak_mb() -> float:
    """Return the largest resident memory so far; Linux only.

    `ru_maxrss` would start at the memory of the process that started this one.
    """
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def main(kind: str, model: str, window_path: str, result_path: str) -> None:
    """Answer requests until the input ends."""
    window = dict(np.load(window_path))
    score = {"engine": engine_window, "upstream": upstream_window}[kind](model, window)
    loaded = peak_mb()
    result = np.empty((0, 3))
    for _ in sys.stdin:
        start = time.process_time()
        result = score()
        cpu_s = time.process_time() - start
        answer = {"cpu_s": cpu_s, "loaded_mb": loaded, "peak_mb": peak_mb()}
        print(json.dumps(answer), flush=True)
    if len(window["features"]) <= MAX_COMPARED:
        np.save(result_path, as_matrix(result, window["coordinates"][:, 0]))


if __name__ == "__main__":
    main(*sys.argv[1:])
