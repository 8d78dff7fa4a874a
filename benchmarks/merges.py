"""Does the rule for cells that merge for a frame keep their tracks, and does it cost divisions?"""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import summary
from benchmarks.movie_variants import SEED
from benchmarks.our_trackers import MODES, load_model
from benchmarks.real_movies import DATA_OPTION, Part, real_parts
from benchmarks.record import write_result
from benchmarks.scored_movies import MAX_GAP, scored
from benchmarks.spoiled_masks import ErrorShares, spoiled
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import TrueMovie
from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.evaluation.chota import chota
from trackastra_engine.evaluation.edge_scores import Scores, score_edges
from trackastra_engine.evaluation.matched_objects import Matching, TrackedObjects
from trackastra_engine.linking import linker
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.merges import discount_merges
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel

MERGED = ErrorShares(missing=0.0, merged=0.02, split=0.0)
RULES = {"without": lambda graph: graph, "with": discount_merges}

Row = dict[str, Any]


def versions(movie: TrueMovie) -> dict[str, TrueMovie]:
    """Return a movie as it is, and with one object in 50 merged with its neighbour."""
    merge = spoiled_points if movie.masks is None else spoiled
    return {"true masks": movie, "2 % merged": merge(movie, SEED, MERGED)}


def measure(model: AssociationModel, name: str, movie: TrueMovie) -> Iterable[Row]:
    """Yield a row for each version of a movie, linker and rule."""
    for version, shown in versions(movie).items():
        known = scored(model, shown)
        rates = known.rates()
        graph = known.graph(None if rates is None else rates.weights, MAX_GAP)
        for mode in MODES:
            link = linker(mode, max_gap=MAX_GAP, probabilities=True)
            for rule, changed in RULES.items():
                about = {"movie": name, "version": version, "linker": mode, "rule": rule}
                yield {**about, **accuracy(shown, link(changed(graph)).edges)}


def accuracy(movie: TrueMovie, edges: Edges) -> dict[str, Any]:
    """Return how well edges match the truth, over up to MAX_GAP frames, and whole tracks do."""
    child = np.flatnonzero(movie.parent >= 0)
    frame = movie.detections.frame
    near = child[frame[child] - frame[movie.parent[child]] <= MAX_GAP]
    expected = np.column_stack([movie.parent[near], near])
    found = np.column_stack([edges.source, edges.target])
    scores = _scores(movie.detections, found, expected)
    everything = np.column_stack([movie.parent[child], child])
    pairs = np.repeat(np.arange(len(frame))[:, None], 2, axis=1)
    truth, tracks = (tracked(movie.detections, links) for links in (everything, found))
    same = Matching(truth, tracks, pairs, np.ones(len(frame), np.int64))
    return {**summary(scores), "chota": round(chota(same), 5)}


def _scores(detections: Detections, found: IntArray, expected: IntArray) -> Scores:
    ends = np.column_stack([detections.frame, detections.label])
    return score_edges(ends[found].reshape(-1, 4), ends[expected].reshape(-1, 4))


def tracked(detections: Detections, links: IntArray) -> TrackedObjects:
    """Return the tracks of links (E, 2) between detections."""
    source, target = links.T
    lineage = build_lineage(detections, Edges(source, target, np.ones(len(links))))
    ends = np.searchsorted(detections.frame, np.arange(1, int(detections.frame.max()) + 1))
    return TrackedObjects.of(lineage.tracklets, np.split(lineage.tracklet_id, ends))


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of versions of movies: scores without and with the rule, by linker."""
    yield ["edge F1 / division F1 / CHOTA", *MODES]
    rows = {
        tuple(row[name] for name in ("movie", "version", "linker", "rule")): row
        for row in result["rows"]
    }
    for movie, version in dict.fromkeys((row["movie"], row["version"]) for row in result["rows"]):
        pairs = [[rows[movie, version, mode, rule] for rule in RULES] for mode in MODES]
        yield [f"{movie}, {version}", *(" → ".join(map(_in_words, pair)) for pair in pairs)]


def _in_words(row: Row) -> str:
    return f"{row['edge_f1']:.4f} / {row['division_f1']:.3f} / {row['chota']:.4f}"


@click.command()
@DATA_OPTION
@click.option(
    "--part",
    type=click.Choice(["train", "validate", "test"]),
    default="test",
    show_default=True,
    help="Of --data; results of others than test are merges_PART.json.",
)
@click.option("--only", default="*", show_default=True, help="Only movies whose names match.")
def merges(data: Path, part: Part, only: str) -> None:
    """Link real movies over gaps, with and without the rule for merged cells."""
    models = {model.spec.ndim: model for model in map(load_model, ("general_2d", "general_3d"))}
    rows: list[Row] = []
    for found in real_parts(data, part):
        if fnmatchcase(found.name, only):
            rows += measure(models[found.ndim], found.name, found.read())
            print(f"{found.name}: {len(rows)} rows", flush=True)
    name = "merges" if part == "test" else f"merges_{part}"
    answer = {"rows": rows}
    for line in table(answer):
        print("  ".join(line))
    print(f"written to {write_result(name, answer)}")
