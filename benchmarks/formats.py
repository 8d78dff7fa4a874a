"""Which kinds of input are read, and are they read as written?

One small movie is written as each program writes it, and opened: as masks, in all frames, or as a
table of points. To test another format, add a line to MOVIES or TABLES.
"""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import imagecodecs
import numpy as np
import tifffile
import zarr

from benchmarks.record import write_result
from trackastra_engine.detection.point_table import read_points
from trackastra_engine.errors import InputError
from trackastra_engine.movie.frames import open_movie

N_FRAMES, SHAPE, SIZE = 5, (40, 48), 6
# Points of two objects, in order of the frames.
FRAME = np.repeat(np.arange(N_FRAMES), 2)
Y, X = np.tile([5.5, 25.5], N_FRAMES), 8.5 + 2 * FRAME


def movie() -> np.ndarray:
    """Return the masks (T, Y, X) of two objects that move."""
    masks = np.zeros((N_FRAMES, *SHAPE), np.uint16)
    for frame in range(N_FRAMES):
        for label, y in ((1, 3), (2, 23)):
            masks[frame, y : y + SIZE, 6 + 2 * frame : 12 + 2 * frame] = label
    return masks


def folder(path: Path, form: str, **options: Any) -> Path:
    """Write a TIFF for each frame, with a name that contains {t}; options: of tifffile."""
    for t, mask in enumerate(movie()):
        place = path / form.format(t=t)
        place.parent.mkdir(parents=True, exist_ok=True)
        tifffile.imwrite(place, mask.astype(options.get("dtype", mask.dtype)))
    return path


def pictures(path: Path, suffix: str, encode: Callable[[np.ndarray], bytes]) -> Path:
    """Write an encoded picture for each frame."""
    path.mkdir()
    for t, mask in enumerate(movie()):
        (path / f"t{t:03}{suffix}").write_bytes(encode(mask))
    return path


def grey_as_colours(mask: np.ndarray) -> bytes:
    """Return a PNG with three equal channels."""
    return imagecodecs.png_encode(np.repeat(mask[..., None].astype(np.uint8), 3, axis=-1))


