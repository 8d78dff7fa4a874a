"""Options: frozen dataclasses, written to TOML and read from it with a check of every value."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, field, fields, is_dataclass
from difflib import get_close_matches
from json import dumps
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from trackastra_engine.errors import InputError

T = TypeVar("T")

WIDEST_COMMENT = 34  # columns before the comments of a written file


def option(
    default: T, text: str, *, low: float | None = None, high: float | None = None
) -> T:  # returns a field; type checkers must see the type of its value
    """Return a dataclass field with a default, one line for people, and the range allowed."""
    described: Any = field(default=default, metadata={"text": text, "low": low, "high": high})
    return described  # type: ignore[no-any-return]


def read_options(kind: type[T], path: Path) -> T:
    """Return the options of a TOML file. Raises InputError at the first wrong entry."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; `trackastra-train new {path}` writes one"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML ({error})") from None
    try:
        return from_table(kind, table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def from_table(kind: type[T], table: Mapping[str, Any], place: str = "") -> T:
    """Return the options of a table; those it lacks have their defaults.

    place: the path of the table, for messages. Raises InputError for unknown names (with the
    nearest known one), and for values of a wrong type or out of range.
    """
    known = _fields(kind)
    for name in table:
        if name not in known:
            nearest = get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known are {', '.join(known)}"
            raise InputError(f"{_join(place, name)!r} is unknown; {hint}")
    types = get_type_hints(kind)
    values = {
        name: _value(types[name], value, _join(place, name), known[name])
        for name, value in table.items()
    }
    missing = [name for name in known if name not in values and _is_required(known[name])]
    if missing:
        raise InputError(f"{_join(place, missing[0])!r} is missing")
    return kind(**values)


def to_toml(options: Any) -> str:
    """Return the options as a commented TOML file, tables last."""
    return "\n".join(_lines(options, "")) + "\n"


def _fields(kind: Any) -> dict[str, Field[Any]]:
    return {known.name: known for known in fields(kind)}


def _is_required(known: Field[Any]) -> bool:
    return known.default is MISSING and known.default_factory is MISSING


def _join(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _value(kind: Any, value: Any, place: str, known: Field[Any]) -> Any:
    """Return a TOML value as the type of its field."""
    if get_origin(kind) is UnionType:  # X | None: TOML has no null, so a value is an X
        kind = next(choice for choice in get_args(kind) if choice is not NoneType)
    if is_dataclass(kind) and isinstance(value, dict):
        return from_table(kind, value, place)  # type: ignore[arg-type]
    if get_origin(kind) is tuple and isinstance(value, list):
        return _values(get_args(kind), value, place, known)
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise InputError(f"{place!r} must be {_kind_name(kind)}, not {value!r}")
    low, high = known.metadata.get("low"), known.metadata.get("high")
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        bounds = f"at least {low}" if high is None else f"from {low} to {high}"
        raise InputError(f"{place!r} must be {bounds}, not {value!r}")
    return value


def _values(kinds: tuple[Any, ...], value: list[Any], place: str, known: Field[Any]) -> Any:
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise InputError(f"{place!r} must have {len(kinds)} values, not {len(value)}")
    return tuple(
        _value(kind, item, f"{place}[{index}]", known)
        for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _kind_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(map(repr, get_args(kind)))
    names = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    if kind is Path:
        return "a path in quotes"
    return names.get(kind, "a table" if is_dataclass(kind) else "a list in brackets")


def _lines(options: Any, place: str) -> list[str]:
    simple, tables = [], []
    for known in fields(options):
        value, name = getattr(options, known.name), known.name
        if is_dataclass(value):
            tables += ["", f"[{_join(place, name)}]", *_lines(value, _join(place, name))]
        elif isinstance(value, tuple) and value and is_dataclass(value[0]):
            for item in value:
                tables += ["", f"[[{_join(place, name)}]]", *_lines(item, _join(place, name))]
        elif value is not None and value != ():
            text = known.metadata.get("text")
            line = f"{name} = {_literal(value)}"
            simple.append(f"{line.ljust(WIDEST_COMMENT)}  # {text}" if text else line)
    return simple + tables


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_literal, value)) + "]"
    if isinstance(value, Path):
        value = value.as_posix()
    # Texts, numbers, true and false of JSON are valid in TOML.
    return dumps(value, ensure_ascii=False)
