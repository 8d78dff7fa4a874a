"""The golden cases: recorded results of upstream, see golden/README.md."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/golden.npz"))


@dataclass(frozen=True, slots=True, eq=False)
class GoldenWindow:
    """One recorded window of N detections, through upstream's model in float64."""

    frame: np.ndarray  # (N,)
    coordinates: np.ndarray  # (N, 1 + D) float64, the input of upstream's model
    features: np.ndarray  # (N, F) float64
    logits: np.ndarray  # (N, N)
    scores: np.ndarray  # (N, N), normalised in both directions

    @property
    def forward_scores(self) -> np.ndarray:
        """Return the scores (N, N) of pairs whose target is later, 0 elsewhere."""
        return np.where(self.frame[None, :] > self.frame[:, None], self.scores, 0.0)


def model_folder(name: str) -> Path:
    """Return the upstream model folder of a case."""
    return GOLDEN / name / "model"


def load_case(name: str) -> dict[str, np.ndarray]:
    """Return the arrays of a case's golden.npz: the movie, detections, windows and edges."""
    with np.load(GOLDEN / name / "golden.npz") as stored:
        return dict(stored)


def recorded_windows(name: str) -> Iterator[GoldenWindow]:
    """Yield the recorded windows of a case."""
    case = load_case(name)
    size = yaml.safe_load((model_folder(name) / "config.yaml").read_text())["window"]
    frame, centroid = case["frame"], case["centroid"].astype(np.float64)
    for key in case:
        if not key.endswith("_logits_f64"):
            continue
        first = int(key.removeprefix("window").removesuffix("_logits_f64"))
        start, stop = np.searchsorted(frame, [first, first + size])
        yield GoldenWindow(
            frame[start:stop],
            # Upstream subtracts the first frame's number from every axis (tokens.py).
            np.column_stack([frame, centroid])[start:stop] - frame[start],
            case["features"][start:stop].astype(np.float64),
            case[key],
            case[f"window{first}_scores_f64"],
        )
