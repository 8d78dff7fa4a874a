"""Write a lineage as a file for TrackMate, line by line.

The elements are those of TrackMate 7. Some of the settings are empty, but its `TmXmlReader` fails
without them.
"""

import re
from collections.abc import Iterator
from math import isnan
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np

from trackastra_engine.detection.detections import IntArray, feature_names
from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.lineage import Lineage, root_of_tracklets
from trackastra_engine.movie.calibration import UNKNOWN, Calibration
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.voxels import mean_side

VERSION = "7.11.1"  # of TrackMate, which reads the file as one of its own

# By kind of feature: its name, its dimension in TrackMate's terms, whether it is an integer.
FEATURES = {
    "SpotFeatures": (
        ("QUALITY", "QUALITY", False),
        ("POSITION_X", "POSITION", False),
        ("POSITION_Y", "POSITION", False),
        ("POSITION_Z", "POSITION", False),
        ("POSITION_T", "TIME", False),
        ("FRAME", "NONE", True),
        ("RADIUS", "LENGTH", False),
        ("VISIBILITY", "NONE", True),
        ("MEAN_INTENSITY_CH1", "INTENSITY", False),
        ("LABEL", "NONE", True),
        ("TRACKLET", "NONE", True),
    ),
    "EdgeFeatures": (
        ("SPOT_SOURCE_ID", "NONE", True),
        ("SPOT_TARGET_ID", "NONE", True),
        ("LINK_COST", "COST", False),
    ),
    "TrackFeatures": (("TRACK_ID", "NONE", True), ("NUMBER_SPOTS", "NONE", True)),
}
# Characters that XML 1.0 forbids (section 2.2), but names of files may contain.
NO_CHARACTER = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
SETTINGS = """\
<InitialSpotFilter feature="QUALITY" value="0.0" isabove="true"/>
<SpotFilterCollection/>
<TrackFilterCollection/>
<DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="1.0"/>
<TrackerSettings TRACKER_NAME="MANUAL_TRACKER"/>
<AnalyzerCollection><SpotAnalyzers/><EdgeAnalyzers/><TrackAnalyzers/></AnalyzerCollection>
</Settings>
<GUIState state="ConfigureViews"/>
</TrackMate>
"""


def write_trackmate(
    lineage: Lineage,
    path: str | Path,
    calibration: Calibration = UNKNOWN,
    *,
    movie: Movie | None = None,
) -> None:
    """Write detections as spots, links as edges, and cells with their descendants as tracks.

    Lengths are in micrometres and times in seconds if these are known, else in pixels and
    frames. The cost of a link is 1 less its score. TrackMate shows the image if it is one file.
    """
    with new_file(Path(path)) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write(f'<TrackMate version="{VERSION}">\n<Log/>\n')
        space = "\u00b5m" if calibration.voxel_um else "pixel"
        time = "sec" if calibration.frame_interval_s else "frame"
        file.write(f'<Model spatialunits="{space}" timeunits="{time}">\n')
        file.writelines(_declarations())
        file.writelines(_spots(lineage, calibration))
        file.writelines(_tracks(lineage))
        file.write("</Model>\n<Settings>\n")
        file.write(_image_data(lineage, calibration, movie))
        file.write(SETTINGS)


def _element(name: str, /, **attributes: object) -> str:
    """Return a line with an element; attributes of None, and those that are NaN, are left out."""
    shown = " ".join(
        f"{key}={quoteattr(f'{value:.10g}' if isinstance(value, float) else str(value))}"
        for key, value in attributes.items()
        if value is not None and not (isinstance(value, float) and isnan(value))
    )
    return NO_CHARACTER.sub("?", f"<{name} {shown}/>\n")


def _declarations() -> Iterator[str]:
    yield "<FeatureDeclarations>\n"
    for kind, features in FEATURES.items():
        yield f"<{kind}>\n"
        for feature, dimension, is_int in features:
            name = feature.replace("_", " ").capitalize()
            yield _element(
                "Feature",
                feature=feature,
                name=name,
                shortname=name,
                dimension=dimension,
                isint=str(is_int).lower(),
            )
        yield f"</{kind}>\n"
    yield "</FeatureDeclarations>\n"


