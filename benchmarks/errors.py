"""Which errors does the default model make on real movies? Counts by kind, and pictures."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import title
from benchmarks.error_pictures import WrongParents, draw_errors
from benchmarks.movie_variants import ORDINAL, WHOLE, typical_spacing, variants
from benchmarks.our_trackers import candidates, chosen_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, Part, real_parts
from benchmarks.record import RESULTS, write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.linking.candidates import CandidateGraph

MODELS = {2: "general_2d", 3: "general_3d"}
RARELY = {2: ORDINAL[4], 3: ORDINAL[3]}  # the hardest versions, by the number of axes
MUCH_FARTHER = 1.5  # a true link so many times as long as a free one contradicts the movie

Links = NDArray[np.int64]


def count_errors(movie: TrueMovie, links: Links) -> dict[str, float]:
    """Return the numbers of errors of each kind; links: (E, 2) rows of the detections."""
    parent = parents(movie.links, len(movie.detections))
    found = parents(links, len(movie.detections))
    is_wrong = (found >= 0) & (found != parent)
    missed = np.flatnonzero((parent >= 0) & (found != parent))
    children, found_children = (
        np.bincount(row[row >= 0], minlength=len(row)) for row in (parent, found)
    )
    is_sister = children[parent[missed]] > 1
    exchanged = contradictions(movie)
    fair = [rows[~np.isin(rows[:, 1], exchanged)] for rows in (movie.links, links)]
    return {
        "edges": len(movie.links),
        "edge_f1": round(movie.score(links).edges.f1, 5),
        "edge_f1_without_contradictions": round(_edge_f1(*fair), 5),
        "wrong": int(is_wrong.sum()),
        "wrong_of_new": int((is_wrong & (parent < 0)).sum()),
        "missed": len(missed),
        "missed_daughters": int(is_sister.sum()),
        "missed_daughters_without_parent": int((found[missed[is_sister]] < 0).sum()),
        "divisions": int((children > 1).sum()),
        "false_divisions": int(((found_children > 1) & (children < 2)).sum()),
        "contradictions": len(exchanged),
    }


def _edge_f1(expected: Links, found: Links) -> float:
    correct = set(map(tuple, expected.tolist())) & set(map(tuple, found.tolist()))
    return 2 * len(correct) / (len(expected) + len(found))


def parents(links: Links, n_detections: int) -> Links:
    """Return the source (N,) of the link to each detection, or -1."""
    parent = np.full(n_detections, -1)
    parent[links[:, 1]] = links[:, 0]
    return parent


def contradictions(movie: TrueMovie) -> list[tuple[int, int]]:
    """Return pairs of detections in one frame whose parents were exchanged in the truth.

    The first begins in the truth. The nearest detection of the frame before has a true child, the
    second, but at MUCH_FARTHER the distance.
    """
    frame, place = movie.detections.frame, movie.in_proportion().centroid
    children: dict[int, list[int]] = {}
    for source, target in movie.links.tolist():
        children.setdefault(source, []).append(target)
    found = []
    for row in np.flatnonzero((movie.parent < 0) & (frame > 0)).tolist():
        before = np.flatnonzero(frame == frame[row] - 1)
        if not len(before):
            continue
        distance = np.linalg.norm(place[before] - place[row], axis=1)
        nearest = int(before[distance.argmin()])
        steps = {
            float(np.linalg.norm(place[c] - place[nearest])): c for c in children.get(nearest, [])
        }
        if steps and min(steps) > MUCH_FARTHER * distance.min():
            found.append((row, steps[max(steps)]))
    return found


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies by kinds of errors."""
    yield [
        "real movie",
        "edge F1",
        "wrong edges",
        "to cells that begin",
        "missed edges",
        "to daughters",
        "daughters left without a parent",
        "false divisions",
        "contradictions in the truth",
        "edge F1 without these",
    ]
    names = ("wrong", "wrong_of_new", "missed", "missed_daughters")
    names += ("missed_daughters_without_parent", "false_divisions", "contradictions")
    for case in result["sets"]:
        counts = (f"{case[name]:,}" for name in names)
        f1, fair = case["edge_f1"], case["edge_f1_without_contradictions"]
        yield [case["name"], f"{f1:.4f}", *counts, f"{fair:.4f}"]


@click.command()
@NEEDED_DATA_OPTION
@click.option("--only", default="*", show_default=True, help="Only movies whose names match.")
@click.option("--part", type=click.Choice(["test", "validate"]), default="test", show_default=True)
def errors(data: Path, only: str, part: Part) -> None:
    """Count the errors of the default models on real movies, also filmed rarely, and draw some."""
    cases = []
    for real in real_parts(data, part):
        if not fnmatchcase(real.name, only):
            continue
        movie = real.read()
        for version in (WHOLE, RARELY[real.ndim]):
            name = title(real.name, version, has_errors=False)
            cases.append({"name": name, **measured(variants(real.ndim)[version](movie), name)})
            print(cases[-1], flush=True)
    print(f"written to {write_result('errors', {'part': part, 'sets': cases})}")


def measured(movie: TrueMovie, named: str) -> dict[str, Any]:
    """Return the counts of a movie, and draw some of its errors."""
    graph = candidates(load_model(MODELS[movie.detections.ndim]), movie, with_images=False)
    links = movie.steps(chosen_links(graph, "greedy"))
    size = len(movie.detections)
    wrong = WrongParents(parents(movie.links, size), parents(links, size), best_scores(graph))
    path = RESULTS / f"errors-{named.replace(',', '').replace(' ', '-')}.png"
    draw_errors(movie, wrong, typical_spacing(movie.in_proportion()), path)
    return count_errors(movie, links)


def best_scores(graph: CandidateGraph) -> NDArray[np.float64]:
    """Return the best score (N,) of the edges from the frame before; 0 where there is none."""
    best = np.zeros(len(graph.detections))
    edges = graph.edges.rows(np.flatnonzero(graph.n_missed == 0))
    np.maximum.at(best, edges.target, edges.score)
    return best
