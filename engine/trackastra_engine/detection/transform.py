"""Transform detections as if space were stretched, turned or sheared."""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray

# Of cells over their width: round ones have 1, flat ones 0.5. A z step that is 1.4 times too short
# or too long costs hardly any errors (benchmarks/voxels.py).
USUAL_HEIGHT = 0.7
EXTENT_OF_PIXEL = 1 / 12  # variance inside a pixel, which covariances of pixels leave out
SECOND_MOMENT = {2: 1 / 16, 3: 1 / 20}  # of a disc and a ball of diameter 1, along an axis


def covariances(detections: Detections) -> FloatArray:
    """Return the covariance (N, D, D) of the pixels of each detection, from its inertia tensor."""
    ndim = detections.ndim
    inertia = detections.features[:, 2:-1].reshape(-1, ndim, ndim)
    # trace(I) = (D - 1) trace(C), as I = trace(C) 1 - C
    trace = np.trace(inertia, axis1=1, axis2=2)[:, None, None] / (ndim - 1)
    return np.asarray(trace * np.eye(ndim) - inertia)


def inertias(covariance: FloatArray) -> FloatArray:
    """Return the inertia tensors (N, D * D), row by row, of covariances (N, D, D)."""
    ndim = covariance.shape[1]
    trace = np.trace(covariance, axis1=1, axis2=2)[:, None, None]
    return np.asarray(trace * np.eye(ndim) - covariance).reshape(-1, ndim * ndim)


def ball_inertias(diameter: FloatArray, ndim: int) -> FloatArray:
    """Return the inertia tensors (N, D * D), row by row, of discs or balls of diameters (N,)."""
    along_axis = SECOND_MOMENT[ndim] * diameter**2
    return inertias(along_axis[:, None, None] * np.eye(ndim))


def transform(detections: Detections, linear_map: FloatArray) -> Detections:
    """Return the detections of cells whose pixels were moved by linear maps, (D, D) or (N, D, D).

    The covariance C of the pixels becomes M C M^T, the size grows with the determinant of M.
    Margins to the image border scale like sizes, as the direction of the border is unknown.
    """
    features = detections.features.copy()
    scale = np.abs(np.linalg.det(linear_map)) ** (1 / detections.ndim)
    features[:, 0] *= scale
    features[:, -1] *= scale
    moved = linear_map @ covariances(detections) @ np.swapaxes(linear_map, -1, -2)
    features[:, 2:-1] = inertias(moved)
    centroid = (linear_map @ detections.centroid[:, :, None])[:, :, 0]
    return replace(detections, centroid=centroid, features=features)


def in_true_proportion(detections: Detections, voxel: FloatArray | None) -> Detections:
    """Return the detections as if voxels of size (D,) were cubes as wide as the voxels in x.

    If the size is not known (3D), it is that of `likely_proportions`.
    """
    size = likely_proportions(detections) if voxel is None else np.asarray(voxel, float)
    stretched = transform(detections, np.diag(size / size[-1]))
    stretched.features[:, -1] = detections.features[:, -1]  # measured only in y and x
    return stretched


def likely_proportions(detections: Detections) -> FloatArray:
    """Return the proportions (3,) of voxels in which cells have a usual height, in the median.

    Planes are assumed to be at least as far apart as the pixels of a plane; this is so for most
    microscopes.
    """
    along_axis = np.diagonal(covariances(detections), axis1=1, axis2=2) + EXTENT_OF_PIXEL
    height, width = along_axis[:, 0], along_axis[:, 1:].mean(axis=1)
    z_step = USUAL_HEIGHT * float(np.median(np.sqrt(width / height)))
    return np.array([max(z_step, 1.0), 1.0, 1.0])
