"""On a CUDA GPU, the engine scores and links as on the CPU; skipped where there is none."""

import shutil

import numpy as np
import onnxruntime
import pytest

from golden_cases import CASES, model_folder, recorded_windows
from trackastra_engine import Tracker
from trackastra_engine.model import AssociationModel, embedded_models
from trackastra_engine.simulation import SimulationParameters, simulate
from trackastra_engine.tokens import Tokens
from trackastra_export.export import score_matrix, verification_windows
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec

SCORE_TOLERANCE = 1e-4  # float32 on both sides, in other orders
HAS_GPU = (
    shutil.which("nvidia-smi") is not None
    and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
)

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not HAS_GPU, reason="needs a CUDA GPU and onnxruntime-gpu"),
]


def check_scores(path, windows):
    on_cpu, on_gpu = (AssociationModel.load(path, device=name) for name in ("cpu", "cuda"))
    for tokens in windows:
        expected, found = (score_matrix(engine, tokens) for engine in (on_cpu, on_gpu))
        np.testing.assert_allclose(found, expected, rtol=0, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("name", CASES)
def test_recorded_windows_score_as_on_the_cpu(name, tmp_path):
    folder = model_folder(name)
    graph = build_graph(load_model(folder), load_spec(folder))
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    windows = [
        Tokens(window.coordinates.astype(np.float32), window.features.astype(np.float32))
        for window in recorded_windows(name)
    ]
    check_scores(tmp_path / "model.onnx", windows)


@pytest.mark.parametrize("name", embedded_models())
def test_embedded_models_score_as_on_the_cpu(name):
    check_scores(name, verification_windows(AssociationModel.load(name, device="cpu").spec))


def test_movies_are_linked_as_on_the_cpu():
    detections = simulate(SimulationParameters(n_frames=12, n_cells=150), seed=0).detections
    on_cpu, on_gpu = (
        Tracker.load(device=name).track_detections(detections).edges for name in ("cpu", "cuda")
    )
    np.testing.assert_array_equal(on_gpu.source, on_cpu.source)
    np.testing.assert_array_equal(on_gpu.target, on_cpu.target)
