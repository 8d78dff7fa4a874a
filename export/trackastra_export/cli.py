"""The command `trackastra-export`."""

import sys
from pathlib import Path

import click

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The .onnx file to write.",
)
def main(checkpoint: Path, output: Path) -> None:
    """Write the model in the folder CHECKPOINT, ours or upstream's, as one .onnx file.

    The file is written only if its scores equal those of the checkpoint.
    """
    try:
        difference = _export(checkpoint, output)
    except (InputError, ModelError, MissingDependencyError) as error:
        click.echo(f"trackastra-export: {error}", err=True)
        sys.exit(2)
    except OSError as error:
        click.echo(f"trackastra-export: {output} cannot be written ({error.strerror})", err=True)
        sys.exit(2)
    click.echo(f"wrote {output}; scores differ by at most {difference:.1e} from the checkpoint's")


def _export(checkpoint: Path, output: Path) -> float:
    try:
        # Torch takes seconds to import, which --help need not wait for.
        from trackastra_export.export import export_model
        from trackastra_training.checkpoint import load_model, load_spec
    except ImportError as error:
        raise MissingDependencyError(
            f"{error.name} is missing; install trackastra-engine[export]"
        ) from error
    return export_model(load_model(checkpoint), load_spec(checkpoint), output)
