"""One movie in every format: the same arrays, voxel size and interval, whatever it comes from."""

from dataclasses import replace

import dask.array
import numpy as np
import pytest
import tifffile
import zarr

from ome_zarrs import plain, write_image
from small_movies import dividing_cell
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

T, C, Z = 5, 2, 3
VOXEL_UM, INTERVAL_S = (2.0, 0.5, 0.25), 120.0
GREY = {"photometric": "minisblack"}


def movie(axes):
    """Return a movie of these axes, all of whose planes differ; channel 1 holds the masks."""
    images, masks = dividing_cell(T)
    whole = np.stack([images, masks], axis=1)[:, :, None] * np.array([0, 1, 2])[:, None, None]
    whole = whole.astype(np.uint16)  # (t, c, z, y, x)
    index = tuple(slice(None) if letter in axes else 1 for letter in "tczyx")
    kept = [letter for letter in "tczyx" if letter in axes]
    return whole[index].transpose([kept.index(letter) for letter in axes])


def imagej(path, axes, **options):
    metadata = {"axes": axes.upper(), "unit": "um", "spacing": 2.0}
    metadata |= {"finterval": 2.0, "tunit": "min"}
    resolution = (1 / 0.25, 1 / 0.5)
    tifffile.imwrite(
        path, movie(axes), imagej=True, metadata=metadata, resolution=resolution, **options
    )
    return path


OME = {
    **{"PhysicalSizeZ": 2.0, "PhysicalSizeY": 0.5, "PhysicalSizeX": 250.0},
    **{"PhysicalSizeXUnit": "nm", "TimeIncrement": 2.0, "TimeIncrementUnit": "min"},
}


def ome(path, axes, **options):
    metadata = {"axes": axes.upper(), **OME}
    tifffile.imwrite(path, movie(axes), ome=True, metadata=metadata, **GREY, **options)
    return path


def ome_set(path, axes):
    """Write one file per time point, of which the first describes all."""
    whole = movie(axes)
    path.mkdir()
    names, parts = [], []
    for frame in range(T):
        name = f"t{frame}.ome.tif"
        tifffile.imwrite(path / name, whole[frame], photometric="minisblack", metadata=None)
        n_planes = int(np.prod(whole.shape[1:-2]))
        first = "".join(f' First{axis}="{frame if axis == "T" else 0}"' for axis in "TCZ")
        parts.append(
            f'<TiffData IFD="0" PlaneCount="{n_planes}"{first}>'
            f'<UUID FileName="{name}">urn:uuid:{frame:032}</UUID></TiffData>'
        )
        names.append(name)
    size = dict(zip(axes, whole.shape, strict=True))
    sizes = " ".join(f'Size{letter.upper()}="{size.get(letter, 1)}"' for letter in "tczyx")
    physical = " ".join(f'{key}="{value}"' for key, value in OME.items())
    for frame, name in enumerate(names):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{frame:032}"><Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint16" '
            f'DimensionOrder="XYZCT" {sizes} {physical}>{"".join(parts)}</Pixels></Image></OME>'
        )
        tifffile.tiffcomment(path / name, xml.encode())
    return path / names[0]


def folder(path, axes, write=tifffile.imwrite, **options):
    path.mkdir()
    for frame, volume in enumerate(movie(axes)):
        write(path / f"t{frame}.tif", volume, **options)
    return path


def image(path, axes, **options):
    return write_image(path, movie(axes), axes, **options)


def stack(path, axes, **options):
    tifffile.imwrite(path, movie(axes), **GREY, **options)
    return path


