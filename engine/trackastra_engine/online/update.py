"""The update that a session returns for a frame."""

from collections.abc import Hashable
from dataclasses import dataclass

from trackastra_engine.detection.detections import FloatArray, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Objects:
    """N objects and their tracks.

    A track's number is the place, from 1, of its first object among all objects of the field
    (frame after frame, by label), so it is never used for another track. A division ends the
    mother's track and begins the daughters'.
    """

    frame: IntArray  # (N,)
    label: IntArray  # (N,) in the mask of that frame
    track: IntArray  # (N,)
    centroid: FloatArray  # (N, D) pixels, ([z,] y, x)

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.label)


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """E links between objects, from a frame to one of the next pushed frames."""

    source_frame: IntArray  # (E,)
    source_label: IntArray  # (E,)
    target_frame: IntArray  # (E,)
    target_label: IntArray  # (E,)
    score: FloatArray  # (E,) 0 to 1

    def __len__(self) -> int:
        """Return the number of links."""
        return len(self.score)


@dataclass(frozen=True, slots=True, eq=False)
class Update:
    """The results of a frame for its field of view.

    Frames have the caller's numbers. `divisions` contains three objects for each,
    in this order: mother, daughter, daughter; so `divisions.track.reshape(-1, 3)` are their tracks.

    Examples
    --------
    >>> _ = session.push(images[2], masks[2], fov="pair")
    >>> update = session.push(images[3], masks[3], fov="pair")
    >>> update.frame, len(update.links), update.objects.label.tolist()
    (1, 3, [1, 3, 4])
    """

    fov: Hashable
    frame: int  # of the update
    n_missed: int  # numbers left out between this frame and the one before
    objects: Objects  # of the frame
    links: Links  # into the frame
    appeared: Objects  # of the frame, without a link to the past; none in the first frame
    lost: Objects  # of the frame before, without a link to this one
    divisions: Objects  # new ones, by links of this frame or changed links
    undone_divisions: Objects  # reported earlier, no divisions any more
    added_links: Links  # into earlier frames, since the last update
    removed_links: Links
    renamed: Objects  # objects of earlier frames whose track has changed
    final_frame: int  # no update changes links into frames up to this one; see Session on `finish`
