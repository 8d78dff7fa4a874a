"""Do the rules against false divisions keep the tracks of cells, and what do they cost?"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import summary
from benchmarks.movie_variants import SEED
from benchmarks.our_trackers import MODES, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, Part, real_parts
from benchmarks.record import write_result
from benchmarks.scored_movies import MAX_GAP, scored
from benchmarks.spoiled_masks import ErrorShares, spoiled
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import TrueMovie
from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.evaluation.chota import chota
from trackastra_engine.evaluation.edge_scores import Scores, score_edges
from trackastra_engine.evaluation.matched_objects import Matching, TrackedObjects
from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.merges import discount_merges
from trackastra_engine.linking.split_objects import without_split_objects
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule against false divisions, and the errors of masks that cause these."""

    cause: str
    shares: ErrorShares
    max_gap: int  # of the links
    links: Callable[[Linker, CandidateGraph], Edges]


RULES = {
    "merges": Rule(
        "2 % merged",
        ErrorShares(missing=0.0, merged=0.02, split=0.0),
        MAX_GAP,
        lambda link, graph: link(discount_merges(graph)).edges,
    ),
    "splits": Rule(
        "1 % split",
        ErrorShares(missing=0.0, merged=0.0, split=0.01),
        1,
        lambda link, graph: without_split_objects(link(graph)).edges,
    ),
}
ALL_ERRORS = "all errors"


def versions(movie: TrueMovie) -> dict[str, TrueMovie]:
    """Return a movie as it is, with the errors that each rule is for, and with all errors."""
    spoil = spoiled_points if movie.masks is None else spoiled
    causes = {rule.cause: spoil(movie, SEED, rule.shares) for rule in RULES.values()}
    return {"true masks": movie, **causes, ALL_ERRORS: spoil(movie, SEED)}


def measure(model: AssociationModel, name: str, movie: TrueMovie) -> Iterable[Row]:
    """Yield a row for each version of a movie, rule and linker, without the rule and with it."""
    causes = {rule.cause for rule in RULES.values()}
    for version, shown in versions(movie).items():
        known = scored(model, shown)
        rates = known.rates()
        weights = None if rates is None else rates.weights
        for rule_name, rule in RULES.items():
            if version in causes - {rule.cause}:
                continue
            graph = known.graph(weights, rule.max_gap)
            for mode in MODES:
                link = linker(mode, max_gap=rule.max_gap, probabilities=True)
                for applied, edges in (
                    (False, link(graph).edges),
                    (True, rule.links(link, graph)),
                ):
                    about = {"movie": name, "version": version, "rule": rule_name}
                    about |= {"linker": mode, "applied": applied}
                    yield {**about, **accuracy(shown, edges, rule.max_gap)}


def accuracy(movie: TrueMovie, edges: Edges, max_gap: int) -> dict[str, Any]:
    """Return the scores of edges over up to `max_gap` frames, and CHOTA of whole tracks."""
    child = np.flatnonzero(movie.parent >= 0)
    frame = movie.detections.frame
    near = child[frame[child] - frame[movie.parent[child]] <= max_gap]
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


def merges_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of versions of movies: scores without and with the rule for merged cells."""
    return _table(result, "merges")


def splits_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of versions of movies: scores without and with the rule for split cells."""
    return _table(result, "splits")


def _table(result: dict[str, Any], rule: str) -> Iterable[Sequence[str]]:
    yield ["edge F1 / division F1 / CHOTA", *MODES]
    rows = {
        tuple(row[name] for name in ("movie", "version", "linker", "applied")): row
        for row in result["rows"]
        if row["rule"] == rule
    }
    for movie, version in dict.fromkeys(key[:2] for key in rows):
        pairs = [[rows[movie, version, mode, used] for used in (False, True)] for mode in MODES]
        yield [f"{movie}, {version}", *(" → ".join(map(_in_words, pair)) for pair in pairs)]


def _in_words(row: Row) -> str:
    return f"{row['edge_f1']:.4f} / {row['division_f1']:.3f} / {row['chota']:.4f}"


@click.command()
@NEEDED_DATA_OPTION
@click.option(
    "--part",
    type=click.Choice(["train", "validate", "test"]),
    default="test",
    show_default=True,
    help="Of --data; results of others than test are false_divisions_PART.json.",
)
@click.option("--only", default="*", show_default=True, help="Only movies whose names match.")
def false_divisions(data: Path, part: Part, only: str) -> None:
    """Link real movies with and without the rules for merged and for split cells."""
    models = {model.spec.ndim: model for model in map(load_model, ("general_2d", "general_3d"))}
    rows: list[Row] = []
    for found in real_parts(data, part):
        if fnmatchcase(found.name, only):
            rows += measure(models[found.ndim], found.name, found.read())
            print(f"{found.name}: {len(rows)} rows", flush=True)
    name = "false_divisions" if part == "test" else f"false_divisions_{part}"
    answer = {"rows": rows}
    for lines in (merges_table(answer), splits_table(answer)):
        for line in lines:
            print("  ".join(line))
    print(f"written to {write_result(name, answer)}")
