"""How many errors are left after a number of answers to the questions of a result?

An ideal annotator answers the questions in order: the object's true parent, or that it has none.
Then the movie is linked again. The questions are those of the page, the least certain link first;
the same, weighted by the number of descendants; and objects at random.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import summary
from benchmarks.movie_variants import densest, variants
from benchmarks.our_trackers import candidates, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, real_parts
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.corrections import (
    MAX_CHILDREN,
    Corrections,
    Decision,
    Place,
    corrected_graph,
)
from trackastra_engine.linking.review import DoubtfulLink, Review

N_ANSWERS = (0, 10, 25, 50, 100, 200)
SHOWN_VARIANTS = ("whole", "every 2nd", "every 3rd", "every 4th")
LEAST_CERTAIN = "least certain first"

Rows = NDArray[np.int64]


def questions(graph: CandidateGraph) -> dict[str, list[int]]:
    """Return the rows of the detections in question, in each order."""
    review, link = Review(), linker("greedy", probabilities=True)
    chosen = graph.edges.rows(review.watch(link).choose(graph))
    row = {place: number for number, place in enumerate(_places(graph))}
    asked = np.unique(graph.edges.target)
    n_descendants = _descendants(chosen.source, chosen.target, len(graph.detections))

    def weight(doubtful: DoubtfulLink) -> float:
        return (1 - doubtful.certainty) * np.log1p(n_descendants[row[doubtful.target]])

    weighted = sorted(review.links, key=weight, reverse=True)
    return {
        LEAST_CERTAIN: [row[doubtful.target] for doubtful in review.links],
        "weighted by descendants": [row[doubtful.target] for doubtful in weighted],
        "at random": np.random.default_rng(0).permutation(asked).tolist(),
    }


def _descendants(source: Rows, target: Rows, n_detections: int) -> Rows:
    """Return (N,) the number of descendants of each detection, including itself."""
    count = np.ones(n_detections, np.int64)
    for row in np.argsort(target)[::-1].tolist():  # sources precede their targets
        count[source[row]] += count[target[row]]
    return count


def _places(graph: CandidateGraph) -> list[Place]:
    found = graph.detections
    return list(zip(found.frame.tolist(), found.label.tolist(), strict=True))


def answers(movie: TrueMovie, graph: CandidateGraph, asked: Sequence[int]) -> Corrections:
    """Return the truth on some detections; a third daughter cannot be answered."""
    place, parent = _places(graph), np.full(len(graph.detections), -1)
    parent[movie.links[:, 1]] = movie.links[:, 0]
    n_children = np.zeros(len(parent), int)
    decided: list[Decision] = []
    for row in asked:
        source = int(parent[row])
        if source >= 0 and n_children[source] == MAX_CHILDREN:
            continue
        n_children[source] += source >= 0
        decided.append((None if source < 0 else place[source], place[row], True))
    return Corrections.of(decided)


def rows_of(movie: TrueMovie, graph: CandidateGraph) -> Iterator[dict[str, Any]]:
    """Yield the scores after each number of answers, for each order of the questions."""
    link = linker("greedy", probabilities=True)
    for order, asked in questions(graph).items():
        for number in N_ANSWERS:
            corrected = corrected_graph(graph, answers(movie, graph, asked[:number]))
            edges = corrected.edges.rows(link.choose(corrected))
            scores = movie.score(np.column_stack([edges.source, edges.target]))
            yield {"order": order, "answers": number, **summary(scores)}


def parents(graph: CandidateGraph) -> Rows:
    """Return the row of the parent (N,) of each detection that greedy linking chooses, or -1."""
    chosen = graph.edges.rows(linker("greedy", probabilities=True).choose(graph))
    found = np.full(len(graph.detections), -1)
    found[chosen.target] = chosen.source
    return found


def share_of_errors(movie: TrueMovie, graph: CandidateGraph) -> tuple[int, int]:
    """Return the numbers of objects with a wrong or missing parent, all and those in question."""
    expected = np.full(len(graph.detections), -1)
    expected[movie.links[:, 1]] = movie.links[:, 0]
    is_wrong = parents(graph) != expected
    asked = questions(graph)[LEAST_CERTAIN]
    return int(is_wrong.sum()), int(is_wrong[asked].sum())


def corrections_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of sets by numbers of answers, least certain first and at random."""
    yield ["edge F1 / division F1", "order", *map(str, N_ANSWERS), "errors asked of"]
    for case in result["sets"]:
        for order in dict.fromkeys(row["order"] for row in case["rows"]):
            cells = [
                f"{row['edge_f1']:.4f} / {row['division_f1'] or 0:.3f}"
                for row in case["rows"]
                if row["order"] == order
            ]
            asked = f"{case['errors_asked']} of {case['errors']}" if order == LEAST_CERTAIN else ""
            yield [case["name"], order, *cells, asked]


@click.command("corrections")
@NEEDED_DATA_OPTION
@click.option("--model-2d", default="general_2d", show_default=True)
@click.option("--model-3d", default="general_3d", show_default=True)
@click.option("--frames", type=int, default=50, show_default=True, help="Of each 3D movie.")
def corrections_benchmark(data: Path, model_2d: str, model_3d: str, frames: int) -> None:
    """Score results after 0 to 200 answers of an ideal annotator, on the test parts of --data."""
    models = {model.spec.ndim: model for model in map(load_model, (model_2d, model_3d))}
    cases: list[dict[str, Any]] = []
    path = None
    for part in real_parts(data, "test"):
        movie = part.read() if part.ndim == 2 else densest(part.read(), frames)
        for variant, make in variants(part.ndim).items():
            if variant not in SHOWN_VARIANTS:
                continue
            harder = make(movie)
            graph = candidates(models[part.ndim], harder, with_images=False, max_gap=1)
            errors, asked = share_of_errors(harder, graph)
            rows = list(rows_of(harder, graph))
            name = f"{part.name}, {variant}"
            cases.append({"name": name, "errors": errors, "errors_asked": asked, "rows": rows})
            for line in list(corrections_table({"sets": cases[-1:]}))[1:]:
                print(*line, sep="  ", flush=True)
            path = write_result("corrections", {"sets": cases})
    print(f"\nwritten to {path}")
