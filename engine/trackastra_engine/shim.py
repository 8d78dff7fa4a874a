"""A command called `trackastra`, for programs that know upstream's: TrackMate and scripts."""

import os
import shlex
import sys
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file

MARK = "Written by trackastra-engine shim"
POSIX = """\
#!/bin/sh
# {mark}: `trackastra` is trackastra-engine.
exec {python} -P -m trackastra_engine "$@"
"""
WINDOWS = """\
@rem {mark}: `trackastra` is trackastra-engine.
@{python} -P -m trackastra_engine %*
"""


def write_shim(folder: Path) -> Path:
    """Write an executable `trackastra` that runs this engine into a folder, and return its path.

    Raises InputError if the folder is not there or holds another program of that name.
    """
    on_windows = os.name == "nt"
    path = folder / ("trackastra.cmd" if on_windows else "trackastra")
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist; give one that programs are found in")
    if path.exists() and MARK not in path.read_text(errors="replace"):
        raise InputError(
            f"{path} is another program, perhaps upstream's; choose another folder or remove it"
        )
    with new_file(path) as partial:
        python = f'"{sys.executable}"' if on_windows else shlex.quote(sys.executable)
        partial.write_text((WINDOWS if on_windows else POSIX).format(mark=MARK, python=python))
        partial.chmod(0o755)
    return path
