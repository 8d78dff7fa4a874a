"""Align the frames of a window, so that only own motion remains.

`flow.py` finds how cells move together from one frame to the next, from two frames only;
`alignment.py` moves the detections of a window along these flows into its last frame.
"""
