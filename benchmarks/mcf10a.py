"""Makes movies of points from the MCF10A cells that tHMM's authors followed.

Breast epithelial cells wander over a dish, 16 fields, a frame every 30 minutes for two days
(Mohammadi et al., Communications Biology 2022; MIT licence). Each file is a table of positions in
pixels, with the track of each and the mother of each track. There are no sizes, and only the
lineages of cells of the first frame were followed: no cell ever enters. Cells do enter halves
of the fields, from which models can learn.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import pandas as pd

TABLES = Path("lineage", "data", "MCF10A")  # in a clone of github.com/meyer-lab/tHMM
SET = "mcf10a"
COLUMNS = ["TID", "motherID", "xpixel", "ypixel", "tmin"]
MINUTES = 30  # from frame to frame
LONGEST = 3  # frames of an edge; a cell that is away for longer begins a new track


def movie(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of a field, and the edges between them.

    A few daughters begin before the last position of their mother: their edges begin at the last
    one before them.
    """
    frame = (table["tmin"] / MINUTES).round().astype(int)
    table = table.assign(frame=frame - frame.min()).sort_values(["TID", "frame"])
    table["label"] = table.groupby("frame").cumcount() + 1
    ends = table[["TID", "frame", "label"]]
    first = table.drop_duplicates("TID")[["motherID", "frame", "label"]]
    steps = pd.merge_asof(
        pd.concat([ends, first.rename(columns={"motherID": "TID"})]).sort_values("frame"),
        ends.assign(source_frame=ends["frame"], source_label=ends["label"]).sort_values("frame"),
        on="frame",
        by="TID",
        allow_exact_matches=False,
        suffixes=("", "_before"),
    ).dropna(subset="source_frame")
    steps = steps[steps["frame"] - steps["source_frame"] <= LONGEST]
    edges = steps.rename(columns={"frame": "target_frame", "label": "target_label"})
    points = table.rename(columns={"ypixel": "y", "xpixel": "x"})[["frame", "label", "y", "x"]]
    columns = ["source_frame", "source_label", "target_frame", "target_label"]
    return points.sort_values(["frame", "label"]), edges[columns].astype(int).sort_values(columns)


def fields(name: str, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the folder of a field and its rows, and those of each half of it."""
    yield name, table
    for column, low, high in (("ypixel", "upper", "lower"), ("xpixel", "left", "right")):
        is_low = table[column] < table[column].median()
        yield f"{name}/{low}", table[is_low]
        yield f"{name}/{high}", table[~is_low]


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def mcf10a(clone: Path, data: Path) -> None:
    """Write the movies of a CLONE of github.com/meyer-lab/tHMM to the folder mcf10a of DATA."""
    files = sorted((clone / TABLES).glob("*.csv"))
    if not files:
        where = clone / TABLES
        raise click.BadParameter(f"there is no table in {where}; clone github.com/meyer-lab/tHMM")
    tables = {file: pd.read_csv(file) for file in files}
    for file, table in tables.items():
        if missing := [name for name in COLUMNS if name not in table]:
            raise click.BadParameter(f"{file} has no column {missing[0]}")
    for place, table in (part for file in tables for part in fields(file.stem, tables[file])):
        points, edges = movie(table)
        folder = data / SET / place
        folder.mkdir(parents=True, exist_ok=True)
        points.to_csv(folder / "points.csv", index=False)
        edges.to_csv(folder / "edges.csv", index=False)
        print(f"{folder}: {points['frame'].nunique()} frames, {len(points):,} points")
