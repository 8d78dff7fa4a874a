"""A movie tracked in chunks of frames: what they hold can be kept in files, or made elsewhere.

`association.py` says which frames make a chunk and how their edges are scored, `cache.py` keeps in
files what was made, and `local.py` makes what is missing, or `cluster.py` where there are many
machines.
"""
