"""How far must attention and links reach, for the same accuracy?"""

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import densest
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION
from benchmarks.record import write_result
from benchmarks.rendered_movies import FILMS, FIRST_SEED
from benchmarks.strides import change_of_errors, measure, movies
from benchmarks.true_movies import TrueMovie, as_points, as_true_movie
from trackastra_engine.association.edge_stream import usual_gap, usual_stride
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.simulation import Division, Motion, Shape, SimulationParameters, render
from trackastra_export.export import export_model
from trackastra_training.configuration import Configuration
from trackastra_training.start import start_from_model

REACHES = (8.0, 6.5, 5.5, 5.0, 4.5, 4.0)  # typical spacings; the models learned with the first
REAL, FAST = "real movies", "simulated fast cells"
N_FAST = 8
# Cells that wander and stream so fast that the nearest is often another: in 2D those of
# engine/CORRECTIONS.md, in 3D faster ones than in the rendered movie.
FAST_CELLS = {
    2: SimulationParameters(
        n_frames=20,
        n_cells=60,
        spacing=1.45,
        motion=Motion(flow=0.2, diffusion=0.25, persistent=0.1, persistence=0.8),
        shape=Shape(diameter_px=22.0, aspect=1.35),
        division=Division(cycle_frames=45.0),
    ),
    3: replace(
        FILMS["nuclei_3d"].parameters,
        motion=replace(FILMS["nuclei_3d"].parameters.motion, flow=0.24, diffusion=0.18),
    ),
}

Models = dict[float, AssociationModel]


def with_reaches(name: str, reaches: Sequence[float], folder: Path) -> Models:
    """Return the model with each reach and the same weights, from files in a folder."""
    usual = Configuration()
    found: Models = {}
    for reach in reaches:
        start = start_from_model(replace(usual, model=replace(usual.model, reach=reach)), name)
        path = folder / f"{name}-{reach}.onnx"
        export_model(start.model, start.spec, path)
        found[reach] = load_model(str(path))
    return found


def fast_cells(ndim: int) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the names and detections of simulated movies of fast cells."""
    parameters = FAST_CELLS[ndim]
    for seed in range(N_FAST):
        movie = as_true_movie(render(parameters, FIRST_SEED + seed), z_step=parameters.z_step)
        yield f"fast cells {seed}", as_points(movie)


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each reach: the time of the real movies, and changes of errors."""
    kinds = [(ndim, kind) for ndim in (2, 3) for kind in (REAL, FAST)]
    groups = [[row for row in result["movies"] if (row["ndim"], row["kind"]) == k] for k in kinds]
    head = ["reach in spacings"]
    for (ndim, kind), rows in zip(kinds, groups, strict=True):
        if kind == REAL:
            head += [f"{ndim}D, CPU s per 1,000 detections", f"errors, {len(rows)} {kind}"]
        else:
            head.append(f"errors, {len(rows)} movies of {kind}")
    yield head
    longest, *_ = reaches = list(result["movies"][0]["reaches"])
    for reach in reaches:
        cells: list[str] = []
        for (_, kind), rows in zip(kinds, groups, strict=True):
            before, after = ([row["reaches"][name] for row in rows] for name in (longest, reach))
            if kind == REAL:
                counts = [row["detections"] for row in rows]
                seconds = [found["cpu_s_per_1000_detections"] for found in after]
                cells.append(f"{np.average(seconds, weights=counts):.3f}")
            n_errors = sum(found["errors"] for found in after)
            cells.append(f"{n_errors:,} ({100 * change_of_errors(before, after):+.1f} %)")
        yield [reach, *cells]


@click.command()
@NEEDED_DATA_OPTION
def reach(data: Path) -> None:
    """Link real and simulated movies by the default models with other reaches, on one core."""
    rows: list[dict[str, Any]] = []
    simulated = chain.from_iterable(map(fast_cells, FAST_CELLS))
    with tempfile.TemporaryDirectory() as folder:
        models = {ndim: with_reaches(f"general_{ndim}d", REACHES, Path(folder)) for ndim in (2, 3)}
        for kind, some in ((REAL, movies(data)), (FAST, simulated)):
            for name, movie in some:
                ndim = movie.detections.ndim
                found = {}
                for spacings, model in models[ndim].items():
                    stride = usual_stride(model.spec, max_gap=usual_gap(model.spec))
                    measure(model, densest(movie, 6), stride)  # nothing is read or compiled later
                    found[str(spacings)] = measure(model, movie, stride)
                about = {"movie": name, "kind": kind, "ndim": ndim}
                rows.append({**about, "detections": len(movie.detections), "reaches": found})
                print(json.dumps(rows[-1]), flush=True)
    print(f"written to {write_result('reach', {'movies': rows})}")
