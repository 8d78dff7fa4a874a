"""Do the intensities of cells in real movies help?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks import microcolonies, sparse1
from benchmarks.accuracy_sets import in_words
from benchmarks.colonies import VERSIONS, folders
from benchmarks.motion_constants import n_errors
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import (
    ALL_FRAMES,
    MASKS,
    NEEDED_DATA_OPTION,
    SHOWN_OPTION,
    Part,
    read_tables,
)
from benchmarks.record import write_result
from benchmarks.small_fields import facts, pooled
from benchmarks.true_movies import TrueMovie, read_movie

PARTS: dict[str, tuple[Part, ...]] = {"choosing": ("train", "validate"), "test": ("test",)}
Seen = dict[str, list[TrueMovie]]  # the same movies, with and without intensities
WITH, WITHOUT = "with intensities", "without"


def nuclei(data: Path, part: str) -> Seen:
    """Return the movies of sparse1."""
    folder, images = data / sparse1.SET / "02_GT", data / sparse1.IMAGES
    if not images.is_dir():
        raise click.BadParameter(
            f"{data} has no folder {sparse1.IMAGES}; `benchmarks sparse1` makes it"
        )
    frames = [MASKS[sparse1.SET][one] for one in PARTS[part]]
    return {
        WITH: [read_movie(folder, *some, images=images) for some in frames],
        WITHOUT: [read_movie(folder, *some) for some in frames],
    }


def colonies(data: Path, part: str) -> Seen:
    """Return the colonies of a part."""
    places = folders(data, microcolonies.SET, part)
    return {
        seen: [read_tables(place, *ALL_FRAMES, with_intensity=seen == WITH) for place in places]
        for seen in (WITH, WITHOUT)
    }


SETS = {sparse1.SET: nuclei, microcolonies.SET: colonies}


def versions(data: Path, part: str) -> Iterator[tuple[str, Seen]]:
    """Yield each version of each set; points with errors have no intensities."""
    for name, read in SETS.items():
        found = read(data, part)
        for version, make in VERSIONS.items():
            made = {seen: [make(movie) for movie in movies] for seen, movies in found.items()}
            if any(movie.has_intensities for movie in made[WITH]):
                yield f"{name}, {version}", made


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each version, with columns for each model."""
    names = list(result["rows"][0]["trackers"])
    yield ["edge F1 / division F1", "edges, divisions", *names]
    for row in result["rows"]:
        scores = (in_words(row["trackers"][name]) for name in names)
        yield [row["version"], f"{row['edges']:,}, {row['divisions']:,}", *scores]


@click.command("intensities")
@NEEDED_DATA_OPTION
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
@SHOWN_OPTION
def intensities_benchmark(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track real movies with the measured intensities of their cells, and without."""
    loaded = {Path(model).stem: load_model(model) for model in models}
    rows: list[dict[str, Any]] = []
    for version, seen in versions(data, part):
        scores = {
            f"{name}, {kind}": pooled([movie.score(greedy_links(model, movie)) for movie in movies])
            for name, model in loaded.items()
            for kind, movies in seen.items()
        }
        errors = {name: n_errors(found) for name, found in scores.items()}
        rows.append({"version": version, **facts(seen[WITH], scores), "errors": errors})
        print(json.dumps(rows[-1]), flush=True)
    result = "intensities" if part == "test" else "intensities_choosing"
    print(f"written to {write_result(result, {'rows': rows})}")
