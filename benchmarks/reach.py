"""How far must attention and links reach, for the same accuracy?"""

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import densest
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION
from benchmarks.record import write_result
from benchmarks.strides import change_of_errors, measure, movies
from trackastra_engine.association.edge_stream import usual_gap, usual_stride
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_export.export import export_model
from trackastra_training.configuration import Configuration
from trackastra_training.start import start_from_model

REACHES = (8.0, 6.5, 5.5, 5.0, 4.5, 4.0)  # typical spacings; the models learned with the first

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


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each reach: the time of all movies, and the change of errors."""
    by_ndim = {ndim: [row for row in result["movies"] if row["ndim"] == ndim] for ndim in (2, 3)}
    kinds = [f"{ndim}D ({len(rows)} movies)" for ndim, rows in by_ndim.items()]
    names = ("CPU s per 1,000 detections", "errors", "change of errors")
    yield ["reach in spacings", *(f"{kind}: {name}" for kind in kinds for name in names)]
    longest, *_ = reaches = list(result["movies"][0]["reaches"])
    for reach in reaches:
        cells: list[str] = []
        for rows in by_ndim.values():
            before, after = ([row["reaches"][name] for row in rows] for name in (longest, reach))
            counts = [row["detections"] for row in rows]
            seconds = [found["cpu_s_per_1000_detections"] for found in after]
            cells += [
                f"{np.average(seconds, weights=counts):.3f}",
                f"{sum(found['errors'] for found in after):,}",
                f"{100 * change_of_errors(before, after):+.1f} %",
            ]
        yield [reach, *cells]


@click.command()
@NEEDED_DATA_OPTION
def reach(data: Path) -> None:
    """Link detections of real movies by the default models with other reaches, on one core."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        models = {ndim: with_reaches(f"general_{ndim}d", REACHES, Path(folder)) for ndim in (2, 3)}
        for name, movie in movies(data):
            ndim = movie.detections.ndim
            found = {}
            for spacings, model in models[ndim].items():
                stride = usual_stride(model.spec, max_gap=usual_gap(model.spec))
                measure(model, densest(movie, 6), stride)  # nothing is read or compiled later
                found[str(spacings)] = measure(model, movie, stride)
            about = {"movie": name, "ndim": ndim, "detections": len(movie.detections)}
            rows.append({**about, "reaches": found})
            print(json.dumps(rows[-1]), flush=True)
    print(f"written to {write_result('reach', {'movies': rows})}")
