"""Write the figures of a result as JSON."""

import json
from pathlib import Path
from typing import Any

from trackastra_engine.files.atomic import check_output_file, new_file


def check_figures_file(path: Path, first_name: str) -> None:
    """Raise InputError if figures cannot be written, or would replace another kind of file.

    Earlier figures are recognised by the name of the first figure.
    """
    check_output_file(path, overwrite=None, first_line=f'{{\n "{first_name}"')


def write_figures(figures: dict[str, Any], path: Path) -> None:
    """Write figures, one per line; the file appears when it is complete."""
    with new_file(path) as partial:
        partial.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
