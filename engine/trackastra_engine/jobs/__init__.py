"""One movie from files to files: what a command of the command line runs.

Read `track.py` first; `relink.py` links once more, and `demo.py` makes its own movie.
"""
