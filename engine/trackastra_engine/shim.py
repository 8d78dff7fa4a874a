"""A command called `trackastra`, for programs that know upstream's: TrackMate and scripts.

It is a script among the programs of an environment and, for `python -m trackastra.cli`, as
TrackMate called upstream until the end of 2025, a package among the modules of its Python.
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
if os.name == "posix":  # so that whoever kills this process kills the engine
    os.execv(command[0], command)
sys.exit(subprocess.call(command))
"""


@dataclass(frozen=True, slots=True)
class Shim:
    """What was written."""

    script: Path
    package: Path | None  # None if the folder belongs to no environment of Python


def write_shim(folder: Path, *, max_distance: str | None = None) -> Shim:
    """Write an executable `trackastra` that runs this engine into a folder of programs.

    If a Python lies there, a package `trackastra` for `python -m trackastra.cli` is written among
    its modules. max_distance: the longest link where a call gives none, such as "40" or "12um".

    Raises InputError if the folder is not there, or another program or package of that name is.
    """
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist; give one that programs are found in")
    path = folder / ("trackastra.cmd" if system.ON_WINDOWS else "trackastra")
    _refuse_foreign(path, path)
    modules = _modules_beside(folder)
    package = None if modules is None else modules / "trackastra"
    if package is not None and package.exists():
        _refuse_foreign(package / "__init__.py", package)
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


def _refuse_foreign(file: Path, named: Path) -> None:
    """Raise InputError if a file that would be replaced was not written by an earlier shim."""
    text = file.read_text("utf-8", errors="replace") if file.is_file() else ""
    if named.exists() and MARK not in text:
        raise InputError(
            f"{named} is another program, perhaps upstream's; choose another folder or remove it"
        )


def _modules_beside(folder: Path) -> Path | None:
    """Return where the Python of a folder of programs, or of the one above, has its modules."""
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
