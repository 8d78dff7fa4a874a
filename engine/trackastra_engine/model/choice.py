"""Choose the embedded model for a movie: 2D, 3D, or 3D with all cells in one layer."""

import logging
from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.layer import is_layer
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.errors import option
from trackastra_engine.model.onnx_model import DEFAULT_MODEL, DEFAULT_MODELS
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.voxels import VoxelSize, proportions
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

AUTO = "auto"  # instead of the name of a model
FRAMES_SEEN = 5  # of a movie, from its first to its last frame


def model_for(model: str, movie: Movie | Detections, voxel_um: VoxelSize | None) -> str:
    """Return the name or file of a model; if it is "auto", the embedded one for the movie.

    In 3D this is the 2D model if all cells lie in one layer, which it sees in the plane: it learned
    from more real movies of such cells.
    """
    if model != AUTO:
        return model
    if movie.ndim == 2:
        return DEFAULT_MODELS[2]
    if not lies_in_layer(movie, voxel_um):
        return DEFAULT_MODELS[3]
    logger.log(
        NOTICE,
        "all cells lie in one layer, so %s tracks them, without their depth; %s %s uses it",
        DEFAULT_MODEL,
        option("model"),
        DEFAULT_MODELS[3],
    )
    return DEFAULT_MODEL


def lies_in_layer(movie: Movie | Detections, voxel_um: VoxelSize | None) -> bool:
    """Return whether the cells of a 3D movie lie in one layer; some of its frames are read."""
    found = movie if isinstance(movie, Detections) else _some_frames(movie)
    voxel = None if voxel_um is None else proportions(voxel_um, 3)
    return len(found) > 0 and is_layer(in_true_proportion(found, voxel))


def _some_frames(movie: Movie) -> Detections:
    """Return the detections of some frames of a movie, numbered from 0."""
    chosen = np.unique(np.linspace(0, len(movie) - 1, FRAMES_SEEN).astype(int)).tolist()
    frames = movie.without_images().frames(chosen)
    found = (detect(replace(frame, index=number), 3) for number, frame in enumerate(frames))
    return concatenate(found, 3)
