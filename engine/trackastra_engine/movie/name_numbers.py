"""Split file names into numbers and the text between them, and join the fields of a time."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, repeat

Number = int | float

TIME_UNITS = r"hours?|hrs?|h|minutes?|mins?|seconds?|secs?|s|ms|days?|d"
GUID = r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}"
STAMP = (
    r"|(?P<stamp>(?:19|20)\d\d[-_y]?[01]\d[-_m]?[0-3]\d(?:d_|[-_T ])"
    r"(?:[0-2]\d[-_:h][0-5]\dm?(?:[-_:][0-5]\d)?|[0-2]\d[0-5]\d[0-5]\d)(?!\d))"
    r"|(?P<clock>(?<![\d-])[0-2]\d(?P<sign>[-:])[0-5]\d(?P=sign)[0-5]\d(?![\d-]))"
)
NUMBERS = (
    r"|(?P<elapsed>(?:\d+d[-_]?)?\d+h[-_]?\d+m(?:in)?(?:[-_]?\d+s)?(?![a-z]))"
    rf"|(?P<timed>\d+(?:[.,]\d+)?(?=(?:{TIME_UNITS})(?![a-z0-9])))"
    r"|(?P<number>\d+)"
)
DAY, MONTH, YEAR = r"(?:0[1-9]|[12]\d|3[01])", r"(?:0[1-9]|1[0-2])", r"(?:19|20)\d\d"
NO_DATE_BEFORE = r"(?<![A-Za-z\d.-])"
# A date with the day first for sure; in 05-01-2024, the month may be first.
AFTER_12 = r"(?:1[3-9]|2\d|3[01])"
DAY_FIRST = re.compile(rf"{NO_DATE_BEFORE}{AFTER_12}([-_]){MONTH}\1{YEAR}(?!\d)")
# The same without marks, such as 31012024.
COMPACT_DATE = rf"(?<!\d){DAY}{MONTH}{YEAR}(?!\d)"
COMPACT_DAY_FIRST = re.compile(rf"(?<!\d){AFTER_12}{MONTH}{YEAR}(?!\d)")


def _token(marks: str, compact: str = "") -> re.Pattern[str]:
    """Return the expression of a number or a time.

    marks: in dates with the day first; compact: further alternatives for dates.
    """
    date = (
        rf"|(?P<date>{NO_DATE_BEFORE}(?:{YEAR}(?P<dot>[-.]){MONTH}(?P=dot){DAY}"
        rf"|{DAY}(?P<mark>[{marks}]){MONTH}(?P=mark){YEAR})(?!\d){compact})"
    )
    return re.compile(f"(?P<guid>{GUID}){STAMP}{date}{NUMBERS}", re.IGNORECASE)


TOKEN, TOKEN_DAY_FIRST = _token("."), _token("._-")
TOKEN_COMPACT_DATE = _token("._-", f"|{COMPACT_DATE}")


def token_of(names: Sequence[str]) -> re.Pattern[str]:
    """Return the expression of a number or a time in the names of a folder."""
    are_compact = all(re.search(COMPACT_DATE, name) for name in names)
    if are_compact and any(map(COMPACT_DAY_FIRST.search, names)):
        return TOKEN_COMPACT_DATE
    return TOKEN_DAY_FIRST if any(map(DAY_FIRST.search, names)) else TOKEN


TOKEN_WITHOUT_STAMP = re.compile(f"(?P<guid>{GUID}){NUMBERS}", re.IGNORECASE)
CLOCKS = {"stamp", "clock", "date"}  # kinds of numbers: date and time of day, or one of the two
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}  # by the first letter of a unit
UNIT_BELOW = {"d": ("h", 24), "h": ("m", 60), "m": ("s", 60)}  # smaller unit, and how many
UNIT_WORD = re.compile(
    r"(?<![a-z])(days?|hours?|hrs?|min(?:ute)?s?|sec(?:ond)?s?)[ _=-]?$", re.IGNORECASE
)
WORD = re.compile(r"([A-Z]+|[A-Z]?[a-z]+)[ _=.(-]?$")  # T, Time or time, also after a word
WELL = re.compile(r"(?:^|[^A-Za-z0-9])[A-P]$")  # the letter before the number of a column
MICROMANAGER_1 = re.compile(r"img_\d{9}_.*_\d{3}")  # time, channel, plane


@dataclass(frozen=True, slots=True)
class CutName:
    """A name, split into K numbers and the K + 1 texts around them."""

    name: str
    texts: tuple[str, ...]
    written: tuple[str, ...]
    kinds: tuple[str, ...]

    @property
    def template(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the parts that are common to files of one series."""
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


def cut_name(name: str, token: re.Pattern[str]) -> CutName:
    """Return a name, split at the numbers that an expression finds."""
    texts, written, kinds, end = [""], [], [], 0
    for match in token.finditer(name):
        texts[-1] += name[end : match.start()]
        end, kind = match.end(), str(match.lastgroup)
        if kind == "guid":  # of ImageXpress, different for each file
            texts[-1] += "*"
            continue
        texts.append("")
        written.append(match[0])
        kinds.append(kind)
    texts[-1] += name[end:]
    return CutName(name, tuple(texts), tuple(written), tuple(kinds))


