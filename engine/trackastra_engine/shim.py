"""Write a command `trackastra`, for programs that call upstream's: TrackMate and scripts.

It is a script in the folder of programs of an environment, and a package in its Python for
`python -m trackastra.cli`, which TrackMate called until the end of 2025.
"""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine import system
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file, new_folder

MARK = "Written by trackastra-engine shim"
MODULE = "trackastra_engine.cli.as_upstream"
POSIX = """\
#!/bin/sh
# {mark}: `trackastra` is trackastra-engine.
exec {command} "$@"
"""
WINDOWS = """\
@rem {mark}: `trackastra` is trackastra-engine.
@{command} %*
"""
PACKAGE = """\
\"\"\"{mark}: `trackastra.cli` is trackastra-engine.\"\"\"
"""
CLI = """\
\"\"\"{mark}: `python -m trackastra.cli` is trackastra-engine.\"\"\"

import os
import subprocess
import sys

command = {command!r} + sys.argv[1:]
if os.name == "posix":  # so that a kill of this process kills the engine
    os.execv(command[0], command)
sys.exit(subprocess.call(command))
"""


@dataclass(frozen=True, slots=True)
class Shim:
    """The written script and package."""

    script: Path
    package: Path | None  # None if the folder belongs to no environment of Python


def write_shim(folder: Path, *, max_distance: str | None = None) -> Shim:
    """Write an executable `trackastra` into a folder of programs, which runs this engine.

    If the folder contains a Python, a package `trackastra` for `python -m trackastra.cli` is added
    to its modules. max_distance: the longest link if a call gives none, such as "40" or "12um".

    Raises InputError if the folder does not exist, or contains another such program or package.
    """
    if not folder.is_dir():
        raise InputError(
            f"the folder {folder} does not exist; give a folder of programs, such as bin"
        )
    path = folder / ("trackastra.cmd" if system.ON_WINDOWS else "trackastra")
    _reject_foreign(path, path)
    modules = _modules_of(folder)
    package = None if modules is None else modules / "trackastra"
    if package is not None and package.exists():
        _reject_foreign(package / "__init__.py", package)
    command = [sys.executable, "-P", "-m", MODULE]
    if max_distance is not None:
        command += ["--default-max-distance", max_distance]
    if package is not None:
        with new_folder(package) as partial:
            (partial / "__init__.py").write_text(PACKAGE.format(mark=MARK), "utf-8")
            (partial / "cli.py").write_text(CLI.format(mark=MARK, command=command), "utf-8")
    with new_file(path) as partial:
        partial.write_bytes(_script(command))
        partial.chmod(0o755)
    return Shim(path, package)


def _script(command: list[str]) -> bytes:
    """Return the script that runs a command, in the encoding of the system's shell."""
    if system.ON_WINDOWS:
        quoted = subprocess.list2cmdline(command).replace("%", "%%")
        return WINDOWS.format(mark=MARK, command=quoted).replace("\n", "\r\n").encode("oem")
    return os.fsencode(POSIX.format(mark=MARK, command=shlex.join(command)))


def _reject_foreign(file: Path, named: Path) -> None:
    """Raise InputError if a file that would be replaced was not written by an earlier shim."""
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    if named.exists() and MARK not in text:
        raise InputError(
            f"{named} is another program, perhaps upstream's; choose another folder or remove it"
        )


def _modules_of(folder: Path) -> Path | None:
    """Return the folder of modules of the Python in a folder of programs, or in the one above."""
    name = "python.exe" if system.ON_WINDOWS else "python"
    # conda has Python above Scripts on Windows.
    found = [place / name for place in (folder, folder.parent) if (place / name).is_file()]
    if not found:
        return None
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [str(found[0]), "-X", "utf8", "-c", code]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    modules = Path(done.stdout.strip() or "?")
    return modules if done.returncode == 0 and modules.is_dir() else None
