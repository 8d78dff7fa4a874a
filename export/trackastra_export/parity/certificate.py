"""The parity certificate: the values compared, their differences, and the verdict."""

import hashlib
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from trackastra_export.parity.comparison import Check, Computed, compare, unexplained

PACKAGES = ("trackastra-engine", "onnxruntime", "onnxruntime-gpu", "numpy", "numba", "highspy")
DECADES = tuple(range(-9, 1))  # powers of ten: bins of score differences
MAX_LISTED = 100


@dataclass(frozen=True, slots=True)
class Subject:
    """The comparison: a model and the checkpoint it was made from, on a movie."""

    model: str
    model_sha256: str
    checkpoint: str  # folder
    checkpoint_sha256: str  # of its files, concatenated
    movie: str
    frames: int
    max_distance_px: float


@dataclass(frozen=True, slots=True)
class DifferentEdge:
    """An edge of only one of the two that rounding does not explain."""

    linker: str
    source: str  # "frame:label"
    target: str
    engine_score: float | None
    upstream_score: float | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The result of a comparison; upstream in float64 is the reference."""

    verdict: str  # "equal" or "different"
    made: str
    subject: Subject
    engine_versions: tuple[str, ...]
    upstream_versions: tuple[str, ...]
    checks: tuple[Check, ...]  # of the engine
    float32_checks: tuple[Check, ...]  # the same, of upstream in float32, as users run it
    score_decades: tuple[int, ...]  # edges whose score differs by up to each of DECADES
    float32_score_decades: tuple[int, ...]
    different_edges: tuple[DifferentEdge, ...]  # at most MAX_LISTED


def certify(
    subject: Subject,
    engine: Computed,
    upstream: Computed,
    reference: Computed,
    upstream_versions: list[str],
) -> Certificate:
    """Return the certificate; `upstream` computed in float32, `reference` in float64."""
    checks = tuple(compare(engine, reference))
    is_same = checks[0].passed  # rows are those of the same detections
    return Certificate(
        "equal" if all(check.passed for check in checks) else "different",
        datetime.now(UTC).isoformat(timespec="seconds"),
        subject,
        (f"Python {platform.python_version()}", *_installed(PACKAGES)),
        tuple(upstream_versions),
        checks,
        tuple(compare(upstream, reference)),
        _decades(engine, reference) if is_same else (),
        _decades(upstream, reference),
        tuple(_different_edges(engine, reference)[:MAX_LISTED]) if is_same else (),
    )


def sha256(*files: Path) -> str:
    """Return the digest of files, concatenated."""
    total = hashlib.sha256()
    for file in files:
        total.update(file.read_bytes())
    return total.hexdigest()


def _installed(packages: tuple[str, ...]) -> list[str]:
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def _decades(computed: Computed, reference: Computed) -> tuple[int, ...]:
    """Return the number of edges in each bin of DECADES, by the difference of their scores."""
    both = computed.scores.keys() & reference.scores.keys()
    apart = np.array([abs(computed.scores[pair] - reference.scores[pair]) for pair in both])
    decade = np.ceil(np.log10(np.maximum(apart, 10.0 ** DECADES[0]))).astype(int)
    return tuple(int((decade == power).sum()) for power in DECADES)


def _different_edges(engine: Computed, reference: Computed) -> list[DifferentEdge]:
    found = [
        (mode, pair)
        for mode, kept in reference.tracks.items()
        for pair in sorted(unexplained(engine.tracks[mode], kept, reference.scores)[0])
    ]
    return [
        DifferentEdge(
            mode,
            *(f"{reference.frame[row]}:{reference.label[row]}" for row in pair),
            engine.scores.get(pair),
            reference.scores.get(pair),
        )
        for mode, pair in found
    ]
