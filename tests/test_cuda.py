"""On a GPU, the engine scores and links as on the CPU; skipped for missing devices."""

import shutil

import numpy as np
import onnxruntime
import pytest

from golden_cases import CASES, model_folder, recorded_windows
from model_forms import NARROW_TOLERANCE, WHOLE_AT_ONCE, check_links
from test_gpu_form import FILMS, filmed
from trackastra_engine import Tracker
from trackastra_engine.model.devices import PROVIDERS
from trackastra_engine.model.onnx_model import AssociationModel, embedded_models
from trackastra_engine.model.tokens import Tokens
from trackastra_export.builder import AT_ONCE
from trackastra_export.export import score_matrix, verification_windows
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.from_onnx import read_model

WHOLE_TOLERANCE = 1e-4  # float32 on both sides, in other orders
NEEDS_NVIDIA = {"cuda", "tensorrt"}  # which ONNX Runtime offers without a GPU, too

pytestmark = pytest.mark.cuda


@pytest.fixture(params=[name for name in PROVIDERS if name != "cpu"])
def device(request):
    """The name of an available device."""
    if PROVIDERS[request.param] not in onnxruntime.get_available_providers():
        pytest.skip(f"needs an ONNX Runtime with {request.param}")
    if request.param in NEEDS_NVIDIA and shutil.which("nvidia-smi") is None:
        pytest.skip("needs a GPU of NVIDIA")
    return request.param


def check_scores(network, windows, folder, device):
    """Compare the form for GPUs of a file, and the same in float32, with the form for CPUs."""
    path = folder / "model.onnx"
    for form, tolerance in ((WHOLE_AT_ONCE, WHOLE_TOLERANCE), (AT_ONCE, NARROW_TOLERANCE)):
        path.write_bytes(build_graph(*network, form).SerializeToString())
        on_cpu, on_gpu = (AssociationModel.load(path, device=name) for name in ("cpu", device))
        assert (on_cpu.is_at_once, on_gpu.is_at_once) == (False, True)
        for tokens in windows:
            expected, found = (score_matrix(engine, tokens) for engine in (on_cpu, on_gpu))
            np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_recorded_windows_score_as_on_the_cpu(name, tmp_path, device):
    folder = model_folder(name)
    windows = [
        Tokens(window.coordinates.astype(np.float32), window.features.astype(np.float32))
        for window in recorded_windows(name)
    ]
    check_scores((load_model(folder), load_spec(folder)), windows, tmp_path, device)


@pytest.mark.parametrize("name", embedded_models())
def test_embedded_models_score_as_on_the_cpu(name, tmp_path, device):
    network = read_model(name)
    check_scores(network, list(verification_windows(network[1])), tmp_path, device)


@pytest.mark.parametrize("film", FILMS)
def test_movies_are_linked_as_on_the_cpu(film, device):
    name, detections = filmed(film, n_frames=12)
    on_cpu, on_gpu = (
        Tracker.load(name, device=place).track_detections(detections).edges
        for place in ("cpu", device)
    )
    check_links(on_gpu, on_cpu)
