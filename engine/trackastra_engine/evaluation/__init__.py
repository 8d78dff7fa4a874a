"""Compare tracks with a ground truth, both in the format of the Cell Tracking Challenge.

py-ctcmetrics computes the challenge's figures, traccuracy the correct edges and divisions. Masks
are read and matched here, frame by frame: traccuracy reads whole movies into memory, and
py-ctcmetrics 1.3.3 confuses labels above 32 767 of 16-bit masks and loses one of frames without
background.
"""

from pathlib import Path

from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.evaluation.chota import chota
from trackastra_engine.evaluation.edge_scores import Counts
from trackastra_engine.evaluation.matched_objects import match_objects
from trackastra_engine.evaluation.report import Evaluation, check_report, write_report
from trackastra_engine.evaluation.scores import challenge_scores, count_links
from trackastra_engine.movie.ctc_folder import (
    RESULT,
    TRUTH,
    UPSTREAM_RESULT,
    CtcFolder,
    open_ctc_folder,
)
from trackastra_engine.movie.frame_pairs import check_same_numbers
from trackastra_engine.progress import Progress, no_progress

__all__ = ["Evaluation", "check_report", "evaluate", "write_report"]


def evaluate(
    tracks: str | Path, ground_truth: str | Path, *, progress: Progress = no_progress
) -> Evaluation:
    """Return the scores of the tracks in a result folder, compared with a truth folder.

    A true object is found by the object that covers more than half of it. Where one object covers
    several, edges and divisions take it for the one with which it shares most pixels.

    Parameters
    ----------
    tracks : str or Path
        A folder with `mask*.tif` and `res_track.txt`, or with both in `ctc/`, or with upstream's
        names, `man_track*.tif` and `man_track.txt`.
    ground_truth : str or Path
        A folder with `man_track*.tif` and `man_track.txt`, or with both in `TRA/`.
    progress : callable
        Called with the number of frames done and of all frames.

    Returns
    -------
    Evaluation
        Measures of the Cell Tracking Challenge, and counts of detections, edges and divisions.

    Raises
    ------
    InputError
        If a folder is incomplete, contradicts itself or does not fit the other.
    MissingDependencyError
        Without the packages of the extra `evaluation`.

    Examples
    --------
    >>> from trackastra_engine.movie.frames import open_movie
    >>> from trackastra_engine.output.ctc import UPSTREAM, write_ctc
    >>> _ = write_ctc(lineage, open_movie(None, masks), "truth", names=UPSTREAM)
    >>> evaluate("truth", "truth").divisions.correct
    1
    """
    found = open_ctc_folder(Path(tracks), RESULT, UPSTREAM_RESULT, may_be_empty=True)
    truth = open_ctc_folder(Path(ground_truth), TRUTH)
    _check_same_movie(found, truth)
    check_same_numbers(found.movie.masks, truth.movie.masks)
    _check_packages()
    matching = match_objects(truth, found, progress=progress)
    if not len(matching.truth.links):
        raise InputError(
            f"{truth.table} links no objects, so there is nothing to evaluate; check the truth"
        )
    tra, lnk, det = challenge_scores(matching)
    counts = count_links(matching)
    return Evaluation(
        n_frames=len(truth.movie),
        tra=tra,
        lnk=lnk,
        det=det,
        chota=chota(matching),
        detections=Counts(len(matching.unique_pairs), len(matching.found), len(matching.truth)),
        edges=counts.edges,
        divisions=counts.divisions,
        divisions_within_1_frame=counts.divisions_within_1_frame,
    )


def _check_same_movie(found: CtcFolder, truth: CtcFolder) -> None:
    for name, ours, theirs in (
        ("frames", len(found.movie), len(truth.movie)),
        ("pixels per frame", *(_size(folder.movie.frame_shape) for folder in (found, truth))),
    ):
        if ours != theirs:
            raise InputError(
                f"{found.movie.masks.name} has {ours} {name} but {truth.movie.masks.name} has "
                f"{theirs}; give tracks and ground truth of the same movie"
            )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _check_packages() -> None:
    try:
        import ctc_metrics  # noqa: F401
        import networkx  # noqa: F401
        import traccuracy  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the package {error.name} is missing; install trackastra-engine[evaluation]"
        ) from None
