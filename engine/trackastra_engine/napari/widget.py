"""A napari widget that tracks the objects of a labels layer and shows the tracks."""

from typing import Any

from trackastra_engine.linking import MODES
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.napari.reader import LayerData, layer_of_tracks


def track_widget() -> Any:
    """Return the widget: choices of layers, model and linker, and a button."""
    from magicgui import magicgui
    from napari.layers import Image, Labels
    from napari.qt.threading import FunctionWorker, thread_worker
    from napari.types import LayerDataTuple

    def track(
        labels: Labels, image: Image | None = None, model: str = "auto", mode: str = "greedy"
    ) -> FunctionWorker[LayerDataTuple]:
        images = None if image is None else _full_size(image)
        worker = thread_worker(_tracked)(_full_size(labels), images, model, mode, labels.name)
        worker.start()
        return worker  # napari adds the returned layer

    return magicgui(track, call_button="Track", mode={"choices": list(MODES)})


def _tracked(masks: Any, images: Any, model: str, mode: str, name: str) -> LayerData:
    from trackastra_engine.model.choice import model_for
    from trackastra_engine.tracker import Tracker

    movie = open_movie(images, masks)
    lineage = Tracker.load(model_for(model, movie, movie.voxel_um), mode=mode).track_movie(movie)
    return layer_of_tracks(lineage, f"{name} tracks")


def _full_size(layer: Any) -> Any:
    return layer.data[0] if layer.multiscale else layer.data
