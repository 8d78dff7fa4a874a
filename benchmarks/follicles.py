"""Makes label masks of the follicle epithelium of flies from the interfaces of its cells.

The cells of the tissue creep past each other; none divides, and some enter and leave at its border
(Williams & Horne-Badovinac, Journal of Cell Science 2023, doi 10.1242/jcs.261173; CC-BY 4.0,
a9w/epithelial_migration_signaling). Tables list the interfaces of neighbouring cells: their ends,
and the tracks of both cells. A cell is drawn as the convex hull of the ends of its interfaces. In
the pipeline that made the tables, the tracks are corrected by hand (a9w/Fat2_polarizes_WAVE).
"""

import ast
from itertools import chain
from pathlib import Path

import click
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from skimage.draw import polygon

SET = "follicles"
TABLES = Path("data", "membrane_protrusivity_polarity", "all_protrusions_datasets")
ENDS = ("endpoint_1_coords", "endpoint_2_coords")
EVERY = 4  # of the frames, in which cells hardly move: those that are used
PX = 2  # pixels of the original for one of the masks
# The fastest cells are those without a mutation, w1118.
PARTS = {
    "train": ("w1118_01", "w1118_03", "w1118_06", "sema5cK175_06", "lar132bola1_02", "ck666_03"),
    "choosing": ("w1118_02", "w1118_05", "sema5cK175_07", "lar132bola1_03"),
    "test": ("w1118_07", "sema5cK175_01", "lar132bola1_01", "ck666_05"),
}


def _table(clone: Path, name: str) -> Path:
    return clone / TABLES / f"{name}_data_hjs.csv"


def masks(table: pd.DataFrame) -> NDArray[np.uint16]:
    """Return masks (T, Y, X) whose labels are the tracks of a movie."""
    table = table[table["t_step"] % EVERY == 0].dropna(subset=list(ENDS))
    corners: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for row in table.itertuples():
        ends = [ast.literal_eval(getattr(row, end)) for end in ENDS]
        for cell in (row.cell_s_lab, row.cell_r_lab):
            corners.setdefault((int(row.t_step) // EVERY, int(cell)), []).extend(ends)
    largest = np.max([place for places in corners.values() for place in places], axis=0)
    shape = (int(table["t_step"].max()) // EVERY + 1, *(np.ceil(largest / PX).astype(int) + 2))
    drawn = np.zeros(shape, np.uint16)
    for (frame, cell), places in corners.items():
        place = np.unique(np.array(places), axis=0) / PX
        if len(place) < 3:
            continue
        try:
            outline = place[ConvexHull(place).vertices]
        except QhullError:  # on one line
            continue
        drawn[frame][polygon(*outline.T, shape[1:])] = cell
    return drawn


def with_whole_tracks(drawn: NDArray[np.uint16]) -> tuple[NDArray[np.uint16], list[list[int]]]:
    """Return masks in which each track is in every frame of it, and the tracks: (L, B, E, P).

    A cell that is away for some frames continues as a new track, whose parent is the old one.
    """
    seen = [np.unique(mask[mask > 0]) for mask in drawn]
    tracks: list[list[int]] = []
    number_of: dict[int, int] = {}  # of the latest track of each cell
    result = np.zeros_like(drawn)
    for frame, cells in enumerate(seen):
        number = np.zeros(int(drawn.max()) + 1, np.uint16)
        for cell in cells.tolist():
            latest = number_of.get(cell, 0)
            if latest and tracks[latest - 1][2] == frame - 1:
                tracks[latest - 1][2] = frame
            else:
                tracks.append([len(tracks) + 1, frame, frame, latest])
                number_of[cell] = len(tracks)
            number[cell] = number_of[cell]
        result[frame] = number[drawn[frame]]
    return result, tracks


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def follicles(clone: Path, data: Path) -> None:
    """Draw the movies of a CLONE of a9w/epithelial_migration_signaling into DATA/follicles."""
    if missing := [name for name in chain(*PARTS.values()) if not _table(clone, name).is_file()]:
        where = _table(clone, missing[0])
        raise click.BadParameter(f"there is no {where}; clone a9w/epithelial_migration_signaling")
    for part, names in PARTS.items():
        for name in names:
            drawn, tracks = with_whole_tracks(masks(pd.read_csv(_table(clone, name))))
            folder = data / SET / part / name / "TRA"
            folder.mkdir(parents=True, exist_ok=True)
            np.savetxt(folder / "man_track.txt", tracks, "%d")
            for frame, mask in enumerate(drawn):
                tifffile.imwrite(folder / f"man_track{frame:03d}.tif", mask, compression="zlib")
            print(f"{folder.parent}: {len(drawn)} frames, {len(tracks)} tracks")
