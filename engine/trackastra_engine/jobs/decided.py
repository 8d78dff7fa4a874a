"""Choose the corrections of a run, and build the command that links again with more of them."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from trackastra_engine.files.replace import MOVED, PRIVATE
from trackastra_engine.linking.correction_table import read_corrections
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.output.formats import CORRECTIONS
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


def corrections_of(given: Sequence[Path], results: Path | None) -> Corrections | None:
    """Return the corrections of some files, or else those stored in a folder of results.

    So a run with another model or other options applies them, too. Raises InputError for files that
    cannot be read or contradict each other.
    """
    if given:
        return read_corrections(given)
    # The second folder is from a run that died while it moved its results.
    for folder in [] if results is None else [results, results / PRIVATE / MOVED]:
        path = folder / CORRECTIONS
        if path.is_file():
            corrections = read_corrections([path])
            logger.log(
                NOTICE,
                "applied the corrections in %s (%d); remove the file to link without them",
                path,
                len(corrections),
            )
            return corrections
    return None


def command_again(arguments: Sequence[str], linking: LinkingOptions) -> str:
    """Return the command that links again with the same options and the page's corrections."""
    changed = [
        (field.name.removesuffix("_s"), value)
        for field in fields(linking)
        if (value := getattr(linking, field.name)) != field.default
    ]
    options = [part for name, value in changed for part in (f"--{name.replace('_', '-')}", value)]
    words = ["trackastra-engine", *arguments, *options, "--corrections", CORRECTIONS]
    return shlex.join(map(str, words))
