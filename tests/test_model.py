"""The devices and processors on which a model runs."""

import os
import subprocess
import sys

import onnx
import onnxruntime
import pytest

from trackastra_engine.cli.options import DEVICE_NAMES
from trackastra_engine.errors import MissingDependencyError, ModelError
from trackastra_engine.model import onnx_model
from trackastra_engine.model.devices import PROVIDERS
from trackastra_engine.model.model_file import AT_ONCE_KEY
from trackastra_engine.model.onnx_model import AssociationModel, model_path

COUNT_STRAYING_THREADS = """
import os
core = min(os.sched_getaffinity(0))
os.sched_setaffinity(0, {core})
from trackastra_engine.model.onnx_model import AssociationModel, model_path
from trackastra_engine.model.model_file import AT_ONCE_KEY
model = AssociationModel.load(device="cpu")
print(sum(os.sched_getaffinity(int(task)) != {core} for task in os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are listed on Linux only")
@pytest.mark.skipif(os.cpu_count() == 1, reason="there is but one processor")
def test_a_model_uses_only_the_processors_of_the_process():
    command = [sys.executable, "-c", COUNT_STRAYING_THREADS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == 0


class RuntimeWithoutDriver:
    """ONNX Runtime for CUDA on a machine without a driver: it lists CUDA, and uses the CPU."""

    SessionOptions = onnxruntime.SessionOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel

    def __init__(self):
        self.asked = []

    def get_available_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(self, path, options, *, providers):  # noqa: N802
        self.asked.append(providers)
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


@pytest.fixture
def runtime(monkeypatch):
    runtime = RuntimeWithoutDriver()
    monkeypatch.setattr(onnx_model, "import_runtime", lambda: runtime)
    return runtime


def test_cuda_that_does_not_start_is_an_error(runtime):
    with pytest.raises(ModelError, match="device cuda could not be started"):
        AssociationModel.load(device="cuda")


def test_auto_warns_that_cuda_did_not_start(runtime, caplog):
    assert AssociationModel.load(device="auto").device == "cpu"
    assert "CUDA could not be started, so the CPU is used" in caplog.text


def test_a_cpu_that_replaces_cuda_computes_block_by_block(runtime):
    assert not AssociationModel.load(device="auto").is_at_once
    assert [name for (name, _), *_ in runtime.asked] == [
        "CUDAExecutionProvider",
        "CPUExecutionProvider",
    ]


def test_a_file_without_a_form_for_gpus_is_rejected_on_cuda(runtime, tmp_path):
    model = onnx.load(model_path("general_2d"))
    entries = [entry for entry in model.metadata_props if entry.key != AT_ONCE_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(entries)
    path = tmp_path / "old.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="earlier engine; export the model again"):
        AssociationModel.load(path, device="cuda")


def test_cuda_is_set_to_full_float32_products(runtime):
    AssociationModel.load(device="auto")
    (name, options), (fallback, _) = runtime.asked[0]
    assert (name, fallback) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert options["use_tf32"] == "0"


def test_a_device_that_the_runtime_lacks_is_named_with_the_available_ones(runtime):
    with pytest.raises(
        ModelError,
        match=r"openvino is not available: .* has cpu, cuda; install onnxruntime-openvino",
    ):
        AssociationModel.load(device="openvino")
    assert runtime.asked == []


def test_a_device_that_is_offered_but_does_not_start_is_an_error(runtime, monkeypatch):
    offered = ["CoreMLExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(runtime, "get_available_providers", lambda: offered)
    with pytest.raises(ModelError, match="device coreml could not be started"):
        AssociationModel.load(device="coreml")
    assert [name for name, _ in runtime.asked[0]] == offered


def test_a_provider_that_rejects_the_model_is_quoted(runtime, monkeypatch):
    def reject(*_, **__):
        raise RuntimeError("OpenVINO does not support: Attention\nmore")

    offered = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(runtime, "get_available_providers", lambda: offered)
    monkeypatch.setattr(runtime, "InferenceSession", reject)
    with pytest.raises(ModelError, match=r"cannot be run on openvino \(.*Attention\)"):
        AssociationModel.load(device="openvino")


def test_only_a_missing_runtime_is_reported_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"install trackastra-engine\[cpu\]"):
        onnx_model.import_runtime()

    def interrupted(name):
        raise ImportError("DLL load failed", name="onnxruntime.capi")

    monkeypatch.setattr(onnx_model, "import_module", interrupted)
    with pytest.raises(ImportError, match="DLL load failed"):
        onnx_model.import_runtime()


def test_the_command_line_knows_all_devices():
    assert set(DEVICE_NAMES) == {"auto", *PROVIDERS}
