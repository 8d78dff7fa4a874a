"""Do results change if a movie is turned, with and without a second look at small windows?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np

from benchmarks import colonies, wandering
from benchmarks.motion_constants import n_errors, versions
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, parts_for_choosing
from benchmarks.record import write_result
from benchmarks.small_fields import pooled
from benchmarks.strides import change_of_errors
from benchmarks.true_movies import TrueMovie
from trackastra_engine.association import aligned_windows
from trackastra_engine.association.aligned_windows import turned
from trackastra_engine.model.onnx_model import AssociationModel

DEGREES = (0, 17, 34, 51, 68, 85)
LOOKS = ("seen once", "seen turned, too")
SMALL = ("ecoli",)  # sets of real_movies.py whose windows are small


def movies(data: Path) -> Iterator[tuple[str, list[TrueMovie]]]:
    """Yield the movies for choosing that have few cells, by set and version."""
    for part in parts_for_choosing(data):
        if part.set_name in SMALL:
            for version, movie in versions(part):
                yield f"{part.set_name}, {version}", [movie]
    for name, shown in colonies.versions(data, "choosing"):
        yield name, shown
    for version, shown in wandering.fields(data, "choosing"):
        yield f"wandering, {version}", shown


def errors(model: AssociationModel, shown: Sequence[TrueMovie], degrees: float) -> int:
    """Return the errors in movies that are turned."""
    seen = [
        replace(
            movie, masks=None, images=None, detections=turned(movie.detections, np.radians(degrees))
        )
        for movie in shown
    ]
    return n_errors(pooled([movie.score(greedy_links(model, movie)) for movie in seen]))


def row(name: str, shown: Sequence[TrueMovie], model: AssociationModel) -> dict[str, Any]:
    """Return and print the errors at each angle, without and with the turned look."""
    with patch.object(aligned_windows, "TURNED_CELLS", 0):
        once = [errors(model, shown, degrees) for degrees in DEGREES]
    twice = [errors(model, shown, degrees) for degrees in DEGREES]
    print(f"{name}: {once} -> {twice}", flush=True)
    return {"movies": name, "errors": dict(zip(LOOKS, (once, twice), strict=True))}


def table(result: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    """Yield the mean, least and most errors of each version, and the mean change by set."""
    yield ["mean errors (least to most)", *LOOKS]
    by_set: dict[str, list[Mapping[str, Sequence[int]]]] = {}
    for one in result["rows"]:
        by_set.setdefault(one["movies"].split(",")[0], []).append(one["errors"])
        found = (one["errors"][look] for look in LOOKS)
        yield [one["movies"], *(f"{np.mean(of):.1f} ({min(of)} to {max(of)})" for of in found)]
    for name, rows in by_set.items():
        before, after = ([{"errors": np.mean(one[look])} for one in rows] for look in LOOKS)
        yield [f"{name}: mean change", "", f"{100 * change_of_errors(before, after):+.1f} %"]


@click.command()
@NEEDED_DATA_OPTION
def turns(data: Path) -> None:
    """Track the movies for choosing that have few cells, turned by six angles."""
    model = load_model("general_2d")
    rows = [row(name, shown, model) for name, shown in movies(data)]
    print(f"written to {write_result('turns', {'degrees': DEGREES, 'rows': rows})}")