# How it is written, its axes, what must be said of it, and whether it says its sizes itself.
FORMATS = {
    "imagej": (lambda path: imagej(path, "tyx"), "tyx", {}, True),
    "imagej volumes": (lambda path: imagej(path, "tzyx"), "tzyx", {}, True),
    "imagej hyperstack": (lambda path: imagej(path, "tzcyx"), "tzcyx", {"c": 1}, True),
    "imagej, compressed": (
        lambda path: imagej(path, "tcyx", compression="zlib"),
        *("tcyx", {"c": 1}, True),
    ),
    "ome": (lambda path: ome(path, "tczyx"), "tczyx", {"c": 1}, True),
    "ome, z before t": (lambda path: ome(path, "ztyx"), "ztyx", {}, True),
    "ome, named channels": (
        lambda path: ome_channels(path),
        *("tcyx", {"c": "GFP"}, True),
    ),
    "ome, big": (lambda path: ome(path, "tcyx", bigtiff=True), "tcyx", {"c": 1}, True),
    "ome, tiles and zstd": (
        lambda path: ome(path, "tzyx", tile=(16, 16), compression="zstd"),
        *("tzyx", {}, True),
    ),
    "ome, a set of files": (lambda path: ome_set(path, "tzyx"), "tzyx", {}, True),
    "ome, a set, channels": (lambda path: ome_set(path, "tcyx"), "tcyx", {"c": 1}, True),
    "stack without axes": (lambda path: stack(path, "tzyx"), "tzyx", {}, False),
    "stack, axes told": (
        lambda path: stack(path, "cztyx"),
        *("cztyx", {"axes": "cztyx", "c": 1}, False),
    ),
    "stack, channel told": (lambda path: stack(path, "tcyx"), "tcyx", {"c": 1}, False),
    "lzw": (lambda path: stack(path, "tyx", compression="lzw"), "tyx", {}, False),
    "deflate": (lambda path: stack(path, "tyx", compression="deflate"), "tyx", {}, False),
    "zstd": (lambda path: stack(path, "tyx", compression="zstd"), "tyx", {}, False),
    "jpeg 2000": (lambda path: stack(path, "tyx", compression="jpeg2000"), "tyx", {}, False),
    "folder": (lambda path: folder(path, "tyx"), "tyx", {}, False),
    "folder of volumes": (lambda path: folder(path, "tzyx", **GREY), "tzyx", {}, False),
    "folder, channel told": (lambda path: folder(path, "tcyx", **GREY), "tcyx", {"c": 1}, False),
    "folder, axes told": (
        lambda path: folder(path, "tzcyx", **GREY),
        *("tzcyx", {"axes": "tzcyx", "c": 1}, False),
    ),
    "folder of ome with channels": (
        lambda path: folder(path, "tczyx", ome=True, metadata={"axes": "CZYX", **OME}),
        *("tczyx", {"c": 1}, True),
    ),
    "ome-zarr 0.4": (lambda path: image(path, "tczyx", zarr_format=2), "tczyx", {"c": 1}, True),
    "ome-zarr 0.5": (lambda path: image(path, "tyx"), "tyx", {}, True),
    "ome-zarr, named channels": (
        lambda path: image(path, "tcyx", channels=("DAPI", "GFP")),
        *("tcyx", {"c": "GFP"}, True),
    ),
    "ome-zarr, chunks of time": (
        lambda path: image(path, "tzyx", chunks=(3, 2, 16, 16)),
        *("tzyx", {}, True),
    ),
    "ome-zarr, shards": (
        lambda path: image(path, "tyx", chunks=(1, 20, 24), shards=(2, 40, 48)),
        *("tyx", {}, True),
    ),
    "ome-zarr, axes told": (
        lambda path: write_image(path, movie("tzyx"), "tcyx"),
        *("tzyx", {"axes": "tzyx"}, False),
    ),
    "zarr": (lambda path: plain(path, movie("tyx")), "tyx", {}, False),
    "zarr 2": (lambda path: plain(path, movie("tyx"), zarr_format=2), "tyx", {}, False),
    "zarr, dimension names": (
        lambda path: plain(path, movie("yxt"), dimension_names=("y", "x", "t")),
        *("yxt", {}, False),
    ),
    "numpy": (lambda path: movie("tzyx"), "tzyx", {}, False),
    "numpy, axes told": (lambda path: movie("yxct"), "yxct", {"axes": "yxct", "c": 1}, False),
    "zarr array": (lambda path: zarr.array(movie("tyx"), chunks=(3, 20, 20)), "tyx", {}, False),
    "dask array": (
        lambda path: dask.array.from_array(movie("tzyx"), chunks=(2, 3, 20, 20)),
        *("tzyx", {}, False),
    ),
    "dask array, axes told": (
        lambda path: dask.array.from_array(movie("ctyx"), chunks=(2, 1, 20, 20)),
        *("ctyx", {"axes": "ctyx", "c": 1}, False),
    ),
}


def ome_channels(path):
    metadata = {"axes": "TCYX", "Channel": {"Name": ["DAPI", "GFP"]}, **OME}
    tifffile.imwrite(path, movie("tcyx"), ome=True, metadata=metadata, **GREY)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_movie(tmp_path, name):
    """Read as masks only, and as images with masks of another kind."""
    write, axes, said, is_calibrated = FORMATS[name]
    source = write(tmp_path / "movie")
    expected = movie("tzyx" if "z" in axes else "tyx")
    usual = "tzyx" if "z" in axes else "tyx"
    said = Selection(axes=said.get("axes"), channel=said.get("c"), mask_axes=usual)
    masks = open_movie(None, source, selection=replace(said, mask_axes=None))
    both = open_movie(source, expected, selection=said)
    for opened in (masks, both):
        assert len(opened) == T
        if is_calibrated:
            assert opened.voxel_um == pytest.approx(VOXEL_UM[3 - opened.ndim :])
        if is_calibrated and not name.startswith("folder"):
            assert opened.frame_interval_s == pytest.approx(INTERVAL_S)
    np.testing.assert_array_equal([frame.labels for frame in masks], expected)
    np.testing.assert_array_equal([frame.image for frame in both], expected)
    some = masks.frames([3, 1, 4])
    np.testing.assert_array_equal([frame.labels for frame in some], expected[[3, 1, 4]])
    assert [frame.labels.tolist() for frame in masks.first(2)] == expected[:2].tolist()
