"""How accurate is tracking of few cells: in small fields of view, or of some of the lineages?"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import in_words, summary, title
from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import (
    ORDINAL,
    SEED,
    WHOLE,
    Variant,
    densest,
    every_nth,
    flat_variants,
    itself,
    kept_cells,
    typical_spacing,
)
from benchmarks.other_trackers import DISTANCES, laptrack_links
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.strides import change_of_errors
from benchmarks.true_movies import TrueMovie, true_movie
from trackastra_engine.association import edge_stream
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.evaluation.edge_scores import Counts, Scores
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_training.sparse_windows import some_lineages

N_FIELDS = 12  # of each version of a movie, and selections of lineages; they may overlap
N_FRAMES = 40  # of a field, at most: the fullest of the movie
CELLS = 12  # per frame, on average; in fields of masks, parts of others at the sides, too
ALL_WINDOWS = ", all windows at the stride"
MOST_OF_MOVIE = 0.5  # share of the cells of the frames; movies with fewer cells are left out

Row = dict[str, Any]


def versions(ndim: int) -> dict[str, Variant]:
    """Return the functions that make the versions of a movie of which few cells are seen."""
    if ndim == 2:
        return {WHOLE: itself, ORDINAL[2]: partial(every_nth, n=2)}
    return {WHOLE: itself, ORDINAL[3]: partial(every_nth, n=3), **flat_variants()}


def fields(movie: TrueMovie) -> Iterator[tuple[TrueMovie, float]]:
    """Yield fields of view around random cells: cubes of points, or squares that cut masks.

    With each comes its typical spacing, in pixels. There are none in movies that are hardly larger
    than a field.
    """
    rng = np.random.default_rng(SEED)
    movie = densest(movie, N_FRAMES)
    place = movie.detections.centroid
    n_kept = CELLS * movie.n_frames
    for _ in range(N_FIELDS if n_kept <= MOST_OF_MOVIE * len(place) else 0):
        middle = place[rng.integers(len(place))]
        distance = np.abs(place - middle).max(axis=1)
        half = float(np.partition(distance, n_kept - 1)[n_kept - 1])
        if movie.masks is None:
            seen = seen_alone(kept_cells(movie, distance <= half))
        else:
            seen = _cut(movie, movie.masks, middle, half)
        yield seen, typical_spacing(seen.in_proportion())


def selections(movie: TrueMovie) -> Iterator[tuple[TrueMovie, float]]:
    """Yield random lineages without all other cells, and the typical spacing of the movie.

    There are none in movies of hardly more cells.
    """
    rng = np.random.default_rng(SEED)
    movie = densest(movie, N_FRAMES)
    found, spacing = movie.detections, typical_spacing(movie.in_proportion())
    n_kept = CELLS * movie.n_frames
    for _ in range(N_FIELDS if n_kept <= MOST_OF_MOVIE * len(found) else 0):
        is_kept = np.zeros(len(found), bool)
        is_kept[some_lineages(movie.parent, n_kept, rng)] = True
        if movie.masks is None:
            yield seen_alone(kept_cells(movie, is_kept)), spacing
        else:
            masks = movie.masks.copy()
            for frame, mask in enumerate(masks):
                mask[~np.isin(mask, found.label[(found.frame == frame) & is_kept])] = 0
            yield kept_cells(replace(movie, masks=masks, images=None), is_kept), spacing


def seen_alone(movie: TrueMovie) -> TrueMovie:
    """Return the movie of points with the border around them."""
    found = movie.detections
    diameter = found.features[:, 0]
    points = detections_of_points(found.frame, found.centroid, label=found.label, diameter=diameter)
    return replace(movie, detections=points)


def _cut(
    movie: TrueMovie, masks: NDArray[np.integer[Any]], middle: NDArray[np.float64], half: float
) -> TrueMovie:
    """Return the masks (T, Y, X) within a distance of a point, with the cells that are visible."""
    low = np.maximum(middle - half, 0).astype(int)
    box = tuple(slice(start, int(stop) + 1) for start, stop in zip(low, middle + half, strict=True))
    visible = masks[:, *box]
    found = movie.detections
    is_kept = np.zeros(len(found), bool)
    for frame, mask in enumerate(visible):
        is_kept |= (found.frame == frame) & np.isin(found.label, mask)
    kept = kept_cells(replace(movie, masks=None, images=None), is_kept)
    numbered = np.zeros_like(visible)
    for frame, mask in enumerate(visible):
        labels = kept.detections.label[kept.detections.frame == frame]
        numbered[frame] = np.where(mask > 0, 1 + np.searchsorted(labels, mask), 0)
    return true_movie(numbered, None, kept.parent, movie.z_step)


SEEN = {"small fields": fields, "some lineages": selections}


def without_parent(movie: TrueMovie) -> float:
    """Return the share of detections without a link from the frame before, after the first one."""
    frame = movie.detections.frame
    return 1 - len(movie.links) / int((frame > frame[0]).sum())


def pooled(scores: Sequence[Scores]) -> Scores:
    """Return the scores of all fields together."""

    def total(counts: Iterable[Counts]) -> Counts:
        sums = np.sum([[one.correct, one.found, one.expected] for one in counts], axis=0)
        return Counts(*sums.tolist())

    return Scores(total(one.edges for one in scores), total(one.divisions for one in scores))


def facts(movies: Sequence[TrueMovie], by_tracker: Mapping[str, Scores]) -> Row:
    """Return the mean cells per frame of all fields, and the scores of each tracker."""
    counts = next(iter(by_tracker.values()))
    return {
        "cells": round(np.mean([len(one.detections) / one.n_frames for one in movies]), 1),
        "edges": counts.edges.expected,
        "divisions": counts.divisions.expected,
        "trackers": {name: summary(scores) for name, scores in by_tracker.items()},
    }


def ours(
    models: dict[str, AssociationModel], shown: Sequence[TrueMovie], *, may_choose: bool
) -> Iterator[tuple[str, Scores]]:
    """Yield the scores of models, and of the first one with small windows at the usual stride."""
    for name, model in models.items():
        yield name, pooled([movie.score(greedy_links(model, movie)) for movie in shown])
    if may_choose:
        name, model = next(iter(models.items()))
        with patch.object(edge_stream, "SMALL_WINDOW", 0):
            found = [movie.score(greedy_links(model, movie)) for movie in shown]
        yield f"{name}{ALL_WINDOWS}", pooled(found)


def others(shown: Sequence[tuple[TrueMovie, float]]) -> Iterator[tuple[str, Scores]]:
    """Yield the scores of other trackers, those with a distance at the best one for all movies.

    shown: movies, and the unit of the distances of each, in pixels.
    """
    for name, links in (("nearest neighbour", nearest_neighbour), ("laptrack", laptrack_links)):
        tried = []
        for distance in DISTANCES:
            found = (
                movie.score(links(movie.in_proportion(), distance * spacing))
                for movie, spacing in shown
            )
            tried.append(pooled(list(found)))
        yield name, max(tried, key=lambda scores: scores.edges.f1)
    pixels = [(movie, movie.masks) for movie, _ in shown if movie.masks is not None]
    if pixels:
        yield (
            "overlap",
            pooled([movie.score(overlap(movie.in_proportion(), masks)) for movie, masks in pixels]),
        )


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies by trackers; small fields come first."""
    trackers = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    facts = ("cells per frame", "without a parent", "edges, divisions")
    yield ["seen", "edge F1 / division F1", *facts, *trackers]
    for row in sorted(result["rows"], key=lambda row: list(SEEN).index(row["seen"])):
        scores = (row["trackers"].get(name) for name in trackers)
        yield [
            row["seen"],
            title(row["movie"], row["variant"], has_errors=False),
            f"{row['cells']:.0f}",
            f"{row['without_parent']:.0%}",
            f"{row['edges']:,}, {row['divisions']:,}",
            *("" if found is None else in_words(found) for found in scores),
        ]


