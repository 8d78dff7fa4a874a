"""Choose the corrections of a run, and build the command that links again with more of them."""

import logging
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import Detections, find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.files.replace import MOVED, PRIVATE
from trackastra_engine.linking.correction_table import read_corrections
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.output.formats import CORRECTIONS
from trackastra_engine.output.saved_tracks import has_tables, read_tracks
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


def corrections_of(given: Sequence[Path], results: Path | None) -> Corrections | None:
    """Return the corrections of some files, or else those stored in a folder of results.

    So a run with another model or other options applies them, too. Raises InputError for files that
    cannot be read or contradict each other.
    """
    if given:
        return read_corrections(given)
    path = None if results is None else stored_corrections(results)
    if path is None:
        return None
    corrections = read_corrections([path])
    logger.log(
        NOTICE,
        "applied the corrections in %s (%d); remove the file to link without them",
        path,
        len(corrections),
    )
    return corrections


def stored_corrections(results: Path) -> Path | None:
    """Return the table of corrections in a folder of results, or None."""
    # The second folder is from a run that died while it moved its results.
    tables = (folder / CORRECTIONS for folder in (results, results / PRIVATE / MOVED))
    return next(filter(Path.is_file, tables), None)


def check_same_movie(corrections: Corrections, results: Path, detections: Detections) -> None:
    """Raise InputError if the objects that corrections name lie elsewhere than in earlier results.

    Then the masks are others, and the corrections, which are those of the results, would link other
    objects. Results without tables are not compared.
    """
    folder = next(filter(has_tables, (results, results / PRIVATE / MOVED)), None)
    if folder is None:
        return
    earlier = read_tracks(folder).lineage.detections
    for ends in (corrections.source, corrections.target):
        now, before = find_rows(detections, ends), find_rows(earlier, ends)
        is_known = (now >= 0) & (before >= 0)
        now, before, places = now[is_known], before[is_known], ends[is_known]
        moved = np.linalg.norm(detections.centroid[now] - earlier.centroid[before], axis=1)
        is_other = moved > np.maximum(detections.features[now, 0], 1)
        if is_other.any():
            frame, label = places[np.argmax(is_other)].tolist()
            raise InputError(
                f"the corrections in {results} are of other masks: object {label} of frame {frame} "
                f"lies elsewhere; remove {CORRECTIONS}, or give it with --corrections"
            )


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
