"""Which frame a file name means: the number that varies, and the series that it belongs to.

Names are cut into numbers and the text between them. Files of the same text are compared: a number
that varies is the frame, or tells series apart, such as wells, positions and channels. The words
before numbers decide, as microscopes and programs write them:

- Micro-Manager: img_000000001_DAPI_000, img_channel000_position001_time000000002_z000
- Incucyte: Vessel_B2_1_00d06h30m, Vessel_B2_1_2021y03m02d_10h00m (well, image, time)
- ImageXpress and MetaMorph: TimePoint_2/Plate_B02_s1_w1, Plate_w1DAPI_s1_t2
- Leica: Series001_t00_ch00; Zeiss: _s01t02; Yokogawa: _B03_T0001F001L01A01Z01C01;
  Operetta: r01c01f01p01-ch1sk2fk1fl1
- CellProfiler and Cellpose: the name of the image, and a word behind it
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Number = int | float

TIME_WORDS = {"t", "time", "timepoint", "timestep", "tp", "frame", "fr", "sk"}
# Words that never count frames, and letters that do if no other number varies.
PLACE_WORDS = {
    *("pos", "position", "well", "site", "field", "fov", "scene", "tile", "xy", "stage", "view"),
    *("ch", "channel", "wavelength", "wv", "fld"),
}
MINOR_WORDS = {
    *("z", "c", "w", "s", "f", "p", "r", "l", "a", "g", "k", "fk", "fl", "slice", "plane"),
    *("series", "point"),
}
TIME_UNITS = r"hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|ms|days?|d"
GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
STAMP = (
    r"|(?P<stamp>(?:19|20)\d\d[-_y]?[01]\d[-_m]?[0-3]\d(?:d_|[-_T ])"
    r"(?:[0-2]\d[-_:h][0-5]\dm?(?:[-_:][0-5]\d)?|[0-2]\d[0-5]\d[0-5]\d)(?!\d))"
    r"|(?P<clock>(?<![\d-])[0-2]\d(?P<sign>[-:])[0-5]\d(?P=sign)[0-5]\d(?![\d-]))"
)
NUMBERS = (
    r"|(?P<elapsed>(?:\d+d[-_]?)?\d+h[-_]?\d+m(?:in)?(?:[-_]?\d+s)?(?![a-z]))"
    rf"|(?P<timed>\d+(?:\.\d+)?(?=(?:{TIME_UNITS})(?![a-z0-9])))"
    r"|(?P<number>\d+)"
)
TOKEN = re.compile(f"(?P<guid>{GUID}){STAMP}{NUMBERS}", re.IGNORECASE)
TOKEN_WITHOUT_STAMP = re.compile(f"(?P<guid>{GUID}){NUMBERS}", re.IGNORECASE)
CLOCKS = {"stamp", "clock"}  # kinds of numbers: a date and time of day, or that alone
WORD = re.compile(r"([A-Z]+|[A-Z]?[a-z]+)[ _=.(-]?$")  # T, Time or time, also after a word
WELL = re.compile(r"(?:^|[^A-Za-z0-9])[A-P]$")  # the letter before the number of a column
MICROMANAGER_1 = re.compile(r"img_\d{9}_.*_\d{3}")  # time, channel, plane


@dataclass(frozen=True, slots=True)
class Series:
    """F files of one movie, sorted by frame."""

    pattern: str  # of their names, with * for the frame
    files: tuple[str, ...]
    numbers: tuple[Number, ...]  # (F,) ascending; empty where names hold no number that varies
    kind: str = "number"  # or elapsed, timed, stamp, clock: how a time is written

    def gaps(self) -> list[tuple[str, str, int]]:
        """Return between which two files frames are missing, and how many.

        The shortest step is that from frame to frame; the median one of times of a clock, which
        are never quite regular.
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


