"""The movies of a batch: lines of a table, folders in a folder, or images of a plate."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.batch.record import files_of
from trackastra_engine.batch.summary import PAGE, TABLE
from trackastra_engine.errors import InputError
from trackastra_engine.files.csv_table import open_table
from trackastra_engine.movie.frame_names import natural_key
from trackastra_engine.movie.ome_zarr import is_in_zarr, list_images
from trackastra_engine.movie.remote import remote_address
from trackastra_engine.system import can_be_name

logger = logging.getLogger(__name__)

INPUTS = ("images", "masks", "points")  # options whose values are always paths
CONVENTION = (
    "an OME-Zarr plate, or a folder for each position, with masks and perhaps images in it, or "
    "points.csv"
)


@dataclass(frozen=True, slots=True)
class Position:
    """One movie of a batch."""

    name: str  # of its folder of results
    arguments: tuple[str, ...]  # of the command `track`: its inputs and options

    @property
    def gives_corrections(self) -> bool:
        """Return whether it names a table of corrections."""
        return any(argument.startswith("--corrections=") for argument in self.arguments)


def find_positions(movies: Path) -> list[Position]:
    """Return the positions of a manifest (.csv), a folder or an OME-Zarr plate.

    Raises InputError if there are none, or names are missing, repeated or not valid for folders.
    """
    if (address := remote_address(movies)) is not None:
        raise InputError(
            f"{address} is not on this machine, so batch cannot list its images; list them in a "
            f"table (.csv) with the columns name and masks, such as A1,{address}/A/1/0"
        )
    movies = movies.absolute()
    if movies.is_dir() and is_in_zarr(movies):
        found = [_of_image(place, movies) for place in list_images(movies)]
    elif movies.is_dir():
        found = list(_in_folder(movies))
    elif movies.is_file():
        found = list(_in_manifest(movies))
    else:
        raise InputError(f"{movies} does not exist; give a table (.csv) or {CONVENTION}")
    if not found:
        raise InputError(f"{movies} contains no position; give a table (.csv) or {CONVENTION}")
    _check_names(position.name for position in found)
    return found


def _of_image(place: Path, plate: Path) -> Position:
    """Return an image of a plate, whose masks are its labels."""
    name = "-".join(place.relative_to(plate).parts) or plate.stem
    return Position(name, ("--images", str(place), "--masks", str(place)))


def _in_folder(folder: Path) -> Iterator[Position]:
    """Yield the folders that contain masks or points, with any extension; warn of lone images."""
    for place in sorted(
        filter(Path.is_dir, folder.iterdir()), key=lambda place: natural_key(place.name)
    ):
        inputs: dict[str, Path] = {}
        for path in sorted(place.iterdir()):
            kind = path.name.split(".")[0].lower()
            if kind in INPUTS and kind in inputs:
                raise InputError(
                    f"both {inputs[kind]} and {path.name} may be the {kind} of that position; "
                    "rename one, or give a table (.csv)"
                )
            inputs[kind] = path
        given = [(name, inputs[name]) for name in INPUTS if name in inputs]
        if any(name != "images" for name, _ in given):
            arguments = (part for name, path in given for part in (f"--{name}", str(path)))
            yield Position(place.name, tuple(arguments))
        elif given:
            logger.warning("%s has images but no masks; it is left out", place)


def _in_manifest(path: Path) -> Iterator[Position]:
    """Yield the lines of a table with the columns `name`, INPUTS and any other option of `track`.

    Empty cells are skipped; paths are relative to the folder of the table.
    """
    table = open_table(path)
    columns = [name.strip().lower() for name in table.names]
    if "name" not in columns or not {"masks", "points"} & set(columns):
        raise InputError(
            f"{path} has the columns {', '.join(columns) or 'none'}; expected name, masks and "
            "perhaps images, or name and points, and any other option of track"
        )
    options = [name.replace("_", "-") for name in columns]
    if (twice := next((name for name in options if options.count(name) > 1), None)) is not None:
        raise InputError(f"{path} has several columns {twice}; leave only one of them")
    for _, row in table.rows():
        cells = [(name, cell.strip()) for name, cell in zip(columns, row, strict=True)]
        name = dict(cells)["name"]
        cells = [option for option in cells if option[0] != "name"]
        arguments = (part for option in cells if option[1] for part in _option(*option, path))
        yield Position(name, tuple(arguments))


def _option(column: str, cell: str, manifest: Path) -> tuple[str, ...]:
    path = manifest.parent / cell
    is_path = (column in INPUTS and remote_address(cell) is None) or path.is_file()
    value = str(path) if is_path else cell
    option = f"--{column.replace('_', '-')}"
    # In one word, the value of an option that takes none is not used as a path.
    return (option, value) if column in INPUTS else (f"{option}={value}",)


def _check_names(names: Iterable[str]) -> None:
    taken = dict.fromkeys((TABLE, PAGE), "the summary")
    for name in names:
        if name.startswith(".") or not can_be_name(name):
            raise InputError(f"the position {name!r} cannot be the name of a file; rename it")
        files = [file.casefold() for file in files_of(name)]  # many systems ignore case
        for file in files:
            if file in taken:
                raise InputError(
                    f"{taken[file]} and the position {name} would both write {file}; give each "
                    "position another name"
                )
        taken |= dict.fromkeys(files, name)
