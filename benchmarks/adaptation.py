"""Does it pay to adapt the scores of a model to the first 50 answers of an ideal annotator?

Answers about the first half of a movie, measured on its second half; and answers about a whole
movie, measured on others of its kind that no network learned from. Weights that left-out answers do
not confirm count as none, as `trackastra-engine adapt` then writes no model. The same with answers
about errors only, as who edits tracks gives them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import summary
from benchmarks.corrections import LEAST_CERTAIN, answers, parents, questions
from benchmarks.movie_variants import WHOLE, densest, every_nth, itself
from benchmarks.our_trackers import candidates, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, Part, RealPart, real_parts
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.errors import InputError
from trackastra_engine.linking import linker
from trackastra_engine.linking.adaptation import adapted, gather
from trackastra_engine.linking.adaptation_fit import Fit, decided_groups, fit
from trackastra_engine.linking.candidates import CandidateGraph

N_ANSWERS = 50
MADE = {WHOLE: itself, "every 2nd": partial(every_nth, n=2)}
HELD_OUT: tuple[Part, ...] = ("validate", "test")
FEWEST_FRAMES = 4  # of a movie with halves


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A movie with its candidates, scored by the model as it is."""

    kind: str  # of the movie and its variant
    name: str
    is_held_out: bool  # from the training of the network
    movie: TrueMovie
    graph: CandidateGraph

    def frames(self, first: int, last: int) -> "Case":
        """Return the links between some frames."""
        frame, edges = self.graph.detections.frame, self.graph.edges
        kept = np.flatnonzero((frame[edges.source] >= first) & (frame[edges.target] <= last))
        parent = np.where((frame > first) & (frame <= last), self.movie.parent, -1)
        graph = CandidateGraph(self.graph.detections, edges.rows(kept))
        return replace(self, movie=replace(self.movie, parent=parent), graph=graph)

    @property
    def proportions(self) -> NDArray[np.float64]:
        """Return the lengths of a voxel."""
        return np.array([self.movie.z_step, 1.0, 1.0])[-self.movie.detections.ndim :]

    def learned(self, *, errors_only: bool = False) -> Fit | None:
        """Return what the answers to the first questions teach, None if they are too few."""
        asked = questions(self.graph)[LEAST_CERTAIN]
        if errors_only:
            is_wrong = parents(self.graph) != self.truth
            asked = [row for row in asked if is_wrong[row]]
        told = answers(self.movie, self.graph, asked[:N_ANSWERS])
        evidence = gather(self.graph, self.proportions)
        try:
            return fit(decided_groups(self.graph, evidence, told), evidence)
        except InputError:
            return None

    @property
    def truth(self) -> NDArray[np.int64]:
        """Return the row of the parent of each detection in the frame before, or -1."""
        parent = np.full(len(self.movie.parent), -1)
        parent[self.movie.links[:, 1]] = self.movie.links[:, 0]
        return parent

    def scores(self, learned: Fit | None) -> dict[str, Any]:
        """Return how good greedy links are with some weights, or as they are."""
        graph = self.graph
        if learned is not None:
            graph = adapted(graph, learned.adaptation, self.proportions)
        edges = graph.edges.rows(linker("greedy", probabilities=True).choose(graph))
        return summary(self.movie.score(np.column_stack([edges.source, edges.target])))


def row_of(source: str, target: Case, learned: Fit | None) -> dict[str, Any]:
    """Return the scores of a case before and after it is linked with what was learned."""
    is_proven = learned is not None and learned.is_proven
    before = target.scores(None)
    after = target.scores(learned) if is_proven else before
    return {
        "from": source,
        "to": target.name,
        "proven": is_proven,
        "gain_in_errors": None if learned is None else round(learned.gain / learned.error, 2),
        "before": before,
        "after": after,
    }


def halves(cases: Iterable[Case], *, errors_only: bool = False) -> Iterator[dict[str, Any]]:
    """Yield what answers about the first half of each movie do to the second."""
    for case in cases:
        n_frames = case.movie.n_frames
        if n_frames >= FEWEST_FRAMES:
            middle = n_frames // 2
            learned = case.frames(0, middle).learned(errors_only=errors_only)
            if learned is not None:
                yield row_of(case.name, case.frames(middle, n_frames), learned)


