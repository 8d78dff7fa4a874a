"""The devices for models, by the names of this engine and of ONNX Runtime."""

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
# Packages of the providers that "auto" never uses, as none was tested with a GPU.
PACKAGES = {
    "tensorrt": "onnxruntime-gpu and TensorRT",
    "coreml": "onnxruntime on macOS",
    "directml": "onnxruntime-directml on Windows",
    "openvino": "onnxruntime-openvino",
}
PROVIDER_OPTIONS = {
    "cpu": {},
    "cuda": {
        "use_tf32": "0",  # TF32 rounds the factors of float32 products to 10 bits
        # Shapes differ between windows; by default the arena doubles each time it grows.
        "arena_extend_strategy": "kSameAsRequested",
    },
}
