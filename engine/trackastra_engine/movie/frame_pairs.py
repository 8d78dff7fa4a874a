"""Images and masks of a movie, paired by the numbers of their frames."""

import logging
from itertools import pairwise

from trackastra_engine.errors import InputError
from trackastra_engine.movie.frame_names import Number
from trackastra_engine.movie.sources import FolderSource

logger = logging.getLogger(__name__)

N_SHOWN = 4  # names that a message lists


def check_pairs(images: object, masks: object) -> None:
    """Raise InputError if masks and images are of different frames, by the names of their files.

    Numbers that count alike from different starts, or that have nothing in common, are paired in
    their order, which is reported.
    """
    if not (isinstance(images, FolderSource) and isinstance(masks, FolderSource)):
        return
    if not images.numbers or not masks.numbers or images.numbers == masks.numbers:
        return
    common = set(images.numbers) & set(masks.numbers)
    is_as_many = len(images.numbers) == len(masks.numbers)
    are_regular = _is_regular(images.numbers) and _is_regular(masks.numbers)
    if is_as_many and (are_regular or not common):
        logger.warning(
            "images are numbered from %s to %s but masks from %s to %s; paired in this order, %s "
            "with %s",
            *(images.numbers[0], images.numbers[-1], masks.numbers[0], masks.numbers[-1]),
            *(images.files[0].name, masks.files[0].name),
        )
        return
    if not common:
        return  # and another number of frames, which is refused for itself
    problems = [
        f"there is no {kind} for {_listed(other, known)}"
        for kind, known, other in (
            ("mask", set(masks.numbers), images),
            ("image", set(images.numbers), masks),
        )
        if set(other.numbers) - known
    ]
    raise InputError(
        f"{' and '.join(problems)}; give one mask for each image, in files of the same numbers"
    )


def _is_regular(numbers: tuple[Number, ...]) -> bool:
    steps = [after - before for before, after in pairwise(numbers)]
    return not steps or max(steps) - min(steps) <= 1e-6 * max(steps)


def _listed(source: FolderSource, known: set[Number]) -> str:
    """Return the files of a source whose numbers are not known."""
    numbered = zip(source.numbers, source.files, strict=True)
    names = [str(path) for number, path in numbered if number not in known]
    return ", ".join(names[:N_SHOWN]) + (
        f" and {len(names) - N_SHOWN} more" * (len(names) > N_SHOWN)
    )
