"""Stage 4: the detections of a window become scored edges, by one run of the network.

`tokens.py` makes the numbers that the network sees, `attention_plan.py` the blocks in which it
computes, and `onnx_model.py` runs it; `embedded/` holds the models of this package.
"""
