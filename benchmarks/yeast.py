"""Makes a movie of masks from a colony of budding yeast that YeaZ segmented and tracked.

A colony grows from 2 cells to 38 in 181 frames (Dietler et al., Nature Communications 2020, doi
10.1038/s41467-020-19557-4; the example of rahi-lab/YeaZ-tracer, MIT licence). It lists no mothers:
the mother of a bud is taken to be the cell that it touches most in its first frame. A bud that
touches none has none.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects

FILE = Path("example", "colony005_segmentation.h5")  # in a clone of rahi-lab/YeaZ-tracer
SET = "yeast"
TOUCHING_PX = 4  # distance within which cells touch


def tracks_of(masks: NDArray[np.integer[Any]]) -> list[list[int]]:
    """Return the tracks (L, B, E, P) of masks (T, Y, X) whose labels are cells."""
    tracks = []
    for cell in np.unique(masks[masks > 0]).tolist():
        frames = np.flatnonzero((masks == cell).any(axis=(1, 2)))
        first, last = int(frames[0]), int(frames[-1])
        tracks.append([cell, first, last, mother(masks[first], cell) if first else 0])
    return tracks


def mother(mask: NDArray[np.integer[Any]], cell: int) -> int:
    """Return the cell of a mask (Y, X) that another one touches most, 0 if there is none."""
    (place,) = find_objects((mask == cell).astype(int))
    wider = tuple(
        slice(max(0, side.start - TOUCHING_PX - 1), side.stop + TOUCHING_PX + 1) for side in place
    )
    near = mask[wider]
    around = binary_dilation(near == cell, iterations=TOUCHING_PX) & (near != cell)
    counts = np.bincount(near[around])
    counts[0] = 0
    return int(counts.argmax())


@click.command()
@click.argument("clone", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("data", type=click.Path(file_okay=False, path_type=Path))
def yeast(clone: Path, data: Path) -> None:
    """Write the movie of a CLONE of rahi-lab/YeaZ-tracer to DATA/yeast; needs h5py."""
    if not (clone / FILE).is_file():
        raise click.BadParameter(f"there is no {clone / FILE}; clone rahi-lab/YeaZ-tracer")
    try:
        import h5py  # only this command needs it
    except ImportError:
        raise click.ClickException("the file is HDF5; install the package h5py") from None

    with h5py.File(clone / FILE) as stored:
        frames = stored["FOV0"]
        names = sorted(frames, key=lambda name: int(name.removeprefix("T")))
        masks = np.stack([frames[name][()].astype(np.uint16) for name in names])
    folder = data / SET / "test" / "colony005" / "TRA"
    folder.mkdir(parents=True, exist_ok=True)
    np.savetxt(folder / "man_track.txt", tracks_of(masks), "%d")
    for frame, mask in enumerate(masks):
        tifffile.imwrite(folder / f"man_track{frame:03d}.tif", mask, compression="zlib")
    print(f"{folder.parent}: {len(masks)} frames, {len(np.unique(masks)) - 1} cells")