def with_decimals(group: list[CutName]) -> list[CutName]:
    """Return names with numbers around a point or comma joined, if steps become equal."""
    for at in range(len(group[0].kinds) - 1):
        kinds = group[0].kinds[at : at + 2]
        if group[0].texts[at + 1] not in (".", ",") or set(kinds) != {"number"}:
            continue
        wholes = {name.written[at] for name in group}
        fractions = [name.written[at + 1] for name in group]
        decimals = [float(f"{name.written[at]}.{name.written[at + 1]}") for name in group]
        if len(wholes) == 1 and is_even([int(text) for text in fractions]):
            continue
        if is_even(decimals) or (len(wholes) > 1 and len(set(map(len, fractions))) > 1):
            pairs = (".".join(name.written[at : at + 2]) for name in group)
            joined = [_joined(*pair) for pair in zip(group, repeat(at), pairs, repeat("timed"))]
            return with_decimals(joined)
    return group


def with_units_joined(group: list[CutName]) -> list[CutName]:
    """Return names with the fields of one time joined to one number, as in day1_hour06 or 1d_6h.

    Only if the larger unit varies and the smaller one stays below it. Single letters before numbers
    are no units: d1 may be a dish.
    """
    for at in range(len(group[0].kinds) - 1):
        units = [_units(group[0], column) for column in (at, at + 1)]
        below, most = UNIT_BELOW.get(units[0][-1:], ("", 0))
        if not below or units[1][:1] != below or len({name.written[at] for name in group}) == 1:
            continue
        first_parts = [re.match(r"\d+(?:\.\d+)?", name.written[at + 1]) for name in group]
        if all(part is not None and float(part[0]) < most for part in first_parts):
            return with_units_joined([_as_elapsed(name, at, *units) for name in group])
    return group


def _units(name: CutName, at: int) -> str:
    """Return the first letters of the units of a number, d, h, m and s; empty without a unit."""
    if name.kinds[at] == "elapsed":
        return "".join(re.findall("[dhms]", name.written[at].lower().replace("min", "m")))
    if name.kinds[at] == "timed":
        unit = re.match(TIME_UNITS, name.texts[at + 1], re.IGNORECASE)
        return "" if unit is None or unit[0].lower() == "ms" else unit[0][0].lower()
    if name.kinds[at] != "number":
        return ""
    between = re.fullmatch(f"({TIME_UNITS})[ _-]?", name.texts[at + 1], re.IGNORECASE)
    word = between or UNIT_WORD.search(name.texts[at])
    return "" if word is None or word[1].lower() == "ms" else word[1][0].lower()


def _as_elapsed(name: CutName, at: int, *units: str) -> CutName:
    written = "".join(
        number if name.kinds[at + place] == "elapsed" else number + units[place]
        for place, number in enumerate(name.written[at : at + 2])
    )
    return _joined(name, at, written, "elapsed")


def _joined(name: CutName, at: int, number: str, kind: str) -> CutName:
    return CutName(
        name.name,
        name.texts[: at + 1] + name.texts[at + 2 :],
        (*name.written[:at], number, *name.written[at + 2 :]),
        (*name.kinds[:at], kind, *name.kinds[at + 2 :]),
    )


def is_even(numbers: Sequence[Number]) -> bool:
    """Return whether numbers are all different and have equal steps."""
    ordered = sorted(numbers)
    steps = [after - before for before, after in pairwise(ordered)]
    return bool(steps) and min(steps) > 0 and max(steps) - min(steps) <= 1e-6 * max(steps)


def may_pass_midnight(times: Sequence[Number]) -> bool:
    """Return whether ascending times of day, in seconds, have a longer pause than at midnight."""
    steps = [after - before for before, after in pairwise(times)]
    return max(steps, default=0) > SECONDS["d"] - (times[-1] - times[0])


def value_of(written: str, kind: str) -> Number:
    """Return a number, or a time in seconds or as its digits, in the order of frames."""
    if kind == "elapsed":
        parts = re.findall(r"(\d+(?:\.\d+)?)[-_ ]?([dhms])", written.lower().replace(",", "."))
        seconds = math.fsum(float(number) * SECONDS[unit] for number, unit in parts)
        return int(seconds) if seconds.is_integer() else seconds
    if kind == "clock":
        hours, minutes, seconds = map(int, re.split("[-:]", written))
        return 3600 * hours + 60 * minutes + seconds
    if kind == "date":
        from datetime import date

        is_compact = written.isdecimal()
        parts = re.findall(r"\d\d(?:\d\d$)?" if is_compact else r"\d+", written)
        numbers = list(map(int, parts))
        year, month, day = numbers if numbers[0] > 31 else reversed(numbers)
        return SECONDS["d"] * (date(year, month, 1).toordinal() + day)
    if kind == "stamp":
        from datetime import datetime

        digits = re.sub(r"\D", "", written).ljust(14, "0")
        try:
            return int(
                (datetime.strptime(digits, "%Y%m%d%H%M%S") - datetime(1900, 1, 1)).total_seconds()
            )
        except ValueError:  # no day of a calendar
            return int(digits)
    return int(written) if written.isdecimal() else float(written.replace(",", "."))
