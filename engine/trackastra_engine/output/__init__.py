"""Stage 8: a lineage becomes files of many formats, which can be read back.

`results.py` writes all of them; `saved_tracks.py` reads them.
"""
