"""Files that other runs may read or write at the same time: complete, locked, replaced safely.

`atomic.py` writes a file or folder that appears only when it is complete.
"""
