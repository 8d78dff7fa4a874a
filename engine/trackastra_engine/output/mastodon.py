"""Write a lineage as a table for Mastodon's menu File > Import > CSV Importer."""

from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import feature_names
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.csv_lines import in_portions
from trackastra_engine.linking.lineage import Lineage, root_of_tracklets
from trackastra_engine.movie.calibration import UNKNOWN, Calibration
from trackastra_engine.movie.voxels import mean_side

COLUMNS = ("id", "parent_id", "label", "frame", "x", "y", "z", "radius", "quality", "tag")
NO_PARENT = -1  # an integer that no spot has: the importer skips lines without one


def write_mastodon(lineage: Lineage, path: str | Path, calibration: Calibration = UNKNOWN) -> None:
    """Write a line for each detection; ids count from 0, and parents precede their children.

    Positions and radii are in micrometres if these are known, else in pixels; in 2D movies z is 0.
    The label is that in the mask, the quality is the score of the link to the parent (1 without a
    parent), the tag is the first ancestor's track, so that Mastodon can colour families.
    """
    found, edges = lineage.detections, lineage.edges
    voxel = np.array(calibration.voxel_um or (1.0,) * found.ndim)
    place = np.zeros((len(found), 3))
    place[:, 3 - found.ndim :] = found.centroid * voxel
    diameter = found.features[:, feature_names(found.ndim).index("diameter")]
    radius = np.nan_to_num(diameter) / 2 * mean_side(voxel)
    parent = np.full(len(found), NO_PARENT, np.int64)
    parent[edges.target] = edges.source
    quality = np.ones(len(found))
    quality[edges.target] = np.nan_to_num(edges.score, nan=1.0)
    root = root_of_tracklets(lineage.tracklets)[lineage.tracklet_id]
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        for rows in in_portions(np.arange(len(found))):
            columns = (rows, parent[rows], found.label[rows], found.frame[rows])
            numbers = (*place[rows].T[::-1], radius[rows], quality[rows])
            file.writelines(
                f"{','.join(map(str, integers))},{','.join(f'{n:.6g}' for n in reals)},{tag}\n"
                for integers, reals, tag in zip(
                    zip(*(column.tolist() for column in columns), strict=True),
                    zip(*(column.tolist() for column in numbers), strict=True),
                    root[rows].tolist(),
                    strict=True,
                )
            )