def _spots(lineage: Lineage, calibration: Calibration) -> Iterator[str]:
    """Yield all spots, frame by frame; their numbers are rows of the detections."""
    frames = lineage.detections.frame
    starts = np.flatnonzero(np.diff(frames, prepend=-1))
    yield f'<AllSpots nspots="{len(frames)}">\n'
    for rows in np.split(np.arange(len(frames)), starts[1:]) if len(frames) else []:
        yield f'<SpotsInFrame frame="{frames[rows[0]]}">\n'
        yield from _spots_of_frame(lineage, rows, calibration)
        yield "</SpotsInFrame>\n"
    yield "</AllSpots>\n"


def _spots_of_frame(lineage: Lineage, rows: IntArray, calibration: Calibration) -> Iterator[str]:
    found = lineage.detections.rows(rows)
    voxel = np.array(calibration.voxel_um or [1.0] * found.ndim)
    column = dict(zip(feature_names(found.ndim), found.features.T, strict=True))
    radius = column["diameter"] / 2 * mean_side(voxel)
    places = np.zeros((len(rows), 3))
    places[:, 3 - found.ndim :] = found.centroid * voxel
    frame = int(found.frame[0])
    for row, label, tracklet, (z, y, x), r, intensity in zip(
        rows.tolist(),
        found.label.tolist(),
        lineage.tracklet_id[rows].tolist(),
        places.tolist(),
        radius.tolist(),
        column["intensity"].tolist(),
        strict=True,
    ):
        yield _element(
            "Spot",
            ID=row,
            name=label,
            QUALITY=1,
            POSITION_X=x,
            POSITION_Y=y,
            POSITION_Z=z,
            POSITION_T=frame * (calibration.frame_interval_s or 1.0),
            FRAME=frame,
            RADIUS=r,
            VISIBILITY=1,
            MEAN_INTENSITY_CH1=intensity,
            LABEL=label,
            TRACKLET=tracklet,
        )


def _tracks(lineage: Lineage) -> Iterator[str]:
    """Yield all tracks with their links; cells without a link are in no track, as in TrackMate."""
    edges = lineage.edges
    track = root_of_tracklets(lineage.tracklets)[lineage.tracklet_id[edges.source]]
    order = np.lexsort((edges.target, edges.source, track))
    starts = np.flatnonzero(np.diff(track[order], prepend=-1))
    yield "<AllTracks>\n"
    for rows in np.split(order, starts[1:]) if len(order) else []:
        number = track[rows[0]]
        count = f'NUMBER_SPOTS="{len(rows) + 1}"'  # as there are no merges
        yield f'<Track name="Track_{number}" TRACK_ID="{number}" {count}>\n'
        part = edges.rows(rows)
        for source, target, cost in zip(
            part.source.tolist(), part.target.tolist(), (1 - part.score).tolist(), strict=True
        ):
            yield _element("Edge", SPOT_SOURCE_ID=source, SPOT_TARGET_ID=target, LINK_COST=cost)
        yield "</Track>\n"
    yield "</AllTracks>\n<FilteredTracks>\n"
    yield from (f'<TrackID TRACK_ID="{number}"/>\n' for number in track[order[starts]].tolist())
    yield "</FilteredTracks>\n"


def _image_data(lineage: Lineage, calibration: Calibration, movie: Movie | None) -> str:
    """Return the image's properties; without a movie, its size just includes all detections."""
    found = lineage.detections
    if movie is None:
        shape = tuple(np.ceil(found.centroid.max(axis=0, initial=0)).astype(int) + 1)
        n_frames, files = int(found.frame.max(initial=-1)) + 1, []
    else:
        shape, n_frames = movie.frame_shape, len(movie)
        sources = [source for source in (movie.images, movie.masks) if source is not None]
        files = [Path(source.name) for source in sources if Path(source.name).is_file()]
    depth, height, width = (1, *shape)[-3:]
    voxel_z, voxel_y, voxel_x = (1.0, *(calibration.voxel_um or (1.0,) * found.ndim))[-3:]
    image = files[0].resolve() if files else None
    return _element(
        "ImageData",
        filename=image.name if image else "",
        folder=image.parent if image else "",
        width=width,
        height=height,
        nslices=depth,
        nframes=n_frames,
        pixelwidth=voxel_x,
        pixelheight=voxel_y,
        voxeldepth=voxel_z,
        timeinterval=calibration.frame_interval_s or 1.0,
    )
