"""Results that a person corrected, as movies to learn from: decided links, and those that are sure.

Of the rest, the parent is PARENT_UNKNOWN, and it has no weight in training.
"""

import logging

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.cache_index import CachedMovie
from trackastra_engine.detection.detections import Detections, FloatArray, concatenate, find_rows
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.errors import InputError
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.jobs.decided import corrections_of
from trackastra_engine.jobs.relink import relinked
from trackastra_engine.linking.corrections import OPEN, Corrections
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.linking.options import DEFAULT_OPTIONS
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.voxels import proportions
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.configuration import CorrectedResult
from trackastra_training.examples import NO_PARENT, PARENT_UNKNOWN

logger = logging.getLogger(__name__)


def read_corrected(result: CorrectedResult, spec: ModelSpec) -> KnownMovie:
    """Return the movie of a folder of results, linked again under its corrections.

    Parents are unknown where the link, or that there is none, is neither decided nor scored
    `sure_score` or more. Raises InputError if the folder has no cached scores, or corrections
    are missing or do not fit.
    """
    if not result.folder.is_dir():
        raise InputError(f"there is no folder {result.folder}; give an output folder of track")
    cached = CachedMovie.read(result.folder)
    if cached.ndim != spec.ndim:
        raise InputError(
            f"{result.folder} has {cached.ndim}D detections, but {spec.name} needs {spec.ndim}D "
            "ones"
        )
    if spec.recipe == "upstream":
        raise InputError(
            f"{spec.name} is a model of upstream, which cannot learn from {result.folder}: results "
            "do not keep its intensities; start from a model of this engine"
        )
    corrections = corrections_of(result.corrections, result.folder)
    if corrections is None or len(corrections) == 0:
        raise InputError(f"{result.folder} has no corrections; name a file in 'corrections'")
    lineage = relinked(cached, DEFAULT_OPTIONS, corrections).lineage
    is_known = _is_decided(lineage.detections, corrections)
    n_decided = int(is_known.sum())
    is_known |= _sureness(lineage, _parent_shares(cached)) >= result.sure_score
    parent = np.full(len(lineage.detections), NO_PARENT)
    parent[lineage.edges.target] = lineage.edges.source
    children = count_children(parent)
    parent[~is_known] = PARENT_UNKNOWN
    logger.info(
        "%s: parents of %d of %d detections are known, %d of them decided",
        result.folder,
        is_known.sum(),
        len(parent),
        n_decided,
    )
    found = lineage.detections
    if spec.uses_voxel_size:
        voxel = cached.voxel_um and proportions(cached.voxel_um, cached.ndim)
        found = in_true_proportion(found, voxel)
    return KnownMovie(found, parent, children)


def _is_decided(found: Detections, corrections: Corrections) -> NDArray[np.bool_]:
    """Return for each detection (N,) whether its parent was given, or that it has none.

    A rejected link decides nothing: it leaves open which other one is right.
    """
    given = corrections.target[corrections.is_link & (corrections.target[:, 0] != OPEN)]
    is_decided = np.zeros(len(found), bool)
    is_decided[find_rows(found, given)] = True
    return is_decided


def _parent_shares(cached: CachedMovie) -> FloatArray:
    """Return the probability (N,) that a detection has a parent in the frame before."""
    total = np.zeros(0)
    for part in cached.edges(GrowingRows(concatenate([], cached.ndim)), max_gap=1):
        end = part.first_row + len(part.detections)
        total = np.append(total, np.zeros(max(0, end - len(total))))
        total[part.first_row : end] += np.bincount(
            part.edges.target, part.edges.score, minlength=len(part.detections)
        )
    return total


def _sureness(lineage: Lineage, share: FloatArray) -> FloatArray:
    """Return the probability (N,) of the link to each detection, or that there is none.

    share: (N,) that there is one. Nothing in the first frame has a parent. No link over a gap is
    sure, as its score says nothing about the frame before.
    """
    edges, frame = lineage.edges, lineage.detections.frame
    is_step = frame[edges.target] - frame[edges.source] == 1
    sureness: FloatArray = 1 - share
    sureness[edges.target] = np.where(is_step, edges.score, 0)
    return sureness
