"""The properties of a model, for people."""

from dataclasses import asdict

from trackastra_engine.model.onnx_model import AssociationModel


def describe_model(model: str) -> list[tuple[str, str]]:
    """Return names and values of the properties of an embedded model or an `.onnx` file.

    Raises ModelError if it is not one of our models.
    """
    loaded = AssociationModel.load(model, device="cpu")
    fields = asdict(loaded.spec)
    description, n_parameters = fields.pop("description"), fields.pop("n_parameters")
    return [
        ("model", str(fields.pop("name"))),
        *([("description", str(description))] if description else []),
        ("file", str(loaded.path)),
        ("size", f"{loaded.path.stat().st_size / 1e6:.1f} MB"),
        ("parameters", f"{n_parameters:,}"),
        *((name.replace("_", " "), str(value)) for name, value in fields.items()),
    ]
