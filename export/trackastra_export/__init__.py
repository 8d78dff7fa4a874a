"""From a trained checkpoint to an ONNX model of the engine."""
