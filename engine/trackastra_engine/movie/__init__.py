"""Read files and arrays as frames, one at a time.

`frames.py` opens a movie; `sources.py` chooses the reader of its files.
"""
