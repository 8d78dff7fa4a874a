"""How accurate is the tracking on real movies, against trackers that a user could take instead?"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import click
import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.record import write_result
from trackastra_engine import Tracker
from trackastra_engine.detections import Detections, concatenate, detect
from trackastra_engine.frames import Frame
from trackastra_engine.scoring import Scores, score_edges

MODES = ("greedy", "ilp", "lap")
DISTANCES_PX = (5, 7, 10, 14, 20, 28, 40, 56, 80)  # tried for nearest neighbour: the best counts


@dataclass(frozen=True, slots=True, eq=False)
class TrueMovie:
    """Masks with known tracks, labels shuffled in every frame so that they tell nothing."""

    name: str
    masks: NDArray[np.integer]  # (T, Y, X)
    detections: Detections
    links: NDArray[np.int64]  # (E, 2) true edges between neighbouring frames, rows of detections

    def score(self, links: NDArray[np.integer]) -> Scores:
        """Return how well some links (E, 2) between rows of the detections match the truth."""
        return score_edges(self._ends(links), self._ends(self.links))

    def _ends(self, links: NDArray[np.integer]) -> NDArray[np.integer]:
        frame_and_label = np.column_stack([self.detections.frame, self.detections.label])
        return frame_and_label[links].reshape(-1, 4)


def read_movie(name: str, folder: Path, first: int, last: int) -> TrueMovie:
    """Return frames `first` to `last` of a ground truth folder of the Cell Tracking Challenge."""
    rng = np.random.default_rng(0)
    tracks = np.loadtxt(folder / "TRA" / "man_track.txt", dtype=int, ndmin=2)
    files = sorted((folder / "TRA").glob("man_track*.tif"))[first : last + 1]
    masks, parts, names = [], [], []
    for index, file in enumerate(files):
        truth = tifffile.imread(file)
        old = np.unique(truth[truth > 0])
        new = np.zeros(old.max() + 1, np.int32)
        new[old] = rng.permutation(len(old)) + 1
        masks.append(new[truth])
        parts.append(detect(Frame(index, None, masks[-1]), 2))
        names.append(old[np.argsort(new[old])])  # detections are sorted by their new label
    detections = concatenate(parts, 2)
    return TrueMovie(name, np.stack(masks), detections, _true_links(detections, names, tracks))


def _true_links(
    detections: Detections, names: list[NDArray[np.int64]], tracks: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return (E, 2) rows; names: the track of every detection, by frame; tracks: L B E P."""
    parent = {int(row[0]): int(row[3]) for row in tracks}
    offsets = np.searchsorted(detections.frame, np.arange(len(names)))
    links = []
    for t in range(1, len(names)):
        before = {int(name): offsets[t - 1] + i for i, name in enumerate(names[t - 1])}
        for i, name in enumerate(names[t].tolist()):
            source = before.get(name, before.get(parent[name]))
            if source is not None:
                links.append((source, offsets[t] + i))
    return np.array(links, np.int64)


def compare(movie: TrueMovie, models: tuple[str, ...]) -> dict[str, Scores]:
    """Return the scores of every tracker on one movie; all see the same masks, no images."""
    nearest = [
        movie.score(nearest_neighbour(movie.detections, distance)) for distance in DISTANCES_PX
    ]
    results = {
        "nearest neighbour": max(nearest, key=lambda scores: scores.edges.f1),
        "overlap": movie.score(overlap(movie.detections, movie.masks)),
    }
    for model, mode in product(models, MODES):
        edges = Tracker.load(model, mode=mode, device="cpu").track(None, movie.masks).edges
        links = np.column_stack([edges.source, edges.target])
        results[f"{Path(model).stem}, {mode}"] = movie.score(links)
    return results


def summary(scores: Scores) -> dict[str, float]:
    """Return what a table shows of the scores."""
    return {
        "edge_f1": round(scores.edges.f1, 5),
        "division_f1": round(scores.divisions.f1, 4),
        "wrong_edges": scores.edges.found - scores.edges.correct,
        "missed_edges": scores.edges.expected - scores.edges.correct,
    }


@click.command()
@click.argument("movies", nargs=-1, required=True)
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
def accuracy(movies: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Score trackers on MOVIES, each NAME=FOLDER:FIRST-LAST with FOLDER as 02_GT of the CTC.

    Detections are the true masks; edges and divisions count between neighbouring frames.
    """
    answer = {}
    for text in movies:
        name, place = text.split("=", 1)
        folder, frames = place.rsplit(":", 1)
        first, last = map(int, frames.split("-"))
        movie = read_movie(name, Path(folder), first, last)
        results = compare(movie, models)
        answer[name] = {
            "frames": [first, last],
            "detections": len(movie.detections),
            "edges": len(movie.links),
            "trackers": {tracker: summary(scores) for tracker, scores in results.items()},
        }
        print(f"\n{name}: frames {first}-{last}, {len(movie.links)} edges")
        for tracker, scores in results.items():
            edges, divisions = scores.edges.f1, scores.divisions.f1
            print(f"  {tracker:24s} edge F1 {edges:.4f}   division F1 {divisions:.3f}")
    print(f"\nwritten to {write_result('accuracy', {'movies': answer})}")
