"""Files of a folder that a user selects by a pattern: a glob, or a regular expression."""

import fnmatch
import re
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.movie.frame_names import Series
from trackastra_engine.movie.name_numbers import Number


def of_pattern(files: list[Path], folder: Path, pattern: str) -> list[Path]:
    """Return the files whose names, with or without suffixes, fit a pattern."""
    if "(?P<frame>" in pattern:
        expression = _compiled(pattern)
        return [path for path in files if expression.search(str(path.relative_to(folder)))]
    patterns = (pattern, f"{pattern}.*")
    return [
        path
        for path in files
        if any(fnmatch.fnmatch(str(path.relative_to(folder)), known) for known in patterns)
    ]


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"the pattern {pattern!r} is no regular expression ({error}); give one with a group "
            "named frame, such as Exp_B2_(?P<frame>\\d+), or a glob such as Exp_B2_*"
        ) from None


def matched(files: list[Path], folder: Path, pattern: str) -> Series:
    """Return the series with the frame numbers that a regular expression finds."""
    expression, numbered = _compiled(pattern), []
    for path in files:
        match = expression.search(str(path.relative_to(folder)))
        text = "" if match is None else match["frame"] or ""
        try:
            number: Number = int(text) if text.isdecimal() else float(text)
        except ValueError:
            raise InputError(
                f"the pattern {pattern!r} matches {text!r} of {path.name} as the frame; its group "
                "frame must match a number"
            ) from None
        numbered.append((number, str(path.relative_to(folder).with_suffix(""))))
    numbers, names = zip(*sorted(numbered), strict=True)
    return Series(pattern, names, numbers)
