"""Makes movies of points from colonies of E. coli that grow from few cells to a hundred.

The cells of 170 fields were followed in fluorescence (Yamauchi et al., eLife 2022, doi
10.7554/eLife.72299; MIT licence, Wakamoto-lab/LineageAnalysis). Each file is a table of cells with
area, mean intensity, position in pixels, frame, and the row of the same cell or its mother before.
There are no shapes. The source does not say whether the tracks were corrected by hand; sizes and
places agree between the frames.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.point_tables import points_and_edges

TABLES = Path("cumulant", "rpoS", "data")  # in a clone of github.com/Wakamoto-lab/LineageAnalysis
SET = "microcolonies"
COLUMNS = ["area", "intensity", "x", "y", "frame", "last", "before", "background"]
EVERY = 2  # of the frames, in which cells hardly move: those that are used
FEWEST_CELLS = 6  # in a frame; earlier ones are left out
# Experiments of each part, by folder, and the fields of each that are used.
PARTS = {
    "train": ("glu30/0318", "glu37/0308", "gly37/0620"),
    "choosing": ("glu30/0319", "gly37/0405"),
    "test": ("glu30/0404", "glu37/0309", "gly37/0614"),
}
# Numbers of fields of each experiment, evenly spaced; a second selection was added for training.
N_FIELDS = {"train": (3, 9), "choosing": (3,), "test": (3,)}


def movie(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of a field, and the edges between them."""
    n_cells = table["frame"].map(table["frame"].value_counts())
    begin = int(table.loc[n_cells >= FEWEST_CELLS, "frame"].min())
    before = table["before"].to_numpy(np.int64) - 1  # rows count from 1; 0: none
    cells = table.assign(diameter=2 * np.sqrt(table["area"] / np.pi))
    kept = cells[["frame", "y", "x", "diameter", "intensity"]]
    return points_and_edges(kept, before, begin=begin, every=EVERY)


def fields(clone: Path) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield the part, the name and the table of each field that is used."""
    for part, experiments in PARTS.items():
        for experiment in experiments:
            files = sorted((clone / TABLES / experiment / "YFP").glob("Results*.csv"))
            used = {file for n in N_FIELDS[part] for file in files[:: len(files) // n][:n]}
            for file in sorted(used):
                name = f"{experiment.replace('/', '_')}_{file.stem.removeprefix('Results')}"
                yield part, name, pd.read_csv(file, names=COLUMNS)


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def microcolonies(clone: Path, data: Path) -> None:
    """Write the movies of a CLONE of Wakamoto-lab/LineageAnalysis to DATA/microcolonies."""
    if not (clone / TABLES).is_dir():
        where = clone / TABLES
        raise click.BadParameter(f"there is no {where}; clone Wakamoto-lab/LineageAnalysis")
    for part, name, table in fields(clone):
        folder = data / SET / part / name
        folder.mkdir(parents=True, exist_ok=True)
        for kind, rows in zip(("points", "edges"), movie(table), strict=True):
            rows.to_csv(folder / f"{kind}.csv", index=False, float_format="%.3f")
    print(f"written to {data / SET}")
