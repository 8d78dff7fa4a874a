"""Does alignment improve links where frames move as a whole, and what does it cost elsewhere?"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import title
from benchmarks.movie_variants import (
    WHOLE,
    Variant,
    densest,
    moved,
    typical_spacing,
    variants,
)
from benchmarks.our_trackers import candidates, chosen_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, parts_for_choosing
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.tokens import Tokens
from trackastra_engine.motion import flow
from trackastra_engine.motion.alignment import Align
from trackastra_engine.motion.summary import movie_motion

N_FRAMES = 8  # of each movie, those with the most cells; of 2D movies all
N_PAIRS = 3  # runs of movies that do not move, without alignment and with it
TURN = 0.05  # radians a frame
GROUP_SPACINGS = 0.5  # step of either half of the field in a frame


def motions(ndim: int) -> dict[str, Variant]:
    """Return the functions that make the versions of a movie, by name."""
    return {
        **variants(ndim),
        "turning": partial(displaced, turning=True),
        "two groups": partial(displaced, turning=False),
    }


def displaced(movie: TrueMovie, *, turning: bool) -> TrueMovie:
    """Return the movie as points in a field that turns, or whose halves move apart for good."""
    found = moved(as_points(movie), np.zeros((movie.n_frames, movie.detections.ndim)))
    detections = found.detections
    place, frame = detections.centroid.copy(), detections.frame
    middle = place.mean(axis=0)
    if turning:
        angle, (y, x) = TURN * frame, (place - middle)[:, -2:].T
        place[:, -2] = middle[-2] + np.cos(angle) * y - np.sin(angle) * x
        place[:, -1] = middle[-1] + np.sin(angle) * y + np.cos(angle) * x
    else:
        root = np.arange(len(place))
        for row in np.flatnonzero(movie.parent >= 0).tolist():  # parents are first
            root[row] = root[movie.parent[row]]
        side = np.where(place[root, -1] < middle[-1], -1, 1)
        place[:, -2] += side * frame * GROUP_SPACINGS * typical_spacing(detections)
    return replace(found, detections=replace(detections, centroid=place))


class CountingModel(AssociationModel):
    """A model that counts the windows that it scores."""

    def __init__(self, model: AssociationModel) -> None:
        super().__init__(model._session, model.spec, model.path)
        self.n_scored = 0

    def associate(self, tokens: Tokens, *, max_gap: int = 1) -> Edges:
        """Return the scored edges of a window."""
        self.n_scored += 1
        return super().associate(tokens, max_gap=max_gap)


def measure(model: AssociationModel, movie: TrueMovie, align: Align) -> dict[str, Any]:
    """Return the accuracy of greedy links, the windows scored, and CPU seconds."""
    counting = CountingModel(model)
    flow._MEMORY = flow.new_memory()
    begin = time.process_time()
    graph = candidates(counting, movie, with_images=False, align=align)
    seconds = time.process_time() - begin
    scores = movie.score(chosen_links(graph, "greedy"))
    return {
        "edge_f1": scores.edges.f1,
        "division_f1": scores.divisions.f1,
        "scored": counting.n_scored,
        "cpu_s": seconds,
    }


def compared(model: AssociationModel, movie: TrueMovie, n_pairs: int) -> dict[str, Any]:
    """Return accuracy and time without and with alignment, and how many frames are aligned.

    The ratio of times is the median of pairs of runs, one after the other.
    """
    motion = movie_motion(movie.detections, movie.n_frames)
    pairs = [(measure(model, movie, "off"), measure(model, movie, "auto")) for _ in range(n_pairs)]
    off, auto = pairs[0]
    return {
        "frames": movie.n_frames,
        "aligned_frames": int(motion.is_aligned.sum()),
        "off": off,
        "auto": auto,
        "passes": auto["scored"] / off["scored"],
        "cpu_ratio": median(one["cpu_s"] / other["cpu_s"] for other, one in pairs),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each movie and version: what alignment gains and costs."""
    yield ["movie", "frames aligned", "without alignment", "with", "passes", "CPU"]
    for row in result["rows"]:
        scores = [
            f"{row[side]['edge_f1']:.4f} / {row[side]['division_f1']:.3f}"
            for side in ("off", "auto")
        ]
        aligned = f"{row['aligned_frames']} of {row['frames'] - 1}"
        name = title(row["movie"], row["version"], has_errors=False)
        cost = [f"{row['passes']:.2f}", f"{row['cpu_ratio']:.2f} x"]
        yield [name, aligned, *scores, *cost]


@click.command()
@NEEDED_DATA_OPTION
@click.option("--only", multiple=True, help="Begin of a movie's name; several times for more.")
def motion(data: Path, only: tuple[str, ...]) -> None:
    """Compare links with and without alignment on real movies, as they are and in motion.

    The movies are those on which constants may be chosen. Scores are those of greedy links.
    """
    models = {ndim: load_model(f"general_{ndim}d") for ndim in (2, 3)}
    rows = []
    for known in parts_for_choosing(data):
        if only and not known.name.startswith(only):
            continue
        whole = known.read()
        measure(models[known.ndim], as_points(densest(whole, 4)), "auto")  # compiles and loads
        for name, change in motions(known.ndim).items():
            movie = as_points(change(whole))
            movie = densest(movie, N_FRAMES) if known.ndim == 3 else movie
            n_pairs = N_PAIRS if name == WHOLE else 1
            row = {
                "movie": known.name,
                "version": name,
                **compared(models[known.ndim], movie, n_pairs),
            }
            rows.append(row)
            _, cells = table({"rows": [row]})
            print(*cells, sep="  ", flush=True)
    print(f"\nwritten to {write_result('motion', {'rows': rows})}")
