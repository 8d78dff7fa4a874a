"""Would the constants of alignment be others if a data set had not been there to choose them on?

Each constant is changed by itself. For each set, the value is chosen by which the others have the
fewest errors, and the errors of the set itself with it are compared with those with the value used.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import densest, shifted, variants, with_errors
from benchmarks.noisy_movies import noisy_sizes
from benchmarks.our_trackers import candidates, chosen_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, RealPart, parts_for_choosing
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.association import aligned_windows
from trackastra_engine.association.edge_stream import NEGLIGIBLE_SCORE
from trackastra_engine.evaluation.edge_scores import Scores
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.tokens import Tokens
from trackastra_engine.motion import counterparts, flow

SIZE_NOISE = 0.2  # deviation of the logarithm of the diameters
N_FRAMES_3D = 40  # of each embryo, those with the most cells
ADDED_ERRORS = 10  # to each count, so that movies with hardly any error do not decide


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the engine, and values that it might have instead."""

    place: ModuleType
    name: str
    others: tuple[float, ...]

    @property
    def used(self) -> float:
        """Return the value that the engine uses."""
        return float(getattr(self.place, self.name))

    @contextmanager
    def at(self, value: float) -> Iterator[None]:
        """Let the constant have another value for a while."""
        used = self.used
        setattr(self.place, self.name, value)
        flow._MEMORY = flow.new_memory()
        try:
            yield
        finally:
            setattr(self.place, self.name, used)
            flow._MEMORY = flow.new_memory()


CONSTANTS = (
    Constant(aligned_windows, "DOUBTFUL_FIT", (0.0, 0.35, 0.6, 1.1)),  # 0: links are never asked
    Constant(aligned_windows, "MIN_DOUBT", (0.0, 0.01, 0.03)),
    Constant(aligned_windows, "LEFT_DOUBT", (1.0, 0.95, 0.8)),
    Constant(aligned_windows, "MIN_CHANGE_SPACINGS", (0.1, 0.2, 0.3, 0.5)),
    Constant(flow, "STILL_FIT", (0.45, 0.55, 0.65, 0.85)),
    Constant(flow, "MIN_GAIN", (0.05, 0.12)),
    Constant(flow, "VOTED_FIT", (0.3, 0.5)),
    Constant(flow, "MIN_RISE", (1.02, 1.05)),
    Constant(counterparts, "PLACE_SPACINGS", (0.2, 0.3)),
    Constant(counterparts, "LOG_SIZE", (0.2, 0.6)),
    Constant(counterparts, "SHAPE", (0.1, 0.3)),
)


class RememberingModel(AssociationModel):
    """A model that scores no window twice: most are the same with another constant."""

    def __init__(self, model: AssociationModel) -> None:
        super().__init__(model._session, model.spec, model.path)
        self._known: dict[bytes, Edges] = {}

    def associate(self, tokens: Tokens, *, max_gap: int = 1) -> Edges:
        """Return the edges that count."""
        seen = hashlib.blake2b(tokens.coordinates.tobytes())
        seen.update(tokens.features.tobytes())
        key = seen.digest()
        if key not in self._known:
            edges = super().associate(tokens, max_gap=max_gap)
            self._known[key] = edges.rows(np.flatnonzero(edges.score >= NEGLIGIBLE_SCORE))
        return self._known[key]


def versions(part: RealPart) -> Iterator[tuple[str, TrueMovie]]:
    """Yield names and movies of a part and its harder versions, as points where it has masks."""
    whole = part.read()
    makers = {**variants(part.ndim), f"shifted, sizes ± {SIZE_NOISE:.0%}": shifted_with_noise}
    if part.ndim == 2:
        makers["with errors"] = with_errors
    for name, make in makers.items():
        movie = as_points(make(whole))
        yield name, densest(movie, N_FRAMES_3D) if part.ndim == 3 else movie


def shifted_with_noise(movie: TrueMovie) -> TrueMovie:
    """Return the movie on an unsteady stage, with noise of the sizes."""
    return noisy_sizes(shifted(movie), SIZE_NOISE)


