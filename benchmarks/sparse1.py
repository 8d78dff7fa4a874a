"""Makes images of `sparse1` from the mean intensities of its nuclei, as the movie has none.

The table of the source lists each nucleus of each frame with its track (Fukai & Kawaguchi,
Bioinformatics 2023; CC-BY 4.0, zenodo 6087728). In the image, each object of the masks has its mean
intensity everywhere, and the background is 0.
"""

from pathlib import Path

import click
import numpy as np
import pandas as pd
import tifffile

SET, IMAGES = "sparse1", "sparse1_images"
CELLS, MASKS = "regionprops.csv", Path("02_GT", "TRA")


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
def sparse1(data: Path) -> None:
    """Write the images of DATA/sparse1 to DATA/sparse1_images."""
    files = sorted((data / SET / MASKS).glob("man_track*.tif"))
    if not files or not (data / SET / CELLS).is_file():
        raise click.BadParameter(f"{data / SET} lacks {CELLS} or {MASKS}/man_track*.tif")
    cells = pd.read_csv(data / SET / CELLS).dropna(subset=["track"])
    intensity = cells.set_index(["frame", "track"])["intensity_mean"]
    (data / IMAGES).mkdir(exist_ok=True)
    for frame, file in enumerate(files):
        tracks = tifffile.imread(file)
        of_track = np.zeros(int(tracks.max()) + 1, np.uint16)
        present = np.unique(tracks[tracks > 0])
        of_track[present] = intensity[frame].loc[present].round()
        tifffile.imwrite(data / IMAGES / f"t{frame:03d}.tif", of_track[tracks], compression="zlib")
    print(f"{data / IMAGES}: {len(files)} images")
