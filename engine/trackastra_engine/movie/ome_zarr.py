"""Find the image or array of a store in OME-Zarr (0.1 to 0.5) or plain Zarr.

A store may contain a plate of wells and fields, several images (of bioformats2raw), one image and
its labels, or an array; an image is a pyramid of arrays.
"""

import logging
import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count, takewhile
from pathlib import Path, PurePosixPath
from typing import Any

from trackastra_engine.errors import InputError, MissingDependencyError, first_line, option
from trackastra_engine.movie.array_source import ArraySource
from trackastra_engine.movie.axes import UNKNOWN_AXIS, axes_of_dims
from trackastra_engine.movie.calibration import in_unit
from trackastra_engine.movie.remote import ReadAhead, can_list, is_remote, open_store
from trackastra_engine.movie.selection import LETTERS, Part
from trackastra_engine.movie.stored_array import COPY_AGAIN, StoredArray
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

METADATA_FILES = ("zarr.json", ".zgroup", ".zarray")
LETTER_OF_TYPE = {"time": "t", "channel": "c"}  # of axes with other names
N_SHOWN = 6  # positions that a message lists

Metadata = dict[str, Any]


def is_in_zarr(path: Path) -> bool:
    """Return whether a path is a Zarr group or array, or lies in one and is missing."""
    if path.suffix.lower() == ".zip" and path.is_file():
        return _root_in_zip(path) is not None
    if path.exists():
        return path.suffix == ".zarr" or _has_metadata(path)
    return any(map(_has_metadata, path.parents))


def _root_in_zip(path: Path) -> str | None:
    """Return the place of a Zarr group or array in a zip file, or None."""
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        found = [PurePosixPath(name) for name in archive.namelist()]
    roots = [name.parent for name in found if name.name in METADATA_FILES]
    outermost = min(roots, key=lambda root: len(root.parts), default=None)
    return None if outermost is None else str(outermost).strip(".")


def _has_metadata(path: Path) -> bool:
    return any((path / name).is_file() for name in METADATA_FILES)


def open_omezarr(place: Path | str, part: Part) -> ArraySource:
    """Return the frames of an image in a Zarr store, at a path or a remote address.

    Raises InputError if it is damaged or lacks the selected part, and MissingDependencyError for an
    address without the package that reads it.
    """
    with _opened(place) as node:
        import zarr

        image, name, part = _find_image(node, str(place), part)
        if isinstance(image, zarr.Array):
            return _plain_source(image, name, part)
        return _image_source(image, name, part)


def list_images(path: Path) -> list[Path]:
    """Return the places of all images in a Zarr store, such as plate.zarr/A/1/0.

    Raises InputError if it is damaged.
    """
    with _opened(path) as node:
        return list(_images_below(node, path))


def _images_below(node: Any, path: Path) -> Iterator[Path]:
    import zarr

    about = _metadata(node)
    if "multiscales" in about or not isinstance(node, zarr.Group):
        yield path
        return
    for child in _positions(node, about):
        yield from _images_below(node[child], path / child)


@contextmanager
def _opened(place: Path | str) -> Iterator[Any]:
    """Open a store as a Zarr group or array; errors in the store become InputError."""
    import zarr  # 0.5 s: only for such stores

    try:
        if isinstance(place, str):
            yield zarr.open(open_store(place), mode="r")
        elif place.suffix.lower() == ".zip":
            store = zarr.storage.ZipStore(place, mode="r")
            yield zarr.open(store, path=_root_in_zip(place) or "", mode="r")
        else:
            yield zarr.open(str(place), mode="r")
    except (InputError, MissingDependencyError):
        raise
    except FileNotFoundError:
        there = f"there is no Zarr group or array at {place}; check the address"
        raise InputError(_not_there(place) if isinstance(place, Path) else there) from None
    # On invalid metadata, zarr or the code here raises many kinds of errors.
    except Exception as error:
        if isinstance(place, Path):
            reason, advice = "is damaged, or no Zarr that can be read", COPY_AGAIN
        else:
            reason, advice = "cannot be reached or is damaged", "check address and connection"
        raise InputError(f"{place} {reason} ({first_line(error)}); {advice}") from error


def _find_image(node: Any, name: str, part: Part) -> tuple[Any, str, Part]:
    """Return the selected image or array, its name, and the part with the rest to select in it."""
    import zarr

    position, chosen = part.position, ""
    while isinstance(node, zarr.Group):
        about = _metadata(node)
        if "multiscales" in about:
            if part.kind != "masks" or "labels" not in node:
                break
            child = f"labels/{_only_label(node, name)}"
            logger.log(NOTICE, "masks are the labels %s/%s", name, child)
        elif position is None:
            child = _only_position(node, about, name, chosen)
        else:
            child, position = position.strip("/"), None
            if child not in node:
                positions = _listed(_positions(node, about))
                raise InputError(f"{name} has no position {child}; choose one of {positions}")
            chosen = f"{child}/"
        node, name = node[child], f"{name}/{child}"
    return node, name, replace(part, position=position)


