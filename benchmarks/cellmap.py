"""Makes movies of points from cells that people followed with CellMAPtracer.

BT549 breast cancer cells and RPE cells crawl and divide on dishes for three days, a frame every 10
minutes (Ghannoum et al., Cells 2021, doi 10.3390/cells10020469; MIT licence). People picked cells
of the first frame and followed each with its descendants: they marked divisions and corrected the
positions that the program proposed. There are no sizes, and no cell enters the field; cells do
enter its halves, from which models learn.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.point_tables import parents_of_tracks, points_and_edges

# In a clone of github.com/ocbe-uio/CellMAPtracer.
TABLES = Path("Data")
SET = "cellmap"
PARTS = {
    "BT549_A3_1": ("train", "BT549 tracking data/Feb12 A3_1_Feb12.tif_Tracks.mat"),
    "BT549_C10_2": ("train", "BT549 tracking data/Feb12 C10_2_Feb12.tif_Tracks.mat"),
    "RPE": ("choosing", "RPE tracking data/PIP-FUCCI.tif_Tracks.mat"),
    "BT549_A3_2": ("test", "BT549 tracking data/Feb12 A3_2_Feb12.tif_Tracks.mat"),
}
EVERY = 6  # of the frames, in which cells hardly move: those that are used
# Of halves of fields: every n-th frame, and the first.
LEARNED = ((4, 1), (6, 0), (12, 5), (18, 0), (24, 5))


def cells_of(columns: Sequence[NDArray[Any]]) -> pd.DataFrame:
    """Return the cells in order of time: track, frame, y and x.

    columns: of a table of CellMAPtracer: number and name of the track, image (from 1), x and y.
    """
    _, name, image, place = columns
    found = pd.DataFrame(
        {
            "track": [str(np.ravel(one)[0]) for one in name.flat],
            "frame": image.ravel() - 1,
            "y": place[:, 1],
            "x": place[:, 0],
        }
    ).dropna()
    return found.astype({"frame": int}).sort_values(["frame", "track"], ignore_index=True)


def halves(
    cells: pd.DataFrame, parent: NDArray[np.int64]
) -> Iterator[tuple[str, pd.DataFrame, NDArray[np.int64]]]:
    """Yield the name of each half of a field, its cells, and their parents (N,) in it."""
    is_upper = (cells["y"] < cells["y"].median()).to_numpy()
    for name, seen in (("upper", is_upper), ("lower", ~is_upper)):
        kept = np.flatnonzero(seen)
        new_row = np.full(len(cells) + 1, -1)  # the last one: of no parent
        new_row[kept] = np.arange(len(kept))
        yield name, cells.iloc[kept].reset_index(drop=True), new_row[parent[kept]]


def read_cells(path: Path) -> pd.DataFrame:
    """Return the cells of a file of CellMAPtracer, see cells_of.

    Raises ClickException if the package that reads tables of MATLAB is missing.
    """
    try:
        from matio import load_from_mat
    except ImportError as error:
        raise click.ClickException("tables of MATLAB need `pip install mat-io`") from error
    table = load_from_mat(str(path), raw_data=True)["AllTracks"][0, 0]["Tracks"]
    return cells_of(table.properties["data"][0])


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def cellmap(clone: Path, data: Path) -> None:
    """Write the movies of a CLONE of CellMAPtracer to the folder cellmap of DATA."""
    files = {name: clone / TABLES / file for name, (_, file) in PARTS.items()}
    for path in files.values():
        if not path.is_file():
            raise click.BadParameter(f"there is no {path}; clone ocbe-uio/CellMAPtracer")
    for name, (part, _) in PARTS.items():
        cells = read_cells(files[name])
        mothers = {track: track.rpartition(".")[0] for track in cells["track"]}  # C7 of C7.1
        parent = parents_of_tracks(cells["track"], mothers)
        place = cells[["frame", "y", "x"]]
        movies = [(Path(part, name), place, parent, EVERY, 0)]
        if part == "train":
            movies = [
                (Path(part, f"{name}_{half}_{every}"), seen, its_parent, every, begin)
                for half, seen, its_parent in halves(place, parent)
                for every, begin in LEARNED
            ]
        for movie, seen, its_parent, every, begin in movies:
            points, edges = points_and_edges(seen, its_parent, begin=begin, every=every)
            folder = data / SET / movie
            folder.mkdir(parents=True, exist_ok=True)
            points.to_csv(folder / "points.csv", index=False)
            edges.to_csv(folder / "edges.csv", index=False)
            print(f"{folder}: {len(points):,} points")
