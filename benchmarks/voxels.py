"""What does it cost if the size of the voxels of 3D masks is not known?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import in_words, summary
from benchmarks.movie_variants import SEED, densest
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.small_fields import pooled
from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.detection.transform import transform
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.invented_measurements import with_invented_shapes

N_FRAMES = 30  # of a movie: the fullest
HEIGHTS = (1.0, 0.7, 0.5)  # of cells, over their width
Z_STEPS = (1.0, 3.0, 6.0, 12.0)  # in pixels
KNOWN, UNKNOWN, CUBES = "voxel size known", "unknown", "taken for cubes"


def with_shapes(movie: TrueMovie, height: float) -> TrueMovie:
    """Return a movie of points in 3D as ellipsoids, whose mean height is a share of the width."""
    known = KnownMovie(movie.detections, movie.parent, count_children(movie.parent))
    shaped = with_invented_shapes(known, np.random.default_rng(SEED)).detections
    lower = transform(shaped, np.diag([height, 1.0, 1.0]))
    return replace(movie, detections=replace(lower, centroid=movie.detections.centroid))


def in_voxels(movie: TrueMovie, z_step: float) -> TrueMovie:
    """Return the movie in voxels that are `z_step` times as long along z."""
    return replace(movie, detections=transform(movie.detections, np.diag([1 / z_step, 1.0, 1.0])))


def links(tracker: Tracker, movie: TrueMovie, voxel: tuple[float, ...] | None) -> Any:
    """Return the links (E, 2) of a tracker to which a voxel size is given or not."""
    edges = tracker.track_detections(movie.detections, voxel_um=voxel).edges
    return np.column_stack([edges.source, edges.target])


def embryos(data: Path, part: str) -> Iterator[TrueMovie]:
    """Yield the fullest frames of the 3D movies of a part."""
    for found in parts_shown(data, part):
        if found.ndim == 3:
            yield densest(found.read(), N_FRAMES)


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each height and z step."""
    yield ["edge F1 / division F1", KNOWN, UNKNOWN, CUBES]
    for row in result["rows"]:
        seen = f"cells {row['height']:g} widths high, z step of {row['z_step']:g} pixels"
        yield [seen, *(in_words(row["scores"][name]) for name in (KNOWN, UNKNOWN, CUBES))]


@click.command()
@NEEDED_DATA_OPTION
@SHOWN_OPTION
def voxels(data: Path, part: str) -> None:
    """Track embryos with invented shapes in voxels of other proportions."""
    tracker = Tracker.load("general_3d", threads=1)
    movies = list(embryos(data, part))
    rows = []
    for height, z_step in product(HEIGHTS, Z_STEPS):
        seen = [in_voxels(with_shapes(movie, height), z_step) for movie in movies]
        given = {KNOWN: (z_step, 1.0, 1.0), UNKNOWN: None, CUBES: (1.0, 1.0, 1.0)}
        scores = {
            name: summary(pooled([one.score(links(tracker, one, voxel)) for one in seen]))
            for name, voxel in given.items()
        }
        rows.append({"height": height, "z_step": z_step, "scores": scores})
        print(json.dumps(rows[-1]), flush=True)
    name = "voxels" if part == "test" else "voxels_choosing"
    print(f"written to {write_result(name, {'rows': rows})}")