def n_errors(scores: Scores) -> int:
    """Return the number of wrong and missed edges and divisions."""
    return sum(
        one.found + one.expected - 2 * one.correct for one in (scores.edges, scores.divisions)
    )


def measured(model: AssociationModel, movie: TrueMovie) -> dict[str, float]:
    """Return the errors and scores of greedy links."""
    scores = movie.score(chosen_links(candidates(model, movie, with_images=False), "greedy"))
    return {
        "errors": n_errors(scores),
        "edge_f1": round(scores.edges.f1, 5),
        "division_f1": round(scores.divisions.f1, 4),
    }


def rows_of(model: AssociationModel, movie: TrueMovie) -> Iterator[dict[str, Any]]:
    """Yield a row for each constant and value: the scores of a movie with it."""
    as_used = measured(model, movie)
    for constant in CONSTANTS:
        yield {"constant": constant.name, "value": constant.used, **as_used}
        for value in constant.others:
            if value != constant.used:
                with constant.at(value):
                    yield {"constant": constant.name, "value": value, **measured(model, movie)}


def changes(
    rows: Sequence[Mapping[str, Any]], name: str, used: float
) -> dict[str, dict[float, float]]:
    """Return by set and value how errors change from the value used: mean logarithm of ratios."""
    own = [row for row in rows if row["constant"] == name]

    def movie(row: Mapping[str, Any]) -> tuple[Any, ...]:
        return row["set"], row["version"], row.get("movie")

    before = {movie(row): row["errors"] for row in own if row["value"] == used}
    result: dict[str, dict[float, list[float]]] = {}
    for row in own:
        ratio = (row["errors"] + ADDED_ERRORS) / (before[movie(row)] + ADDED_ERRORS)
        result.setdefault(row["set"], {}).setdefault(row["value"], []).append(np.log(ratio))
    return {
        of: {value: float(np.mean(logs)) for value, logs in values.items()}
        for of, values in result.items()
    }


def best_value(change: Mapping[str, Mapping[float, float]], used: float) -> float:
    """Return the value with the fewest errors in some sets; the one used if none has fewer."""
    values = next(iter(change.values()))
    mean = {value: float(np.mean([of[value] for of in change.values()])) for value in values}
    best = min(mean, key=lambda value: mean[value])
    return best if mean[best] < mean[used] - 1e-9 else used


def constants_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each constant: values, and the choice with each set left out."""
    sets = list(dict.fromkeys(row["set"] for row in result["rows"]))
    yield ["constant", "used", "others: change of errors", *(f"without {name}" for name in sets)]
    for name, used in result["used"].items():
        change = changes(result["rows"], name, used)
        values = [value for value in next(iter(change.values())) if value != used]
        others = (
            f"{value:g}: {_percent(np.mean([of[value] for of in change.values()]))}"
            for value in sorted(values)
        )
        chosen = []
        for left_out in sets:
            rest = {of: own for of, own in change.items() if of != left_out}
            value = best_value(rest, used)
            chosen.append(
                f"{value:g}" + ("" if value == used else f": {_percent(change[left_out][value])}")
            )
        yield [f"`{name}`", f"{used:g}", ", ".join(others), *chosen]


def _percent(log_ratio: Any) -> str:
    return f"{100 * np.expm1(float(log_ratio)):+.1f} %"


@click.command("motion-constants")
@NEEDED_DATA_OPTION
def motion_constants(data: Path) -> None:
    """Change each constant of alignment by itself, on the parts of real movies for choosing."""
    models = {ndim: load_model(f"general_{ndim}d") for ndim in (2, 3)}
    rows = []
    for part in parts_for_choosing(data):
        for version, movie in versions(part):
            model = RememberingModel(models[part.ndim])
            own = [
                {"set": part.set_name, "version": version, **row} for row in rows_of(model, movie)
            ]
            rows += own
            print(f"{part.name}, {version}: {own[0]['errors']} errors", flush=True)
    used = {constant.name: constant.used for constant in CONSTANTS}
    print(f"\nwritten to {write_result('motion_constants', {'used': used, 'rows': rows})}")
    for cells in constants_table({"used": used, "rows": rows}):
        print(*cells, sep="  ")
