"""Score the edges between the detections of a window with one run of the network.

`tokens.py` converts detections to the network's input, `attention_plan.py` plans the blocks in
which it computes, and `onnx_model.py` runs it; `embedded/` contains the models of this package.
"""
