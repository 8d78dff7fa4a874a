"""Images and masks of a movie, paired by the numbers of their frames."""

import logging
from itertools import pairwise

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.name_numbers import Number
from trackastra_engine.movie.sources import FolderSource

logger = logging.getLogger(__name__)

N_SHOWN = 4  # names that a message lists


def check_pairs(images: object, masks: object) -> None:
    """Raise InputError if masks and images are of different frames, by the names of their files.

    As many masks as images are paired in their order, with a warning, if both have regular steps,
    no common number, or numbers of different kinds.
    """
    if not (isinstance(images, FolderSource) and isinstance(masks, FolderSource)):
        return
    of_images, of_masks = (source.numbers[: source.n_frames] for source in (images, masks))
    if not of_images or not of_masks or of_images == of_masks:
        return
    common = set(of_images) & set(of_masks)
    is_as_many = len(of_images) == len(of_masks)
    are_alike = images.kind == masks.kind
    are_regular = _is_regular(of_images) and _is_regular(of_masks)
    if is_as_many and (are_regular or not common or not are_alike):
        logger.warning(
            "images are numbered from %s to %s but masks from %s to %s; they are paired in order, "
            "%s with %s",
            *(of_images[0], of_images[-1], of_masks[0], of_masks[-1]),
            *(images.files[0].name, masks.files[0].name),
        )
        return
    if not common:
        return  # the numbers of frames differ, which another check rejects
    problems = [
        f"there is no {kind} for {_listed(other, known)}"
        for kind, known, other in (
            ("mask", set(of_masks), images),
            ("image", set(of_images), masks),
        )
        if set(other.numbers[: other.n_frames]) - known
    ]
    raise InputError(
        f"{' and '.join(problems)}; give one mask for each image, in files of the same numbers"
    )


def check_gaps(images: object, masks: object, n_frames: int) -> None:
    """Raise InputError if the first frames of both cannot be paired as a folder has gaps."""
    folders = [source for source in (images, masks) if isinstance(source, FolderSource)]
    if len({source.numbers[:n_frames] for source in folders}) == 1 < len(folders):
        return
    for source in folders:
        if source.missing:
            raise InputError(
                f"{source.name}: {source.missing}, so images and masks cannot be paired; "
                f"{option('allow_incomplete')} is for frames missing at the end only"
            )
    if len({source.kind for source in folders}) == 1 < len(folders):
        one, other = folders
        at = _first_difference(one, other)
        if at is not None and set(one.numbers) & set(other.numbers):
            raise InputError(
                f"frame {at} of {one.name} is {one.files[at].name} but that of {other.name} is "
                f"{other.files[at].name}, so images and masks cannot be paired; give files of the "
                "same numbers"
            )


def check_same_numbers(tracks: object, truth: object) -> None:
    """Raise InputError if the files of tracks and truth are numbered differently."""
    if not (isinstance(tracks, FolderSource) and isinstance(truth, FolderSource)):
        return
    index = _first_difference(tracks, truth)
    if index is not None:
        raise InputError(
            f"frame {index} of the tracks is {tracks.files[index]} but that of the ground "
            f"truth is {truth.files[index]}; give files of the same numbers"
        )


def _first_difference(one: FolderSource, other: FolderSource) -> int | None:
    """Return the first frame whose files have different numbers, or None."""
    pairs = enumerate(zip(one.numbers, other.numbers, strict=False))
    return next((index for index, (first, second) in pairs if first != second), None)


def _is_regular(numbers: tuple[Number, ...]) -> bool:
    steps = [after - before for before, after in pairwise(numbers)]
    return not steps or max(steps) - min(steps) <= 1e-6 * max(steps)


def _listed(source: FolderSource, known: set[Number]) -> str:
    """Return the files of a source whose numbers are not known."""
    numbered = zip(source.numbers[: source.n_frames], source.files, strict=False)
    names = [str(path) for number, path in numbered if number not in known]
    return ", ".join(names[:N_SHOWN]) + (
        f" and {len(names) - N_SHOWN} more" * (len(names) > N_SHOWN)
    )
