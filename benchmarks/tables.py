"""Fills the tables of the pages with the recorded results."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    accuracy,
    accuracy_summary,
    adaptation,
    clutter,
    cores,
    corrections,
    default_model,
    delay,
    depths,
    errors,
    false_divisions,
    formats,
    gaps,
    gpu,
    intensities,
    large,
    latency,
    layers,
    length,
    linking,
    models,
    motion,
    motion_constants,
    noise,
    rates,
    reach,
    scaling,
    small_fields,
    soak,
    sources,
    stages,
    startup,
    strides,
    transformer,
    turns,
    voxels,
    wandering,
    whole,
)
from benchmarks.plots import draw_all
from benchmarks.record import RESULTS, read_result

ROOT = Path(__file__).parent.parent
PAGES = tuple(
    ROOT / page for page in ("README.md", "benchmarks/README.md", "engine/CORRECTIONS.md")
)

Table = Callable[[dict[str, Any]], Iterable[Sequence[str]]]

# By the name of the mark in a page: the result, and the function that makes its table.
TABLES: dict[str, tuple[str, Table]] = {
    "accuracy-real": ("accuracy", accuracy_summary.best_table),
    "accuracy-variants": ("accuracy", accuracy_summary.variant_table),
    "accuracy-rendered": ("accuracy", accuracy.rendered_table),
    "accuracy-errors": ("accuracy", accuracy.errors_table),
    "small-fields": ("small_fields", small_fields.table),
    "small-fields-choosing": ("small_fields_choosing", small_fields.change_table),
    "noise": ("noise", noise.table),
    "noise-change": ("noise", noise.change_table),
    "noise-choosing": ("noise_choosing", noise.change_table),
    "clutter": ("clutter", clutter.table),
    "clutter-change": ("clutter", noise.change_table),
    "clutter-choosing": ("clutter_choosing", noise.change_table),
    "wandering": ("wandering", wandering.table),
    "colonies": ("colonies", wandering.table),
    "intensities": ("intensities", intensities.table),
    "layers": ("layers", layers.table),
    "voxels": ("voxels", voxels.table),
    "depths": ("depths", depths.table),
    "errors": ("errors", errors.table),
    "motion": ("motion", motion.table),
    "turns": ("turns", turns.table),
    "motion-constants": ("motion_constants", motion_constants.constants_table),
    "models": ("models", models.table),
    "rates": ("rates", rates.kinds_table),
    "rates-constants": ("rates", motion_constants.constants_table),
    "gaps": ("gaps", gaps.table),
    "merges": ("false_divisions", false_divisions.merges_table),
    "splits": ("false_divisions", false_divisions.splits_table),
    "delay": ("delay", delay.table),
    "linking": ("linking", linking.table),
    "ilp": ("linking", linking.upstream_table),
    "transformer": ("transformer", transformer.table),
    "whole": ("whole", whole.table),
    "stages": ("stages", stages.table),
    "default-model": ("default_model", default_model.speed_table),
    "strides": ("strides", strides.table),
    "sources": ("sources", sources.table),
    "reach": ("reach", reach.table),
    "large": ("large", large.table),
    "length": ("length", length.table),
    "keeping": ("scaling", scaling.cache_table),
    "workers": ("scaling", scaling.workers_table),
    "startup": ("startup", startup.table),
    "latency": ("latency", latency.table),
    "soak": ("soak", soak.table),
    "cores": ("cores", cores.cores_table),
    "throughput": ("throughput", cores.throughput_table),
    "gpu": ("gpu", gpu.table),
    "formats": ("formats", formats.table),
    "corrections": ("corrections", corrections.corrections_table),
    "adaptation": ("adaptation", adaptation.adaptation_table),
}


def filled(text: str) -> str:
    """Return a page with each table between its marks made from its result file.

    A table without a result file does not change.
    """
    for name, (result, table) in TABLES.items():
        begin, end = f"<!-- {name}: benchmarks/results/{result}.json -->\n", f"<!-- end {name} -->"
        if begin in text and (RESULTS / f"{result}.json").exists():
            before, rest = text.split(begin)
            rows = table(read_result(result))
            text = before + begin + _markdown(rows) + end + rest.split(end, 1)[1]
    return text


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---", *("--:" for _ in head[1:])]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, rule, *body])


@click.command()
def tables() -> None:
    """Put the latest results into the tables and plots of the pages."""
    draw_all()
    for page in PAGES:
        page.write_text(filled(page.read_text("utf-8")), "utf-8")
