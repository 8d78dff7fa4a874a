"""Slide windows over the detections of a movie, and average their edges.

In the order of a movie: `chunks.py` computes its chunks of frames, or `cluster.py` does on many
machines. `measured.py` measures their pixels, and `sliding_frames.py` keeps those still needed.
`chunk_edges.py` reads the edges of a chunk from `cache.py`, or has `association.py` score them:
`edge_stream.py` slides the window, `window_threads.py` scores several windows at a time, and
`aligned_windows.py` aligns each. `cache_index.py` lists the chunks, so that `link` finds them.
"""
