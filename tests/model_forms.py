"""The form of a model for GPUs, run on the CPU."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto

from trackastra_engine.model.model_file import computed_at_once
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import METADATA_KEY, ModelSpec
from trackastra_export.builder import AT_ONCE

# Differences of scores by float16 in the layers: 4e-4 seen on the golden windows, 1.1e-3 on
# those of rendered movies with each float16 product rounded, as a CPU does not always do.
NARROW_TOLERANCE = 2e-3

WHOLE_AT_ONCE = replace(AT_ONCE, narrow=TensorProto.FLOAT)


def engine_in_turn(model: ModelProto) -> AssociationModel:
    """Return a built graph as an engine that computes block by block."""
    return _engine(model.SerializeToString())


def engine_at_once(model: ModelProto) -> AssociationModel:
    """Return a built graph as an engine that computes all blocks at once."""
    return _engine(computed_at_once(model.SerializeToString()))


def embedded_at_once(path: Path) -> AssociationModel:
    """Return the engine of a file that computes all blocks at once."""
    return _engine(computed_at_once(path.read_bytes()))


def check_links(found, expected):
    """Check that each detection has the same parent, or, of few, one of an equal score."""
    by_target = [edges.rows(np.argsort(edges.target)) for edges in (found, expected)]
    ours, theirs = by_target
    np.testing.assert_array_equal(ours.target, theirs.target)
    np.testing.assert_allclose(ours.score, theirs.score, rtol=0, atol=NARROW_TOLERANCE)
    assert (ours.source != theirs.source).mean() < 0.002


def _engine(model: bytes) -> AssociationModel:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    spec = ModelSpec.from_json(session.get_modelmeta().custom_metadata_map[METADATA_KEY])
    return AssociationModel(session, spec, Path("unwritten.onnx"))
