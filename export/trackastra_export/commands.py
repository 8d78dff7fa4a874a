"""The commands that this package adds to `trackastra-engine` (entry points in pyproject.toml)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trackastra_engine.cli.ending import one_sentence_errors
from trackastra_engine.cli.options import PATH
from trackastra_engine.errors import MissingDependencyError


@click.command("import")
@click.argument("checkpoint", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The .onnx file to write.")
@click.option(
    "--weights",
    type=PATH,
    help="Weights in place of CHECKPOINT/model.pt, such as checkpoints/last.ckpt of Lightning.",
)
@one_sentence_errors
def import_checkpoint(checkpoint: Path, output: Path, weights: Path | None) -> None:
    """Write the model in the folder CHECKPOINT, ours or upstream's, as one .onnx file.

    The file is written only if its scores equal those of the checkpoint.
    """
    with _needs_export_packages():
        from trackastra_export.export import export_model
        from trackastra_training.checkpoint import load_model, load_spec
    difference = export_model(load_model(checkpoint, weights), load_spec(checkpoint), output)
    click.echo(f"Wrote {output}; scores differ by at most {difference:.1e} from the checkpoint's")


@contextmanager
def _needs_export_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing, which reads checkpoints; install trackastra-engine[export]"
        ) from error
