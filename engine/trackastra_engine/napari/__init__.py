"""The plugin of napari, which napari.yaml tells of; no other part of the engine imports it."""