def change_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield the mean change of errors of each of our trackers against the first of its rows."""
    pairs: dict[tuple[str, str, str], list[tuple[int, int]]] = {}
    for row in result["rows"]:
        first, *rest = row["errors"]
        for name in rest:
            counts = row["errors"][first], row["errors"][name]
            pairs.setdefault((row["seen"], name, first), []).append(counts)
    yield ["seen", "", "against", "rows", "errors"]
    for names, counted in sorted(pairs.items(), key=lambda item: list(SEEN).index(item[0][0])):
        before, after = ([{"errors": pair[place]} for pair in counted] for place in (0, 1))
        change = 100 * change_of_errors(before, after)
        yield [*names, str(len(counted)), f"{change:+.1f} %"]


@click.command()
@NEEDED_DATA_OPTION
@click.option(
    "--model", "models", multiple=True, default=("general_2d", "general_3d"), show_default=True
)
@SHOWN_OPTION
def small_fields(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track few cells of real movies, and compare with trackers that need no training."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[Row] = []
    for found in parts_shown(data, part):
        movie = found.read()
        for (variant, make), (kind, few) in product(versions(found.ndim).items(), SEEN.items()):
            whole = make(movie)
            shown = list(few(whole))
            if not shown:
                continue
            ndim = whole.detections.ndim
            fitting = {name: model for name, model in loaded.items() if model.spec.ndim == ndim}
            few_cells = [seen for seen, _ in shown]
            known = dict(ours(fitting, few_cells, may_choose=part == "choosing"))
            by_tracker = {**known, **dict(others(shown))}
            rows.append(
                {
                    "movie": found.name,
                    "variant": variant,
                    "seen": kind,
                    "without_parent": round(np.mean(list(map(without_parent, few_cells))), 3),
                    **facts(few_cells, by_tracker),
                    "errors": {name: n_errors(scores) for name, scores in known.items()},
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    name = "small_fields" if part == "test" else "small_fields_choosing"
    print(f"written to {write_result(name, {'rows': rows})}")
