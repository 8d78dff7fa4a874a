"""Compares a model in the engine with its checkpoint in upstream."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from trackastra_engine.files.atomic import new_folder
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.upstream import FILES as FILES_OF_UPSTREAM
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.progress import Progress, no_progress
from trackastra_export.parity.certificate import Certificate, Subject, certify, sha256
from trackastra_export.parity.page import page
from trackastra_export.parity.run import check_comparable, run_engine, run_upstream

JSON_FILE, PAGE_FILE = FILES = ("certificate.json", "certificate.html")


def verify(
    model: str,
    checkpoint: Path,
    images: Path,
    masks: Path,
    *,
    upstream_python: str,
    max_distance: float,
    modes: Sequence[str],
    progress: Progress = no_progress,
) -> Certificate:
    """Track a movie, which must fit into memory, with both, and return the certificate.

    model: the name of a model or an .onnx file; checkpoint: its folder, in upstream's form;
    upstream_python: a Python that has upstream installed; max_distance: longest link, in pixels.

    Raises InputError, ModelError or MissingDependencyError if one of them cannot run.
    """
    loaded, movie = AssociationModel.load(model, device="cpu"), open_movie(images, masks)
    check_comparable(loaded, movie)
    options = {"max_distance": max_distance, "modes": modes}
    single, double, versions = run_upstream(upstream_python, checkpoint, movie, **options)
    engine = run_engine(loaded, movie, progress=progress, **options)
    subject = Subject(
        str(loaded.path),
        sha256(loaded.path),
        str(checkpoint),
        sha256(*(checkpoint / name for name in FILES_OF_UPSTREAM)),
        f"{images}, {masks}",
        len(movie),
        max_distance,
    )
    return certify(subject, engine, single, double, versions)


def write_certificate(certificate: Certificate, folder: Path) -> None:
    """Write the certificate as JSON and as a page into a new folder."""
    with new_folder(folder) as partial:
        text = json.dumps(asdict(certificate), indent=1)
        (partial / JSON_FILE).write_text(text + "\n", "utf-8")
        (partial / PAGE_FILE).write_text(page(certificate), "utf-8")
