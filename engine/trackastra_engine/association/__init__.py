"""Stages 3 and 5: windows slide over the detections of a movie, and their edges are averaged.

`edge_stream.py` moves the window and `association.py` cuts a movie into chunks of frames. Chunks
are computed by `chunks.py`, or by many machines in `cluster.py`; `cache.py` stores them in files.
"""
