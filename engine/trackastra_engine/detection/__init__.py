"""Measure the pixels of a frame, or points, as detections with features.

Read `detections.py` first.
"""
