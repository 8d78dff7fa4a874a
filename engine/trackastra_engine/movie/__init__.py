"""Stage 1: files and arrays become frames, read one at a time.

`frames.py` opens a movie; `sources.py` chooses the reader of its files.
"""
