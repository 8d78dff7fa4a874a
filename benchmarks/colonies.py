"""How accurate is tracking of colonies, tissue and crawling cells of other laboratories?"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from benchmarks import cellmap, follicles, microcolonies, myoblasts, yeast
from benchmarks.accuracy import interpreter
from benchmarks.movie_variants import ORDINAL, WHOLE, Variant, every_nth, itself, with_errors
from benchmarks.real_movies import ALL_FRAMES, NEEDED_DATA_OPTION, SHOWN_OPTION, read_tables
from benchmarks.true_movies import TrueMovie, read_movie
from benchmarks.wandering import compare

READERS = {
    microcolonies.SET: read_tables,
    follicles.SET: read_movie,
    cellmap.SET: read_tables,
    myoblasts.SET: read_tables,
    yeast.SET: read_movie,
}
NOT_FOR_CHOOSING = (myoblasts.SET, yeast.SET)  # sets of one movie
VERSIONS: dict[str, Variant] = {
    WHOLE: itself,
    **{ORDINAL[n]: partial(every_nth, n=n) for n in (2, 4)},
    "with errors": with_errors,
}


def movies(data: Path, name: str, part: str) -> list[TrueMovie]:
    """Return the movies of a part of a set."""
    return [READERS[name](place, *ALL_FRAMES) for place in folders(data, name, part)]


def folders(data: Path, name: str, part: str) -> list[Path]:
    """Return the folders of the movies of a part of a set."""
    folder = data / name / part
    if not folder.is_dir():
        raise click.BadParameter(f"{data} has no folder {name}; `benchmarks {name}` makes it")
    return sorted(folder.iterdir())


def versions(data: Path, part: str) -> Iterator[tuple[str, list[TrueMovie]]]:
    """Yield the name of each set and version, and the movies of the set in it."""
    for name in READERS:
        if part != "test" and name in NOT_FOR_CHOOSING:
            continue
        found = movies(data, name, part)
        for version, make in VERSIONS.items():
            yield f"{name}, {version}", [make(movie) for movie in found]


@click.command()
@NEEDED_DATA_OPTION
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
@SHOWN_OPTION
@interpreter("btrack")
@interpreter("byotrack")
def colonies(data: Path, models: tuple[str, ...], part: str, **environments: str | None) -> None:
    """Track the movies of `microcolonies`, `follicles`, `cellmap`, `myoblasts` and `yeast`."""
    compare("colonies", part, versions(data, part), models, environments)
