"""Does alignment improve links where frames move as a whole, and what does it cost elsewhere?"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import Variant, densest, moved, typical_spacing, variants
from benchmarks.our_trackers import chosen_links, load_model
from benchmarks.real_movies import DATA_OPTION, Part, real_parts
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.association.association import Association
from trackastra_engine.association.edge_stream import associate_movie
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.motion import flow
from trackastra_engine.motion.summary import movie_motion

N_FRAMES = 24  # of each movie, those with the most cells
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
    found = moved(replace(movie, masks=None), np.zeros((movie.n_frames, movie.detections.ndim)))
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


def measure(model: AssociationModel, movie: TrueMovie, *, aligned: bool) -> dict[str, float]:
    """Return the accuracy of greedy links, and CPU seconds of a second run."""
    voxel = (movie.z_step, 1.0, 1.0)[-movie.detections.ndim :]
    association = Association(model, voxel_um=voxel, aligned=aligned)
    seconds = []
    for _ in range(2):  # the first run also compiles and loads
        flow._MEMORY = flow.new_memory()
        begin = time.process_time()
        edges = associate_movie(association.score(None), model.spec, movie.detections)
        seconds.append(time.process_time() - begin)
    scores = movie.score(chosen_links(candidate_graph(movie.detections, edges), "greedy"))
    return {
        "edge_f1": scores.edges.f1,
        "division_f1": scores.divisions.f1,
        "cpu_s": min(seconds),
    }


def compared(model: AssociationModel, movie: TrueMovie) -> dict[str, Any]:
    """Return accuracy and time without and with alignment, and the number of aligned frames."""
    motion = movie_motion(movie.detections, movie.n_frames)
    off, auto = (measure(model, movie, aligned=aligned) for aligned in (False, True))
    return {
        "frames": movie.n_frames,
        "aligned_frames": int(motion.is_aligned.sum()),
        "off": off,
        "auto": auto,
        "cpu_ratio": auto["cpu_s"] / off["cpu_s"],
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each movie and version: accuracy and time of alignment."""
    yield ["movie", "version", "frames aligned", "without", "aligned", "CPU"]
    for row in result["rows"]:
        scores = [
            f"{row[side]['edge_f1']:.4f} / {row[side]['division_f1']:.3f}"
            for side in ("off", "auto")
        ]
        aligned = f"{row['aligned_frames']} of {row['frames'] - 1}"
        yield [row["movie"], row["version"], aligned, *scores, f"{row['cpu_ratio']:.2f} x"]


@click.command()
@DATA_OPTION
@click.option("--part", type=click.Choice(["train", "validate", "test"]), default="validate")
@click.option("--only", multiple=True, help="Begin of a movie's name; several times for more.")
def motion(data: Path | None, part: Part, only: tuple[str, ...]) -> None:
    """Compare links with and without alignment on real movies, original and in motion.

    Scores are those of greedy links with fixed rates.
    """
    if data is None:
        raise click.UsageError("give --data, the folder of the real movies")
    models = {ndim: load_model(f"general_{ndim}d") for ndim in (2, 3)}
    rows = []
    for known in real_parts(data, part):
        if only and not known.name.startswith(only):
            continue
        whole = known.read()
        for name, change in motions(known.ndim).items():
            movie = densest(change(whole), N_FRAMES)
            row = {"movie": known.name, "version": name, **compared(models[known.ndim], movie)}
            rows.append(row)
            _, cells = table({"rows": [row]})
            print(*cells, sep="  ", flush=True)
    print(f"\nwritten to {write_result('motion', {'part': part, 'rows': rows})}")
