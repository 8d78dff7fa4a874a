"""Write a lineage to files of many formats, and read it back.

`results.py` writes all of them; `saved_tracks.py` reads them.
"""
