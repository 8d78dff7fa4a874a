"""Process one movie from files to files, as the commands do.

Read `track.py` first; `relink.py` links again, and `demo.py` simulates its movie.
"""