@dataclass(frozen=True, slots=True)
class _Name:
    """A name, cut into K numbers and the K + 1 texts around them."""

    name: str
    texts: tuple[str, ...]
    written: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def template(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return what files of one series have in common."""
        return tuple(text.lower() for text in self.texts), self.kinds

    def words(self) -> list[str]:
        """Return the word before each number, in lower case, or well."""
        if MICROMANAGER_1.fullmatch(self.name):
            return ["time", *[""] * (len(self.written) - 2), "z"]
        found = [WORD.search(text) for text in self.texts[:-1]]
        words = [match[1].lower() if match else "" for match in found]
        for at, text in enumerate(self.texts[:-1]):
            if WELL.search(text) and not re.match("[A-Za-z]", self.texts[at + 1]):
                words[at] = "well"
        return words


def find_series(names: Iterable[str]) -> list[Series]:
    """Return the series that some names, without suffixes, make; in natural order."""
    ordered = sorted(names, key=natural_key)
    cuts = [_cut(name, TOKEN) for name in ordered]
    if (
        len({len(CLOCKS.intersection(cut.kinds)) for cut in cuts}) > 1
    ):  # a date, and an index behind it
        cuts = [_cut(name, TOKEN_WITHOUT_STAMP) for name in ordered]
    groups: dict[object, list[_Name]] = {}
    for cut in cuts:
        groups.setdefault(cut.template, []).append(cut)
    if len(groups) > 1 and all(len(group) == 1 for group in groups.values()):
        return [Series("*", tuple(name.name for (name,) in groups.values()), ())]
    return [series for group in groups.values() for series in _split(_with_decimals(group))]


def natural_key(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key by which t9999 comes before t10000."""
    parts = re.split(r"(\d+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name


def _cut(name: str, token: re.Pattern[str]) -> _Name:
    texts, written, kinds, end = [""], [], [], 0
    for match in token.finditer(name):
        texts[-1] += name[end : match.start()]
        end, kind = match.end(), str(match.lastgroup)
        if kind == "guid":  # of ImageXpress, another for each file
            texts[-1] += "*"
            continue
        texts.append("")
        written.append(match[0])
        kinds.append(kind)
    texts[-1] += name[end:]
    return _Name(name, tuple(texts), tuple(written), tuple(kinds))


def _with_decimals(group: list[_Name]) -> list[_Name]:
    """Return names in which numbers around a point are one, where that makes equal steps."""
    for at in range(len(group[0].kinds) - 1):
        if group[0].texts[at + 1] != "." or set(group[0].kinds[at : at + 2]) != {"number"}:
            continue
        wholes = {name.written[at] for name in group}
        fractions = [name.written[at + 1] for name in group]
        decimals = [float(f"{name.written[at]}.{name.written[at + 1]}") for name in group]
        if len(wholes) == 1 and _is_even([int(text) for text in fractions]):
            continue
        if _is_even(decimals) or (len(wholes) > 1 and len(set(map(len, fractions))) > 1):
            return _with_decimals([_joined(name, at) for name in group])
    return group


def _joined(name: _Name, at: int) -> _Name:
    number = f"{name.written[at]}.{name.written[at + 1]}"
    return _Name(
        name.name,
        name.texts[: at + 1] + name.texts[at + 2 :],
        (*name.written[:at], number, *name.written[at + 2 :]),
        (*name.kinds[:at], "timed", *name.kinds[at + 2 :]),
    )


def _is_even(numbers: Sequence[Number]) -> bool:
    """Return whether numbers are all different and have equal steps."""
    ordered = sorted(numbers)
    steps = [after - before for before, after in pairwise(ordered)]
    return bool(steps) and min(steps) > 0 and max(steps) - min(steps) <= 1e-6 * max(steps)


def _split(group: list[_Name]) -> list[Series]:
    """Return the series of names that differ in nothing but numbers."""
    values = [
        [_value(*pair) for pair in zip(name.written, name.kinds, strict=True)] for name in group
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
        if at != frame and (words[at] in PLACE_WORDS or _tells_apart(columns, frame, at))
    ]
    series: dict[object, list[int]] = {}
    for row in range(len(group)):
        series.setdefault(tuple(columns[at][row] for at in apart), []).append(row)
    return [
        _series([group[row] for row in rows], [values[row] for row in rows], frame)
        for rows in series.values()
    ]


def _tells_apart(columns: Sequence[Sequence[Number]], frame: int | None, at: int) -> bool:
    """Return whether a column tells series apart: frames repeat, or go back and forth with it.

    Frames that are numbered evenly, or in the order of all numbers, are one series: what else
    differs is the time of each, for example.
    """
    if frame is None or len(set(columns[frame])) < len(columns[frame]):
        return True
    if _is_even(columns[frame]) or _is_natural(columns, frame):
        return False
    ordered = [value for _, value in sorted(zip(columns[frame], columns[at], strict=True))]
    return ordered != sorted(ordered)


def _is_natural(columns: Sequence[Sequence[Number]], frame: int) -> bool:
    """Return whether a number ascends in the order of all numbers, from the left to the right."""
    rows = sorted(zip(*columns, strict=True))
    return [row[frame] for row in rows] == sorted(columns[frame])


def _series(group: list[_Name], values: list[list[Number]], frame: int | None) -> Series:
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
    )


def _frame_column(
    columns: Sequence[Sequence[Number]],
    words: Sequence[str],
    kinds: Sequence[str],
    varying: Sequence[int],
) -> int | None:
    """Return which number counts frames, or None if none can."""
    usable = [at for at in varying if words[at] not in PLACE_WORDS]
    if not TIME_WORDS.isdisjoint(words):  # a time that may not vary
        usable = [at for at in usable if words[at] not in MINOR_WORDS]
    plain = [at for at in usable if kinds[at] == "number" and words[at] not in MINOR_WORDS]
    alone = [at for at in plain if len(set(columns[at])) == len(columns[at])]
    even = [at for at in alone if _is_even(columns[at])]
    by_one = [at for at in even if max(columns[at]) - min(columns[at]) == len(columns[at]) - 1]
    natural = [at for at in alone if _is_natural(columns, at)]
    for candidates in (
        [at for at in usable if kinds[at] in ("elapsed", "timed")],
        [at for at in plain if words[at] in TIME_WORDS],
        by_one or even or natural or alone,
        [at for at in usable if kinds[at] in CLOCKS],
        plain,
        usable,
    ):
        if candidates:
            return candidates[-1]
    return None


def _value(written: str, kind: str) -> Number:
    """Return a number, or a time in seconds or as its digits, that sorts as frames do."""
    if kind == "elapsed":
        size = {"d": 86400, "h": 3600, "m": 60, "s": 1}
        parts = re.findall(r"(\d+)([dhms])", written.lower())
        return sum(int(number) * size[unit] for number, unit in parts)
    if kind == "clock":
        hours, minutes, seconds = map(int, re.split("[-:]", written))
        return 3600 * hours + 60 * minutes + seconds
    if kind == "stamp":
        from datetime import datetime

        digits = re.sub(r"\D", "", written).ljust(14, "0")
        try:
            return int(
                (datetime.strptime(digits, "%Y%m%d%H%M%S") - datetime(1900, 1, 1)).total_seconds()
            )
        except ValueError:  # no day of a calendar
            return int(digits)
    return int(written) if written.isdecimal() else float(written)
