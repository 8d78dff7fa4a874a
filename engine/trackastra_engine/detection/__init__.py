"""Stage 2: measure the pixels of a frame, or points, as detections with features.

Read `detections.py` first.
"""
