"""OME-Zarr images, plates and labels, written by their specification."""

import numpy as np
import zarr

TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}
UNITS = {"time": "minute", "space": "nanometer"}
SCALE = {"t": 2.0, "c": 1.0, "z": 2000.0, "y": 500.0, "x": 250.0}  # 120 s; 2, 0.5 and 0.25 um


def write_image(
    path, movie, axes, *, zarr_format=3, n_levels=1, chunks=None, shards=None, channels=()
):
    """Write an array with these axes as an image of OME-Zarr 0.5, or 0.4 in Zarr's old format.

    A level has every second pixel of the one before.
    """
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    datasets = []
    for level in range(n_levels):
        step = {"y": 2**level, "x": 2**level}
        part = movie[tuple(slice(None, None, step.get(axis, 1)) for axis in axes)]
        keys = {"separator": "/", "name": "v2"} if zarr_format == 2 else None
        array = group.create_array(
            f"s{level}",
            shape=part.shape,
            dtype=part.dtype,
            chunks=chunks or tuple(1 if axis in "tcz" else 32 for axis in axes),
            shards=shards,
            chunk_key_encoding=keys,
        )
        array[:] = part
        scale = [SCALE[axis] * step.get(axis, 1) for axis in axes]
        scales = [{"type": "scale", "scale": scale}]
        datasets.append({"path": f"s{level}", "coordinateTransformations": scales})
    named = [{"name": axis, "type": TYPES[axis]} for axis in axes]
    for axis in named:
        if axis["type"] in UNITS:
            axis["unit"] = UNITS[axis["type"]]
    multiscale = {"version": "0.4", "axes": named, "datasets": datasets}
    omero = {"channels": [{"label": name} for name in channels]}
    write_metadata(group, {"multiscales": [multiscale], **({"omero": omero} if channels else {})})
    return path


def write_metadata(group, metadata):
    """Write the OME metadata of a group at the place of its version."""
    is_old = group.metadata.zarr_format == 2
    group.attrs.update(metadata if is_old else {"ome": {"version": "0.5", **metadata}})


def write_labels(image, name, masks, axes):
    """Write masks as labels of an image, and return their path."""
    group = zarr.open_group(image, mode="r+")
    labels = group.require_group("labels")
    write_metadata(labels, {"labels": sorted({*labels.group_keys(), name})})
    return write_image(image / "labels" / name, masks, axes, zarr_format=group.metadata.zarr_format)


def write_plate(path, fields, axes, *, zarr_format=3):
    """Write movies by their position, such as A/1/0, as a plate."""
    plate = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    wells = sorted({position.rpartition("/")[0] for position in fields})
    write_metadata(plate, {"plate": {"wells": [{"path": well} for well in wells]}})
    for well in wells:
        images = [name.rpartition("/")[2] for name in fields if name.startswith(f"{well}/")]
        group = plate.create_group(well)
        write_metadata(group, {"well": {"images": [{"path": name} for name in images]}})
    for position, movie in fields.items():
        write_image(path / position, movie, axes, zarr_format=zarr_format)
    return path


def write_series(path, movies, axes, *, zarr_format=3):
    """Write movies as bioformats2raw does."""
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    write_metadata(group, {"bioformats2raw.layout": 3})
    group.create_group("OME")
    for index, movie in enumerate(movies):
        write_image(path / str(index), movie, axes, zarr_format=zarr_format)
    return path


def plain(path, movie, *, zarr_format=3, **options):
    """Write an array without OME metadata."""
    array = zarr.create_array(
        path, shape=movie.shape, dtype=movie.dtype, zarr_format=zarr_format, **options
    )
    array[:] = np.asarray(movie)
    return path
