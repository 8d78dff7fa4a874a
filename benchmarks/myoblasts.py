"""Makes movies of points from the C2C12 myoblasts of a dish in phase contrast.

Their number grows from 31 to 267 in 780 frames of 5 minutes; people marked the cells, and positions
between marked ones are partly interpolated (Ker et al., Scientific Data 2018, doi
10.1038/sdata.2018.237; CC-BY 4.0). The tables are in NoneqPhysLivingMatterLab/laptrack-optimisation
(Fukai & Kawaguchi, Bioinformatics 2023). There are no sizes. `general_2d` learned from the first
half.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd

from benchmarks.point_tables import parents_of_tracks, points_and_edges

# In a clone of github.com/NoneqPhysLivingMatterLab/laptrack-optimisation.
FOLDER = Path("data", "C2C12", "organized_data", "BMP2_updated")
CELLS, TRACKS = Path("regionprops.csv"), Path("02_GT", "TRA", "man_track.txt")
SET = "myoblasts"
EVERY = 10  # of the frames, in which cells hardly move: those that are used
PARTS = {"train": (0, 390), "test": (390, 780)}  # frames, from 0
# Of the part `train`: every n-th frame, and the first.
LEARNED = (
    *((6, 1), (6, 4), (10, 0), (10, 3), (10, 7), (15, 2), (15, 9)),
    *((18, 13), (20, 0), (20, 13), (30, 7), (30, 10), (45, 17)),
)


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def myoblasts(clone: Path, data: Path) -> None:
    """Write the movies of a CLONE of laptrack-optimisation to the folder myoblasts of DATA."""
    folder = clone / FOLDER
    if not (folder / CELLS).is_file():
        raise click.BadParameter(
            f"there is no {folder / CELLS}; clone NoneqPhysLivingMatterLab/laptrack-optimisation"
        )
    cells = pd.read_csv(folder / CELLS)
    cells["frame"] -= cells["frame"].min()
    cells = cells.sort_values(["frame", "track"]).drop_duplicates(["frame", "y", "x"])
    tracks = np.loadtxt(folder / TRACKS, dtype=int, ndmin=2)
    mothers = {int(track): int(mother) for track, _, _, mother in tracks if mother > 0}
    for part, (begin, end) in PARTS.items():
        seen = cells[(cells["frame"] >= begin) & (cells["frame"] < end)]
        parent, kept = parents_of_tracks(seen["track"].tolist(), mothers), seen[["frame", "y", "x"]]
        movies = {"BMP2_9": (EVERY, begin)}
        if part == "train":
            movies = {f"BMP2_9_{every}_{first}": (every, first) for every, first in LEARNED}
        for name, (every, first) in movies.items():
            tables = points_and_edges(kept, parent, begin=first, every=every)
            place = data / SET / part / name
            place.mkdir(parents=True, exist_ok=True)
            for table, rows in zip(("points", "edges"), tables, strict=True):
                rows.to_csv(place / f"{table}.csv", index=False, float_format="%.3f")
            print(f"{place}: {len(tables[0]):,} points")
