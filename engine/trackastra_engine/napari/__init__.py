"""The napari plugin.

`reader.py` opens results, `widget.py` tracks layers, and `decide_widget.py` asks for decisions on
uncertain links. `napari.yaml` declares them; no other part of the engine imports this package.
"""