def others(cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """Yield what answers about a movie do to others of its kind."""
    for source in cases:
        learned = source.learned()
        for target in cases:
            if target is not source and target.kind == source.kind and target.is_held_out:
                yield row_of(source.name, target, learned)


def read_cases(data: Path, models: dict[int, Any], frames: int) -> Iterator[Case]:
    """Yield all movies of some data, and every 2nd frame of each."""
    parts: tuple[Part, ...] = ("train", *HELD_OUT)
    for part in parts:
        for place in real_parts(data, part):
            yield from _versions(place, part, models[place.ndim], frames)


def _versions(place: RealPart, part: Part, model: Any, frames: int) -> Iterator[Case]:
    movie = place.read() if place.ndim == 2 else densest(place.read(), frames)
    for variant, make in MADE.items():
        version = make(movie)
        graph = candidates(model, version, with_images=False, max_gap=1)
        kind, name = f"{place.name.split()[0]}, {variant}", f"{place.name} ({part}), {variant}"
        yield Case(kind, name, part in HELD_OUT, version, graph)


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return means and extremes of what changes."""
    gains = {
        key: np.array([_difference(row, key) for row in rows]) for key in ("edge_f1", "division_f1")
    }
    return {
        "pairs": len(rows),
        "proven": sum(row["proven"] for row in rows),
        **{
            f"{key}_{name}": round(float(of(gain)), 5)
            for key, gain in gains.items()
            for name, of in (("mean", np.mean), ("worst", np.min), ("best", np.max))
        },
    }


def _difference(row: dict[str, Any], key: str) -> float:
    return (row["after"][key] or 0) - (row["before"][key] or 0)


def adaptation_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield the second halves of movies that no network learned from, and all totals."""
    yield ["edge F1 / division F1", "before", "after", "change"]
    for row in result["halves"]:
        if "(train)" not in row["to"]:
            before, after = row["before"], row["after"]
            yield [
                row["to"],
                _cell(before),
                _cell(after) if row["proven"] else "not proven",
                _gain(row),
            ]
    for name in ("halves", "others", "halves, errors only"):
        total = result["totals"][name]
        yield [
            f"**{name}**: {total['pairs']} pairs, {total['proven']} proven",
            "",
            f"worst {total['edge_f1_worst']:+.4f} / {total['division_f1_worst']:+.3f}",
            f"mean {total['edge_f1_mean']:+.4f} / {total['division_f1_mean']:+.3f}",
        ]


def _cell(scores: dict[str, Any]) -> str:
    return f"{scores['edge_f1']:.4f} / {scores['division_f1'] or 0:.3f}"


def _gain(row: dict[str, Any]) -> str:
    return f"{_difference(row, 'edge_f1'):+.4f} / {_difference(row, 'division_f1'):+.3f}"


@click.command("adaptation")
@NEEDED_DATA_OPTION
@click.option("--model-2d", default="general_2d", show_default=True)
@click.option("--model-3d", default="general_3d", show_default=True)
@click.option("--frames", type=int, default=50, show_default=True, help="Of each 3D movie.")
def adaptation(data: Path, model_2d: str, model_3d: str, frames: int) -> None:
    """Score results with scores adapted to 50 answers of an ideal annotator, on --data."""
    models = {model.spec.ndim: model for model in map(load_model, (model_2d, model_3d))}
    cases = list(read_cases(data, models, frames))
    rows = {
        "halves": list(halves(cases)),
        "others": list(others(cases)),
        "halves, errors only": list(halves(cases, errors_only=True)),
    }
    result = {"answers": N_ANSWERS, **rows, "totals": {k: totals(v) for k, v in rows.items()}}
    for line in adaptation_table(result):
        print(*line, sep="  ")
    print(f"\nwritten to {write_result('adaptation', result)}")