def _metadata(group: Any) -> Metadata:
    attributes: Metadata = group.attrs.asdict()
    ome: Metadata = attributes.get("ome", attributes)  # since 0.5 all is in "ome"
    return ome


def _positions(group: Any, about: Metadata) -> list[str]:
    """Return the names of the positions or images in a group."""
    for kind, listed in (("plate", "wells"), ("well", "images")):
        if kind in about:
            return [str(child["path"]) for child in about[kind][listed]]
    if about.get("labels"):
        return list(about["labels"])
    if not can_list(group.store):  # numbered by bioformats2raw
        return list(takewhile(group.__contains__, map(str, count())))
    return sorted((name for name in group if name != "OME"), key=lambda name: (len(name), name))


def _only_position(group: Any, about: Metadata, name: str, chosen: str) -> str:
    """Return the only position in a group; chosen: the position so far, such as A/1/."""
    positions = _positions(group, about)
    if len(positions) == 1:
        return positions[0]
    if not positions:
        raise InputError(f"{name} contains no image; {COPY_AGAIN}")
    kind = "wells" if "plate" in about else "images"
    raise InputError(
        f"{name} contains {len(positions)} {kind}, {_listed(positions)}; choose one with "
        f"{option('position')}, such as {option('position', chosen + positions[0])}"
    )


def _only_label(image: Any, name: str) -> str:
    group = image["labels"]
    labels = _positions(group, _metadata(group))
    if len(labels) != 1:
        raise InputError(
            f"{name} contains {len(labels)} label images, {_listed(labels)}; give the path of one, "
            f"such as {name}/labels/{labels[0] if labels else 'NAME'}, as masks"
        )
    return labels[0]


def _not_there(path: Path) -> str:
    """Return the message for a path that is missing in a store, with the paths that exist."""
    import zarr

    above = next((parent for parent in path.parents if _has_metadata(parent)), None)
    group = zarr.open(str(above), mode="r") if above and not path.exists() else None
    there = _positions(group, _metadata(group)) if isinstance(group, zarr.Group) else []
    if there:
        return f"there is no {path}; {above} contains {_listed(there)}"
    return f"there is no Zarr group or array at {path}; check the path, or {COPY_AGAIN}"


def _listed(names: list[str]) -> str:
    return ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")


def _plain_source(array: Any, name: str, part: Part) -> ArraySource:
    """Return the frames of an array; its axes may have names of Zarr or xarray."""
    names = getattr(array.metadata, "dimension_names", None)
    names = names or array.attrs.get("_ARRAY_DIMENSIONS")
    axes = axes_of_dims(names) if names else None
    return _stored(ArraySource.open(array, name, part, axes=axes), part)


def _image_source(image: Any, name: str, part: Part) -> ArraySource:
    """Return the frames of one level of an image's pyramid."""
    about = _metadata(image)
    pyramid = about["multiscales"][0]
    dataset = _level(pyramid["datasets"], name, part)
    axes = [
        axis if isinstance(axis, dict) else {"name": axis}  # only names in 0.3, none before
        for axis in pyramid.get("axes", LETTERS)
    ]
    letters = "".join(map(_letter, axes))
    scales = [_scale(owner, len(axes)) for owner in (dataset, pyramid)]
    sizes = {
        letter: in_unit(letter, math.prod(scale[at] for scale in scales), axes[at].get("unit"))
        for at, letter in enumerate(letters)
    }
    channels = about.get("omero", {}).get("channels", [])
    source = ArraySource.open(
        image[dataset["path"]],
        name,
        replace(part, level=0),
        axes=letters,
        channels=tuple(str(channel.get("label", "")) for channel in channels),
        sizes=sizes,
    )
    return _stored(source, part)


def _level(datasets: list[Metadata], name: str, part: Part) -> Metadata:
    if part.is_with_images and len(datasets) == 1:
        return datasets[0]
    part.reject_level(name, len(datasets))
    return datasets[part.level]


def _letter(axis: Metadata) -> str:
    name = str(axis["name"]).lower()
    return name if name in LETTERS else LETTER_OF_TYPE.get(axis.get("type", ""), UNKNOWN_AXIS)


def _scale(owner: Metadata, n_axes: int) -> list[float]:
    """Return the scale of each axis, from the transformations of a level or a pyramid; else 1."""
    for transformation in owner.get("coordinateTransformations", []):
        if transformation["type"] == "scale":
            return [float(size) for size in transformation.get("scale", [math.nan] * n_axes)]
    return [1.0] * n_axes


def _stored(source: ArraySource, part: Part) -> ArraySource:
    stored, time_axis = source.array, source.order.axes.find("t")
    if is_remote(stored.store):
        stored = ReadAhead(stored, time_axis)
    array = StoredArray(stored, source.name, part.kind, time_axis)
    n_frames = source.n_frames
    if part.allow_incomplete and (n_written := array.n_written(n_frames)) < n_frames:
        logger.warning(
            "%s contains %d of its %d frames; the others are left out",
            source.name,
            n_written,
            n_frames,
        )
        n_frames = n_written
    return replace(source, array=array, n_frames=n_frames)
