"""The figures of an evaluation, as a table for people and JSON for programs."""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trackastra_engine.evaluation.edge_scores import Counts
from trackastra_engine.files.figures import check_figures_file, write_figures


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores of tracks; 1 is perfect."""

    n_frames: int
    tra: float  # 1 - cost of turning the tracks into the truth (Matula et al. 2015)
    lnk: float  # the same for links only
    det: float  # the same for objects only
    chota: float  # overlap of whole lineages (Kaiser et al. 2024)
    detections: Counts
    edges: Counts
    divisions: Counts  # in the right frame, from the right mother to the right daughters
    divisions_within_1_frame: Counts  # or one frame early or late

    def __str__(self) -> str:
        return "\n".join(
            [
                f"{'':<20}precision   recall       F1   correct / found / expected",
                _line("detections", self.detections),
                _line("edges", self.edges),
                _line("divisions", self.divisions),
                _line("divisions +-1 frame", self.divisions_within_1_frame),
                "",
                f"TRA {self.tra:.4f}   LNK {self.lnk:.4f}   DET {self.det:.4f}   "
                f"CHOTA {self.chota:.4f}   ({self.n_frames} frames)",
            ]
        )

    def as_dict(self) -> dict[str, Any]:
        """Return all figures by name for JSON: None if nothing was counted."""
        return {
            name: _scores(value) if isinstance(value := getattr(self, name), Counts) else value
            for name in asdict(self)
        }


def check_report(path: Path) -> None:
    """Raise InputError if a report cannot be written, or would replace another kind of file."""
    check_figures_file(path, "n_frames")


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Write all figures as JSON; the file appears when it is complete."""
    write_figures(evaluation.as_dict(), path)


def _line(name: str, counts: Counts) -> str:
    scores = "".join(
        f"{'-' if score is None else f'{score:.4f}':>9}"
        for score in (_known(counts.precision), _known(counts.recall), _known(counts.f1))
    )
    return f"{name:<20}{scores}   {counts.correct} / {counts.found} / {counts.expected}"


def _scores(counts: Counts) -> dict[str, float | int | None]:
    return {
        "precision": _known(counts.precision),
        "recall": _known(counts.recall),
        "f1": _known(counts.f1),
        **asdict(counts),
    }


def _known(score: float) -> float | None:
    return None if math.isnan(score) else score
