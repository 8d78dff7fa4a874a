"""Open folders of tracks as napari layers: masks, read when they are shown, and tracks."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.linking.lineage import Lineage, root_of_tracklets
from trackastra_engine.movie.frames import FrameSource
from trackastra_engine.movie.pixels import whole_labels
from trackastra_engine.output.napari_tracks import tracks_layer
from trackastra_engine.output.saved_tracks import (
    has_tables,
    has_tracked_masks,
    open_tracked_masks,
    read_tracks,
)

LayerData = tuple[Any, dict[str, Any], str]  # data, options and kind of a layer


def get_reader(path: str | Sequence[str]) -> Callable[[str], list[LayerData]] | None:
    """Return the reader of a folder of tracks, or None for other paths."""
    if not isinstance(path, str) or not Path(path).is_dir():
        return None
    folder = Path(path)
    return read_layers if has_tables(folder) or has_tracked_masks(folder) else None


def read_layers(path: str) -> list[LayerData]:
    """Return the layers of a folder of tracks: labels by track, if there are masks, and tracks.

    If there are tables, masks that cannot be opened are left out, with a warning in napari. Raises
    InputError if the files of the folder contradict themselves.
    """
    folder = Path(path)
    tracks = layer_of_tracks(read_tracks(folder).lineage, f"{folder.name} tracks")
    if not has_tracked_masks(folder):
        return [tracks]
    try:
        masks = LazyMasks(open_tracked_masks(folder).movie.masks)
    except InputError as error:
        warnings.warn(f"the tracks are shown without masks: {error}", stacklevel=2)
        return [tracks]
    return [(masks, {"name": f"{folder.name} masks"}, "labels"), tracks]


def layer_of_tracks(lineage: Lineage, name: str) -> LayerData:
    """Return a tracks layer with the graph of divisions, one colour for a cell's descendants."""
    data, graph = tracks_layer(lineage)
    root = root_of_tracklets(lineage.tracklets)[data[:, 0].astype(int)]
    options = {"name": name, "graph": graph, "features": {"lineage": root}, "color_by": "lineage"}
    return data, options, "tracks"


class LazyMasks:
    """Masks (T, [Z,] Y, X) that look like an array, whose frames are read on access."""

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self.shape = (source.n_frames, *source.frame_shape)
        self.ndim = len(self.shape)
        self.dtype = np.dtype(np.uint32) if source.dtype.kind == "f" else source.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        key = key if isinstance(key, tuple) else (key,)
        if any(part is Ellipsis for part in key):
            place = next(place for place, part in enumerate(key) if part is Ellipsis)
            whole = (slice(None),) * (self.ndim - len(key) + 1)
            key = (*key[:place], *whole, *key[place + 1 :])
        first, *rest = key
        frames = np.arange(len(self))[first]
        if frames.ndim == 0:
            return np.asarray(next(self._read([int(frames)]))[tuple(rest)])
        if len(frames) == 0:
            return np.empty((0, *self.shape[1:]), self.dtype)[(slice(None), *rest)]
        return np.stack([mask[tuple(rest)] for mask in self._read(frames.tolist())])

    def _read(self, indices: list[int]) -> Iterator[NDArray[Any]]:
        for mask in self._source.read(indices):
            yield whole_labels(mask, f"a mask in {self._source.name}")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)
