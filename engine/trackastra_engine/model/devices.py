"""What a model can run on, by the names of this engine and those of ONNX Runtime."""

from typing import Literal

Device = Literal["auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino"]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
# What brings a provider that "auto" never takes, as none of them was tested with a GPU.
PACKAGES = {
    "tensorrt": "onnxruntime-gpu and TensorRT",
    "coreml": "onnxruntime on macOS",
    "directml": "onnxruntime-directml on Windows",
    "openvino": "onnxruntime-openvino",
}
PROVIDER_OPTIONS = {
    "cpu": {},
    "cuda": {
        "use_tf32": "0",  # which would keep 10 bits of the factors of float32 products
        # Hardly two windows have the same shapes; by default the arena doubles each time it grows.
        "arena_extend_strategy": "kSameAsRequested",
    },
}