def palette(mask: np.ndarray) -> bytes:
    """Return a PNG of 8-bit indices of black, red and blue."""
    rows = b"".join(b"\0" + row.tobytes() for row in mask.astype(np.uint8))
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", *mask.shape[::-1], 8, 3, 0, 0, 0),
        b"PLTE": bytes([0, 0, 0, 255, 0, 0, 0, 0, 255]),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    lines = (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks.items()
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(lines)


def save_frames(path: Path, masks: np.ndarray) -> None:
    """Write an object array of one array per frame."""
    frames = np.empty(len(masks), object)
    frames[:] = list(masks)
    np.save(path, frames, allow_pickle=True)


def stack(path: Path, name: str, **options: Any) -> Path:
    """Write a TIFF stack; options: of tifffile."""
    path.mkdir()
    tifffile.imwrite(path / name, movie(), photometric="minisblack", **options)
    return path / name


def floats(path: Path) -> Path:
    """Write labels as Fiji, StarDist, MorphoLibJ and TrackMate save them."""
    path.mkdir()
    metadata = {"axes": "TYX"}
    tifffile.imwrite(path / "m.tif", movie().astype(np.float32), imagej=True, metadata=metadata)
    return path / "m.tif"


def pyramid(path: Path) -> Path:
    """Write an OME-TIFF with a second level."""
    path.mkdir()
    with tifffile.TiffWriter(path / "m.ome.tif", ome=True) as writer:
        options = {"photometric": "minisblack", "tile": (16, 16)}
        writer.write(movie(), subifds=1, metadata={"axes": "TYX"}, **options)
        writer.write(movie()[:, ::2, ::2], subfiletype=1, **options)
    return path / "m.ome.tif"


def numpy_file(path: Path, save: Callable[[Path, np.ndarray], None], name: str) -> Path:
    """Write an array with numpy."""
    path.mkdir()
    save(path / name, movie())
    return path / name


def cellpose(path: Path) -> Path:
    """Write the files that Cellpose saves for its window, one for each frame."""
    path.mkdir()
    for t, mask in enumerate(movie()):
        np.save(path / f"img{t}_seg.npy", {"masks": mask, "filename": "img.tif"})
    return path


def plain_zarr(path: Path, zarr_format: int) -> Path:
    """Write an array of Zarr."""
    array = zarr.create_array(
        path, shape=movie().shape, dtype="u2", chunks=(1, *SHAPE), zarr_format=zarr_format
    )
    array[:] = movie()
    return path


def zipped_zarr(path: Path) -> Path:
    """Write an array of Zarr into a zip file."""
    inside = plain_zarr(path / "m.zarr", 3)
    with zipfile.ZipFile(path / "m.zarr.zip", "w") as archive:
        for file in filter(Path.is_file, inside.rglob("*")):
            archive.write(file, file.relative_to(inside))
    return path / "m.zarr.zip"


MOVIES: dict[str, Callable[[Path], Path]] = {
    "TIFFs, one a frame": partial(folder, form="t{t:03}.tif"),
    "TIFFs, names in hours": partial(folder, form="m_{t}.5h.tif"),
    "TIFFs, names in days and hours": partial(folder, form="m_day{t}_hour06.tif"),
    "TIFFs, names in minutes and seconds": partial(folder, form="m_{t:02}min30s.tif"),
    "TIFFs of Micro-Manager 1.4": partial(folder, form="img_{t:09}_DAPI_000.tif"),
    "TIFFs of Micro-Manager 2": partial(
        folder, form="img_channel000_position000_time{t:09}_z000.tif"
    ),
    "TIFFs of Incucyte": partial(folder, form="Plate_B2_1_00d{t:02}h30m.tif"),
    "TIFFs of ImageXpress": partial(folder, form="TimePoint_{t}/Plate_B02_s1_w1.TIF"),
    "TIFFs of MetaMorph": partial(folder, form="exp_w1DAPI_s1_t{t}.TIF"),
    "TIFFs of Leica": partial(folder, form="exp_Series001_t{t:02}_ch00.tif"),
    "TIFFs of Zeiss": partial(folder, form="exp_s01t{t:02}.tif"),
    "TIFFs of Yokogawa": partial(folder, form="W_B03_T{t:04}F001L01A01Z01C01.tif"),
    "TIFFs of Operetta": partial(folder, form="r01c01f01p01-ch1sk{t}fk1fl1.tiff"),
    "TIFFs of CellProfiler": partial(folder, form="img{t:04}_Nuclei.tiff"),
    "TIFFs of Cellpose": partial(folder, form="img{t:04}_cp_masks.tif"),
    "Cell Tracking Challenge, 01_ST": partial(folder, form="SEG/man_seg{t:03}.tif"),
    "PNG": partial(pictures, suffix=".png", encode=imagecodecs.png_encode),
    "PNG, grey saved as RGB": partial(pictures, suffix=".png", encode=grey_as_colours),
    "PNG with a palette": partial(pictures, suffix=".png", encode=palette),
    "JPEG-2000": partial(
        pictures,
        suffix=".jp2",
        encode=partial(imagecodecs.jpeg2k_encode, level=0, reversible=True, codecformat="jp2"),
    ),
    "TIFF stack": partial(stack, name="m.tif"),
    "TIFF stack of ImageJ": partial(stack, name="m.tif", imagej=True, metadata={"axes": "TYX"}),
    "OME-TIFF": partial(stack, name="m.ome.tif", ome=True, metadata={"axes": "TYX"}),
    "OME-TIFF with levels": pyramid,
    "labels as 32-bit floats": floats,
    ".npy": partial(numpy_file, save=np.save, name="m.npy"),
    ".npy, one array per frame": partial(numpy_file, save=save_frames, name="m.npy"),
    ".npz": partial(numpy_file, save=np.savez, name="m.npz"),
    "_seg.npy of Cellpose": cellpose,
    "Zarr 2": partial(plain_zarr, zarr_format=2),
    "Zarr 3": partial(plain_zarr, zarr_format=3),
    "zipped Zarr": zipped_zarr,
}
# Format of a line, and header, of tables.
TABLES = {
    "frame,y,x": ("{frame},{y},{x}", "frame,y,x"),
    "semicolons": ("{frame};{y};{x}", "frame;y;x"),
    "decimal commas": ("{frame};{y};{x}", "frame;y;x"),
    "quoted names, of R": ("{frame},{y},{x}", '"frame","y","x"'),
    "trackpy": ("{n},{y},{x},9,{frame}", ",y,x,mass,frame"),
    "LapTrack": ("{frame},{x},{y}", "frame,position_x,position_y"),
    "ImageJ's results": ("{n},80,{x},{y},{frame}", " ,Area,XM,YM,Slice"),
    "scikit-image": ("{frame},{y},{x}", "frame,centroid-0,centroid-1"),
    "napari points": ("{n},{frame},{y},{x}", "index,axis-0,axis-1,axis-2"),
    "CellProfiler": (
        "{frame},{n}1,{x},{y}",
        "ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y",
    ),
    "TrackMate": (
        "ID{n},{n},{x},{y},0.0,{frame}",
        "LABEL,ID,POSITION_X,POSITION_Y,POSITION_Z,FRAME\nLabel,Spot ID,X,Y,Z,Frame\n"
        "Label,Spot ID,X,Y,Z,Frame\n,,(pixel),(pixel),(pixel),",
    ),
    "Mastodon": (
        "{n},{n},{frame},{x},{y},0.0",
        "Label,ID,Spot frame,Spot position,Spot position,Spot position\n,,,X,Y,Z\n"
        ",,,(pixel),(pixel),(pixel)",
    ),
}


def movie_answer(write: Callable[[Path], Path], place: Path) -> str:
    """Return whether a movie is read as written, or the error message."""
    try:
        opened = open_movie(None, write(place))
        found = [frame.labels for frame in opened]
    except InputError as error:
        return str(error).replace(str(place), "PATH")
    is_same = len(found) == N_FRAMES and np.array_equal(found, movie())
    return "as written" if is_same else "WRONG"


def table_answer(name: str, place: Path) -> str:
    """Return whether a table is read as written, or the error message."""
    form, header = TABLES[name]
    rows = zip(FRAME, Y, X, strict=True)
    lines = [form.format(n=n, frame=f, y=y, x=x) for n, (f, y, x) in enumerate(rows)]
    if name == "decimal commas":
        lines = [line.replace(".", ",") for line in lines]
    place.mkdir()
    (place / "points.csv").write_text("\n".join([header, *lines]))
    try:
        points = read_points(place / "points.csv")
    except InputError as error:
        return str(error).replace(str(place), "PATH")
    expected = np.column_stack([FRAME, Y, X])
    found = np.column_stack([points.frame, points.centroid])
    return "as written" if np.array_equal(found, expected) else "WRONG"


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of formats: how they are read."""
    yield ["input", "is read"]
    yield from result["movies"].items()
    for name, answer in result["tables"].items():
        yield [f"table of {name}", answer]


@click.command()
def formats() -> None:
    """Write a movie and its points in every known format, and read them."""
    with TemporaryDirectory() as place:
        answer = {
            "movies": {
                name: movie_answer(write, Path(place) / f"m{number}")
                for number, (name, write) in enumerate(MOVIES.items())
            },
            "tables": {
                name: table_answer(name, Path(place) / f"t{number}")
                for number, name in enumerate(TABLES)
            },
        }
    for row in table(answer):
        print(f"{row[0]:35} {row[1]}")
    print(f"written to {write_result('formats', answer)}")
