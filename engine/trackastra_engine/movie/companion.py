"""OME-TIFF files with their metadata in another file, the companion."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from trackastra_engine.errors import InputError, first_line
from trackastra_engine.movie.tiff_damage import EXPORT_AGAIN

if TYPE_CHECKING:
    import tifffile

logger = logging.getLogger(__name__)

SUFFIX = ".companion.ome"


def first_of_companion(path: Path) -> tuple[Path, str | None]:
    """Return the first TIFF that a companion file names, and its metadata.

    Any other path is returned as it is, with None. Raises InputError if no file that the companion
    names exists.
    """
    if not path.name.lower().endswith(SUFFIX):
        return path, None
    text = path.read_text("utf-8", errors="replace")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(
            f"{path} is no companion file of OME ({first_line(error)}); {EXPORT_AGAIN}"
        ) from None
    named = [uuid.get("FileName", "") for uuid in root.findall(".//{*}UUID")]
    there = [path.parent / name for name in named if name and (path.parent / name).is_file()]
    if not there:
        names = ", ".join(dict.fromkeys(named)) or "no file"
        raise InputError(
            f"{path} names {names}, but its folder contains none of them; copy them there"
        )
    return there[0], text


def describe_by_companion(path: Path, file: "tifffile.TiffFile", text: str | None) -> None:
    """Describe a file of a set by its companion: the given text, or the file next to it.

    Without a companion, only the planes of the file itself are known.
    """
    if not file.pages or "<BinaryOnly" not in file.pages[0].description:
        return
    if text is None:
        try:
            root = ElementTree.fromstring(file.pages[0].description)
        except ElementTree.ParseError:
            return
        named = root.findall(".//{*}BinaryOnly")[0].get("MetadataFile", "")
        companion = path.parent / named
        if named and companion.is_file() and companion.name.lower().endswith(".ome"):
            text = companion.read_text("utf-8", errors="replace")
    if text is None:
        logger.warning(
            "%s is described by %s, which does not exist; only its own planes are read",
            *(path, named or "another file"),
        )
        file.is_ome = False
    else:
        file.pages[0].description = text
