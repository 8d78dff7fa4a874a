"""Between stages 2 and 3: the frames of a window are aligned, so that only own motion is left.

`flow.py` finds how cells move together from one frame to the next, from two frames only;
`alignment.py` carries the detections of a window along these flows into its last frame.
"""
