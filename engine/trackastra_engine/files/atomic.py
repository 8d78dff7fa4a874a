"""Files and folders that appear only when complete: written under another name, then renamed."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from secrets import token_hex

from trackastra_engine.errors import InputError
from trackastra_engine.system import is_mount, longest_path, patiently

LENGTH_BELOW = 80  # characters of the longest path of a result inside the output folder

SYSTEM_FILES = {".DS_Store", ".localized", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini"}


def check_output_folder(
    folder: Path, *, overwrite: bool, ours: Iterable[str], kept: str | None = None
) -> None:
    """Raise InputError if results cannot be written to a folder.

    An existing folder may contain only the entry `kept` and files of the system. With `overwrite`,
    it may also contain entries that match the patterns `ours`: other files must not be deleted.
    """
    if folder.resolve() == Path.cwd() or is_mount(folder):
        raise InputError(
            f"the output folder {folder} cannot be replaced as a whole; choose one inside it"
        )
    if folder.is_dir():
        names = (path.name for path in folder.iterdir())
        entries = sorted(name for name in names if name != kept and not is_of_system(name))
        foreign = [name for name in entries if not any(fnmatch(name, mine) for mine in ours)]
        if entries and not overwrite:
            raise InputError(
                f"the output folder {folder} is not empty; choose another or pass --overwrite"
            )
        if foreign:
            raise InputError(
                f"the output folder {folder} contains {foreign[0]}, which is not a result; "
                f"--overwrite replaces the whole folder, so choose another or remove this entry"
            )
    elif folder.exists():
        raise InputError(f"the output folder {folder} is a file; choose another name")
    check_parent(folder)


def is_of_system(name: str) -> bool:
    """Return whether macOS or Windows creates a file of this name when a folder is browsed."""
    return name in SYSTEM_FILES or name.startswith("._")


def check_output_file(path: Path, *, overwrite: bool | None, first_line: str | None = None) -> None:
    """Raise InputError if a result cannot be written to a file.

    overwrite: None if there is no such option. A file that begins with `first_line` is an earlier
    result and may always be replaced.
    """
    if path.is_dir():
        raise InputError(f"the output file {path} is a folder; give the name of a file")
    is_earlier = first_line is not None and path.exists() and _begins_with(path, first_line)
    if path.exists() and not overwrite and not is_earlier:
        remedy = "remove it" if overwrite is None else "pass --overwrite"
        raise InputError(f"the output file {path} exists; choose another or {remedy}")
    check_parent(path)


def _begins_with(path: Path, line: str) -> bool:
    with path.open("rb") as file:
        return file.read(len(line)) == line.encode()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that replaces `folder` at the end, unless an error occurs."""
    folder = folder.resolve()  # replace the target of a link, not the link
    with new_parents(folder):
        partial = _partial_name(folder)
        partial.mkdir()
        try:
            yield partial
            _replace_folder(partial, folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield the path of a file to write, which replaces `path` at the end."""
    with new_parents(path):
        partial = _partial_name(path)
        try:
            yield partial
            patiently(lambda: partial.replace(path))
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def _replace_folder(new: Path, old: Path) -> None:
    if not old.exists():
        patiently(lambda: new.rename(old))
        return
    # A folder cannot be renamed onto another: move the old one aside, and back if that fails.
    aside = new.with_name(new.name + ".old")
    patiently(lambda: old.rename(aside))
    try:
        patiently(lambda: new.rename(old))
    except BaseException:
        patiently(lambda: aside.rename(old))
        raise
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def new_parents(path: Path) -> Iterator[None]:
    """Create the folders above a path; remove them if the body of the context fails."""
    missing = [parent for parent in path.absolute().parents if not parent.exists()]
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for parent in missing:
            with suppress(OSError):  # raised if the folder is not empty
                parent.rmdir()
        raise


def _partial_name(path: Path) -> Path:
    path = path.absolute()
    # Not the process id: another machine or container may have the same one.
    return path.with_name(f".{path.name}.partial-{token_hex(4)}")


def check_parent(path: Path) -> None:
    """Raise InputError if a file or folder cannot be created at a path."""
    parent = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if parent is None:
        raise InputError(
            f"{path} cannot be written: {path.absolute().anchor} does not exist; "
            f"choose another place"
        )
    if not parent.is_dir():
        raise InputError(f"{path} cannot be written: {parent} is a file; choose another place")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written: {parent} is read-only; choose another place")
    longest = longest_path()
    if longest is not None and len(str(path.absolute())) > longest - LENGTH_BELOW:
        raise InputError(
            f"{path.absolute()} is too long: Windows allows {longest} characters, and results "
            f"need {LENGTH_BELOW} of them; choose a shorter path"
        )
