"""Adapt the scores of a model to the corrections of a result: the command `adapt`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trackastra_engine.association.cache_index import CachedMovie
from trackastra_engine.detection.detections import concatenate
from trackastra_engine.errors import InputError, ModelError
from trackastra_engine.files.atomic import check_output_file, new_file
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.jobs.decided import corrections_of
from trackastra_engine.linking.adaptation import gather
from trackastra_engine.linking.adaptation_fit import (
    Fit,
    decided_groups,
    fit,
    joined,
    joined_evidence,
)
from trackastra_engine.linking.corrections import Corrections
from trackastra_engine.linking.options import DEFAULT_OPTIONS
from trackastra_engine.linking.rates import RateCounts, count_parents, movie_rates
from trackastra_engine.linking.stream import FrameLinker
from trackastra_engine.model.model_file import with_metadata
from trackastra_engine.model.onnx_model import AssociationModel, file_digest, model_path
from trackastra_engine.model.spec import METADATA_KEY
from trackastra_engine.movie.voxels import proportions


def adapt(
    results: Path, output: Path, *, corrections: Sequence[Path] = (), overwrite: bool = False
) -> Fit:
    """Write the model of a folder of results with its scores adapted to some corrections.

    corrections: tables of decided links, of which those over gaps do not count; by default the
    tables of the folder.

    Raises InputError or ModelError, and then writes nothing, if corrections are missing or too few,
    or do not show that adapted scores are better.
    """
    if output.suffix != ".onnx":
        raise InputError(f"the output {output} is not an .onnx file; give a name such as mine.onnx")
    check_output_file(output, overwrite=overwrite)
    cached = CachedMovie.read(results)
    if not cached.scores_are_probabilities:
        raise InputError(
            "models of upstream cannot be adapted, as their scores are not probabilities; track "
            "the movie with another model"
        )
    decided = corrections_of(corrections, results)
    if decided is None:
        raise InputError(f"{results} has no corrections; give some with --corrections")
    learned = fitted(cached, decided)
    if not learned.is_proven:
        raise InputError(
            f"the {learned.n_decisions} decisions do not show that adapted scores are better "
            f"(gain {learned.gain:.3f} ± {learned.error:.3f}, {learned.n_more_right:+d} right "
            "decisions), so no model was written; decide more links, the least certain first"
        )
    _write(cached, learned, output)
    return learned


def fitted(cached: CachedMovie, corrections: Corrections) -> Fit:
    """Return weights that make the corrections of a cached movie more likely.

    Earlier weights of the model are ignored. Raises InputError if corrections do not match the
    movie, or are too few.
    """
    found = GrowingRows(concatenate([], cached.ndim))
    parts = list(cached.edges(found, max_gap=1))
    corrections.check_known(found.whole())
    voxel = proportions(cached.voxel_um if cached.sees_voxel else None, cached.ndim)
    rates = None
    if cached.training_rates is not None:
        counts = sum((count_parents(part, voxel) for part in parts), RateCounts.none())
        rates = movie_rates(counts, cached.training_rates)
    linker = FrameLinker(DEFAULT_OPTIONS.linker(usual_gap=1, probabilities=True), None, voxel)
    graphs = [linker.candidates(part, rates) for part in parts]
    seen = [gather(graph, voxel) for graph in graphs]
    pairs = zip(graphs, seen, strict=True)
    decided = joined(decided_groups(graph, evidence, corrections) for graph, evidence in pairs)
    return fit(decided, joined_evidence(seen))


def _write(cached: CachedMovie, learned: Fit, output: Path) -> None:
    """Write the model that scored a movie with new weights."""
    path = model_path(cached.model)
    if file_digest(path) != cached.model_digest:
        raise ModelError(f"{path} is not the model of the results; track the movie again")
    spec = AssociationModel.load(path, device="cpu").spec
    spec = replace(spec, name=output.stem, adaptation=learned.adaptation)
    with new_file(output) as partial:
        partial.write_bytes(with_metadata(path.read_bytes(), METADATA_KEY, spec.to_json()))
