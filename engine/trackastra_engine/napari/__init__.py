"""The napari plugin: `reader.py` opens results, `widget.py` tracks layers.

`napari.yaml` declares both; no other part of the engine imports this package.
"""
