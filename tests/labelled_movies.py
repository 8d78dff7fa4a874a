"""Rendered movies as annotated folders, in the form of the Cell Tracking Challenge."""

import numpy as np
import tifffile


def write_truth(folder, movie):
    """Write the masks of a rendered movie with track numbers, and their table; return folder."""
    tracks, label_of = number_tracks(movie)
    (folder / "TRA").mkdir(parents=True)
    for frame, mask in enumerate(movie.masks):
        numbers = [0] + [label_of.get((frame, v), 0) for v in range(1, int(mask.max()) + 1)]
        numbered = np.array(numbers)[mask].astype(np.uint16)
        tifffile.imwrite(folder / "TRA" / f"man_track{frame:03}.tif", numbered)
    np.savetxt(folder / "TRA" / "man_track.txt", tracks, fmt="%d")
    return folder


def number_tracks(movie):
    """Return the table of tracks, and the track of each (frame, label)."""
    children = {}
    for source_frame, source, target_frame, target in movie.edges.tolist():
        children.setdefault((source_frame, source), []).append((target_frame, target))
    tracks, label_of = [], {}
    for frame, mask in enumerate(movie.masks):
        for label in np.unique(mask[mask > 0]).tolist():
            if (frame, label) not in label_of:
                tracks.append([len(tracks) + 1, frame, frame, 0])
                label_of[frame, label] = len(tracks)
            track = label_of[frame, label]
            tracks[track - 1][2] = frame
            following = children.get((frame, label), [])
            for child in following:
                is_new = len(following) > 1 or child[0] > frame + 1
                if is_new:
                    tracks.append([len(tracks) + 1, child[0], child[0], track])
                label_of[child] = len(tracks) if is_new else track
    return tracks, label_of
