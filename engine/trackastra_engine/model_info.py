"""What a model is, in lines for people."""

from dataclasses import asdict

from trackastra_engine.model import AssociationModel
from trackastra_engine.onnx_file import summarise_onnx


def describe_model(model: str) -> list[tuple[str, str]]:
    """Return names and values of what is known of an embedded model's name or an `.onnx` file.

    Raises ModelError if it is not one of our models.
    """
    loaded = AssociationModel.load(model, device="cpu")
    summary = summarise_onnx(loaded.path)
    fields = asdict(loaded.spec)
    description = fields.pop("description")
    return [
        ("model", str(fields.pop("name"))),
        *([("description", str(description))] if description else []),
        ("file", str(loaded.path)),
        ("size", f"{summary.n_bytes / 1e6:.1f} MB"),
        ("parameters", f"{summary.n_parameters:,}"),
        ("opset", str(summary.opset)),
        *((name.replace("_", " "), str(value)) for name, value in fields.items()),
    ]
