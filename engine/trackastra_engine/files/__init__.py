"""Files that appear only when they are complete, locks of folders, and tables of text.

`atomic.py` writes a file or folder, `replace.py` replaces the results in a folder.
"""
