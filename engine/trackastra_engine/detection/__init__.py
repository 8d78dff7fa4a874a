"""Stage 2: the pixels of a frame, or points, become detections with their features.

Read `detections.py` first.
"""
