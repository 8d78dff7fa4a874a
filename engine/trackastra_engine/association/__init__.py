"""Stages 3 and 5: slide windows over the detections of a movie, and average their edges.

`edge_stream.py` moves the window and `association.py` divides a movie into chunks of frames.
`chunks.py` computes chunks, or `cluster.py` on many machines; `cache.py` stores them in files.
"""
