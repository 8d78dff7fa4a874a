"""Find the frame number in file names, and the series that each file belongs to.

Names are split into numbers and the text between them. Files with the same text are compared: a
number that varies is the frame, or separates series, such as wells, positions and channels. The
words before numbers decide, in the formats of microscopes and programs:

- Micro-Manager: img_000000001_DAPI_000, img_channel000_position001_time000000002_z000
- Incucyte: Vessel_B2_1_00d06h30m, Vessel_B2_1_2021y03m02d_10h00m (well, image, time)
- ImageXpress and MetaMorph: TimePoint_2/Plate_B02_s1_w1, Plate_w1DAPI_s1_t2
- Leica: Series001_t00_ch00; Zeiss: _s01t02; Yokogawa: _B03_T0001F001L01A01Z01C01;
  Operetta: r01c01f01p01-ch1sk2fk1fl1
- days and hours in separate fields: day1_hour06, 1d_6h; dates: 2021-03-31, 31.03.2021, 31-03-2021,
  31032021
- CellProfiler and Cellpose: the name of the image, followed by a word
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from trackastra_engine.movie.name_numbers import (
    CLOCKS,
    TOKEN_WITHOUT_STAMP,
    CutName,
    Number,
    cut_name,
    is_even,
    token_of,
    value_of,
    with_decimals,
    with_units_joined,
)

TIME_WORDS = {"t", "time", "timepoint", "timestep", "tp", "frame", "fr", "sk"}
# Words that never count frames, and those that do only if no other number varies.
PLACE_WORDS = {
    *("pos", "position", "well", "site", "field", "fov", "scene", "tile", "xy", "stage", "view"),
    *("ch", "channel", "wavelength", "wv", "fld"),
}
MINOR_WORDS = {
    *("z", "c", "w", "s", "f", "p", "r", "l", "a", "g", "k", "fk", "fl", "slice", "plane"),
    *("series", "point"),
}


@dataclass(frozen=True, slots=True)
class Series:
    """F files of one movie, sorted by frame."""

    pattern: str  # of their names, with * for the frame
    files: tuple[str, ...]
    numbers: tuple[Number, ...]  # (F,) ascending; empty if no number in the names varies
    kind: str = "number"  # or the format of a time: elapsed, timed, stamp, clock, date
    word: str = ""  # before the number, in lower case

    def gaps(self) -> list[tuple[str, str, int]]:
        """Return the pairs of files between which frames are missing, and the number of these.

        One frame is the shortest step; for times of a clock, which are slightly irregular, it is
        the median step.
        """
        steps = [after - before for before, after in pairwise(self.numbers)]
        if not steps or min(steps) <= 0:
            return []
        step = sorted(steps)[len(steps) // 2] if self.kind in CLOCKS else min(steps)
        between = zip(pairwise(self.files), steps, strict=True)
        missing = [(*files, round(length / step) - 1) for files, length in between]
        return [gap for gap in missing if gap[2] > 0]

    def doubled(self) -> tuple[str, str] | None:
        """Return the names of two files of one frame, or None."""
        if not self.numbers:
            return None
        alike = zip(pairwise(self.numbers), pairwise(self.files), strict=True)
        return next((names for (one, other), names in alike if one == other), None)


def find_series(names: Iterable[str]) -> list[Series]:
    """Return the series of some names, without suffixes, in natural order."""
    ordered = sorted(names, key=natural_key)
    token = token_of(ordered)
    cuts = [cut_name(name, token) for name in ordered]
    if len({len(CLOCKS.intersection(cut.kinds)) for cut in cuts}) > 1:
        cuts = [cut_name(name, TOKEN_WITHOUT_STAMP) for name in ordered]  # a date, and an index
    groups: dict[object, list[CutName]] = {}
    for cut in cuts:
        groups.setdefault(cut.template, []).append(cut)
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        return [Series("*", tuple(name.name for (name,) in groups.values()), ())]
    joined = (with_units_joined(with_decimals(group)) for group in groups.values())
    return [series for group in joined for series in _split(group)]


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a sort key that puts t9999 before t10000."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _split(group: list[CutName]) -> list[Series]:
    """Return the series of names that differ only in numbers."""
    values = [
        [value_of(*pair) for pair in zip(name.written, name.kinds, strict=True)] for name in group
    ]
    columns = list(zip(*values, strict=True))
    words = group[0].words()
    varying = [at for at, column in enumerate(columns) if len(set(column)) > 1]
    frame = _frame_column(columns, words, group[0].kinds, varying)
    if frame is None and columns and not varying:
        frame = len(columns) - 1
    apart = [
        at
        for at in varying
        if at != frame and (words[at] in PLACE_WORDS or _separates(columns, frame, at))
    ]
    series: dict[object, list[int]] = {}
    for row in range(len(group)):
        series.setdefault(tuple(columns[at][row] for at in apart), []).append(row)
    return [
        _series([group[row] for row in rows], [values[row] for row in rows], frame)
        for rows in series.values()
    ]


def _separates(columns: Sequence[Sequence[Number]], frame: int | None, at: int) -> bool:
    """Return whether a column separates series: frames repeat, or their order differs from it.

    Frames that are numbered evenly, or in the order of all numbers, are one series: another number
    that varies is then, for example, their time.
    """
    if frame is None or len(set(columns[frame])) < len(columns[frame]):
        return True
    if is_even(columns[frame]) or _is_natural(columns, frame):
        return False
    ordered = [value for _, value in sorted(zip(columns[frame], columns[at], strict=True))]
    return ordered != sorted(ordered)


def _is_natural(columns: Sequence[Sequence[Number]], frame: int) -> bool:
    """Return whether a number ascends in the order of all numbers, from the left to the right."""
    rows = sorted(zip(*columns, strict=True))
    return [row[frame] for row in rows] == sorted(columns[frame])


def _series(group: list[CutName], values: list[list[Number]], frame: int | None) -> Series:
    if frame is None:
        return Series(group[0].name, tuple(name.name for name in group), ())
    order = sorted(range(len(group)), key=lambda row: values[row][frame])
    first, pattern = group[0], group[0].texts[0]
    for at, text in enumerate(first.texts[1:]):
        is_same = len({name.written[at] for name in group}) == 1 and at != frame
        pattern += (first.written[at] if is_same else "*") + text
    return Series(
        pattern,
        tuple(group[row].name for row in order),
        tuple(values[row][frame] for row in order),
        first.kinds[frame],
        first.words()[frame],
    )


def _frame_column(
    columns: Sequence[Sequence[Number]],
    words: Sequence[str],
    kinds: Sequence[str],
    varying: Sequence[int],
) -> int | None:
    """Return the column of the number that counts frames, or None."""
    usable = [at for at in varying if words[at] not in PLACE_WORDS]
    if not TIME_WORDS.isdisjoint(words):  # a time that may not vary
        usable = [at for at in usable if words[at] not in MINOR_WORDS]
    plain = [at for at in usable if kinds[at] == "number" and words[at] not in MINOR_WORDS]
    unique = [at for at in plain if len(set(columns[at])) == len(columns[at])]
    even = [at for at in unique if is_even(columns[at])]
    by_one = [at for at in even if max(columns[at]) - min(columns[at]) == len(columns[at]) - 1]
    natural = [at for at in unique if _is_natural(columns, at)]
    for candidates in (
        [at for at in usable if kinds[at] in ("elapsed", "timed")],
        [at for at in plain if words[at] in TIME_WORDS],
        by_one or even or natural or unique,
        [at for at in usable if kinds[at] in CLOCKS],
        plain,
        usable,
    ):
        if candidates:
            return candidates[-1]
    return None
