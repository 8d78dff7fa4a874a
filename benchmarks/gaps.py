"""Do links over gaps find cells again that a segmentation missed, and how many are wrong?"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np

from benchmarks.record import write_result
from trackastra_engine import Tracker
from trackastra_engine.association.edge_stream import associate_movie
from trackastra_engine.detection.detections import IntArray
from trackastra_engine.evaluation.edge_scores import Counts
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.simulation import Errors, KnownMovie, random_parameters, simulate
from trackastra_training.configuration import AnnotatedMovie
from trackastra_training.ground_truth import read_known_movie
from trackastra_training.segmentation_errors import keep_rows

MAX_GAP = 2
N_SIMULATED = 24
SHOWN_LINKERS = ("greedy", "ilp", "lap")


@dataclass(frozen=True, slots=True, eq=False)
class SpoiledMovie:
    """The candidates over up to MAX_GAP frames of a movie with missing detections."""

    name: str
    graph: CandidateGraph
    parent: IntArray  # (N,) row of the same cell or its mother, last seen earlier; -1 if none

    def count(self, mode: str, max_gap: int) -> dict[str, Any]:
        """Return the counts of a linker: all links of up to MAX_GAP frames, and those over gaps."""
        rows = np.flatnonzero(self.graph.n_missed < max_gap)
        seen = CandidateGraph(self.graph.detections, self.graph.edges.rows(rows))
        chosen = seen.edges.rows(linker(mode, max_gap=max_gap, probabilities=True).choose(seen))
        frame, child = self.graph.detections.frame, np.flatnonzero(self.parent >= 0)
        child = child[frame[child] - frame[self.parent[child]] <= MAX_GAP]
        expected = np.column_stack([self.parent[child], child])
        found = np.column_stack([chosen.source, chosen.target])
        is_gap = [frame[links[:, 1]] - frame[links[:, 0]] > 1 for links in (found, expected)]
        return {
            "links": _counted(found, expected),
            "gaps": _counted(found[is_gap[0]], expected[is_gap[1]]),
        }


def _counted(found: IntArray, expected: IntArray) -> list[int]:
    """Return the numbers of correct, found and expected links (E, 2)."""
    correct = set(map(tuple, found.tolist())) & set(map(tuple, expected.tolist()))
    return [len(correct), len(found), len(expected)]


def spoiled(name: str, movie: KnownMovie, missed: float, tracker: Tracker) -> SpoiledMovie:
    """Return a movie with a share of the detections removed."""
    rng = np.random.default_rng(0)
    kept = keep_rows(movie, np.flatnonzero(rng.random(len(movie.parent)) >= missed))
    spec = tracker.model.spec
    edges = associate_movie(tracker.scoring(None), spec, kept.detections, max_gap=MAX_GAP)
    return SpoiledMovie(name, candidate_graph(kept.detections, edges), kept.parent)


def movies(named: Iterable[str], tracker: Tracker) -> Iterator[tuple[str, KnownMovie]]:
    """Yield simulated movies of all kinds, and then annotated ones."""
    rng = np.random.default_rng(1)
    for seed in range(N_SIMULATED):
        # Merged or split cells are not part of this question.
        parameters = replace(random_parameters(rng), errors=Errors())
        yield "simulated", simulate(parameters, seed)
    for text in named:
        name, place = text.split("=", 1)
        yield name, read_known_movie(AnnotatedMovie.parse(place), tracker.model.spec)


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies and linkers: precision and recall without and with gaps."""
    yield ["movie", "linker", "precision", "recall", "gaps closed", "wrongly"]
    for row in result["rows"]:
        if row["linker"] not in SHOWN_LINKERS:
            continue
        before, after = (Counts(*row[f"max_gap_{gap}"]["links"]) for gap in (1, MAX_GAP))
        correct, found, expected = row[f"max_gap_{MAX_GAP}"]["gaps"]
        yield [
            row["movie"],
            row["linker"],
            f"{before.precision:.4f} → {after.precision:.4f}",
            f"{before.recall:.4f} → {after.recall:.4f}",
            f"{correct:,} of {expected:,}",
            f"{found - correct:,}",
        ]


@click.command()
@click.argument("named", metavar="[MOVIES]...", nargs=-1)
@click.option("--model", default="general_2d", show_default=True)
@click.option("--missed", default=0.05, show_default=True, help="Share of detections to remove.")
def gaps(named: tuple[str, ...], model: str, missed: float) -> None:
    """Link movies with missing detections, simulated ones and MOVIES.

    Each of these is NAME=FOLDER or NAME=FOLDER:FIRST-LAST, with FOLDER as 02_GT of the Cell
    Tracking Challenge.
    """
    tracker = Tracker.load(model, mode=linker("greedy", max_gap=MAX_GAP), device="cpu")
    seen = [spoiled(name, movie, missed, tracker) for name, movie in movies(named, tracker)]
    rows = []
    for name in dict.fromkeys(movie.name for movie in seen):
        for mode in MODES:
            row: dict[str, Any] = {"movie": name, "linker": mode}
            for gap in (1, MAX_GAP):
                counted = [movie.count(mode, gap) for movie in seen if movie.name == name]
                row[f"max_gap_{gap}"] = {
                    kind: np.sum([part[kind] for part in counted], axis=0).tolist()
                    for kind in ("links", "gaps")
                }
            rows.append(row)
    answer = {"model": model, "missed": missed, "simulated_movies": N_SIMULATED, "rows": rows}
    path = write_result("gaps", answer)
    for line in table(answer):
        print("  ".join(f"{cell:24s}" for cell in line))
    print(f"written to {path}")
