"""Networks from exported models: an .onnx file contains every parameter under its name.

The export (`trackastra_export`) writes the shape of the network next to the ModelSpec, in the
file's metadata.
"""

import json
from pathlib import Path

import torch

from trackastra_engine.errors import MissingDependencyError, ModelError
from trackastra_engine.model.onnx_model import model_path
from trackastra_engine.model.spec import METADATA_KEY, ModelSpec
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

NETWORK_KEY = "trackastra_engine.network"  # of the metadata: the fields of TransformerConfig


def read_model(model: str | Path) -> tuple[TrackingTransformer, ModelSpec]:
    """Return the network of a checkpoint folder, ours or upstream's, or of an exported model.

    Parameters
    ----------
    model : str or Path
        A folder, the name of an embedded model, or the path of an .onnx file.

    Returns
    -------
    network : TrackingTransformer
    spec : ModelSpec

    Raises
    ------
    ModelError
        If there is none, or it cannot be read.
    MissingDependencyError
        Without the package onnx, for an .onnx file.

    Examples
    --------
    >>> network, spec = read_model("general_2d")
    >>> spec.ndim
    2
    """
    if Path(model).is_dir():
        return load_model(Path(model)), load_spec(Path(model))
    return read_exported(model_path(model))


def read_exported(path: Path) -> tuple[TrackingTransformer, ModelSpec]:
    """Return the network of an .onnx file, on the CPU and in eval mode; it scores as the file does.

    Raises ModelError if the file is not one that the export wrote, and MissingDependencyError
    without the package onnx.
    """
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{path} is read with the package onnx; install trackastra-engine[export]"
        ) from error
    try:
        file = onnx.load(path)
    except Exception as error:  # of protobuf, whose errors share no base class with others
        raise ModelError(f"{path} cannot be read as an ONNX model") from error
    metadata = {entry.key: entry.value for entry in file.metadata_props}
    if not {METADATA_KEY, NETWORK_KEY} <= metadata.keys():
        raise ModelError(
            f"{path} does not contain the shape of its network; export the model again, or use the "
            "checkpoint folder that it was made from"
        )
    network = TrackingTransformer(TransformerConfig(**json.loads(metadata[NETWORK_KEY])))
    arrays = {entry.name: onnx.numpy_helper.to_array(entry) for entry in file.graph.initializer}
    # Buffers follow from the shape of the network.
    learned = {name for name, _ in network.named_parameters()}
    if missing := learned - arrays.keys():
        raise ModelError(f"{path} lacks the weights {min(missing)}; export the model again")
    weights = {name: torch.from_numpy(arrays[name].copy()) for name in learned}
    network.load_state_dict({**network.state_dict(), **weights})
    return network.eval(), ModelSpec.from_json(metadata[METADATA_KEY])
