"""The commands that this package adds to `trackastra-engine` (entry points in pyproject.toml)."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH
from trackastra_engine.errors import MissingDependencyError

DIFFERENT = 1  # exit code
UPSTREAM_MODES = click.Choice(["greedy", "greedy_nodiv", "ilp"])


@click.command("import")
@click.argument("checkpoint", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="The .onnx file to write.")
@click.option(
    "--weights",
    type=PATH,
    help="Weights instead of CHECKPOINT/model.pt, such as checkpoints/last.ckpt of Lightning.",
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


@click.command()
@click.argument("model")
@click.option(
    "--against", "checkpoint", type=PATH, required=True, help="The model folder of upstream."
)
@click.option(
    "--movie",
    type=PATH,
    nargs=2,
    required=True,
    metavar="IMAGES MASKS",
    help="The movie, in the formats of track.",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("parity-certificate"),
    show_default=True,
    help="Folder for certificate.json and certificate.html.",
)
@click.option(
    "--upstream",
    "upstream_python",
    default=sys.executable,
    metavar="PYTHON",
    help="A Python that has upstream installed.  [default: this one]",
)
@click.option("--mode", "modes", type=UPSTREAM_MODES, multiple=True, help="Linkers to compare.")
@click.option(
    "--max-distance",
    type=click.FloatRange(0, min_open=True),
    default=128.0,
    show_default=True,
    help="Longest link, in pixels.",
)
@click.option("--overwrite", is_flag=True, help="Replace an earlier certificate.")
@one_sentence_errors
def verify(
    model: str,
    checkpoint: Path,
    movie: tuple[Path, Path],
    output: Path,
    upstream_python: str,
    modes: tuple[str, ...],
    max_distance: float,
    overwrite: bool,
) -> None:
    """Track a movie with MODEL and with upstream, and write a certificate of the differences.

    The exit code is 0 if features, scores, edges and tracks are equal, 1 if they are not.
    """
    from trackastra_engine.cli.terminal import shown_progress
    from trackastra_engine.files.atomic import check_output_folder
    from trackastra_export.parity import FILES, PAGE_FILE, verify, write_certificate

    check_output_folder(output, overwrite=overwrite, ours=FILES)
    with shown_progress() as progress:
        certificate = verify(
            model,
            checkpoint,
            *movie,
            upstream_python=upstream_python,
            max_distance=max_distance,
            modes=modes or UPSTREAM_MODES.choices,
            progress=progress,
        )
    write_certificate(certificate, output)
    for check in certificate.checks:
        click.echo(str(check))
    click.echo(f"{certificate.verdict.capitalize()}; see {output / PAGE_FILE}")
    if certificate.verdict != "equal":
        sys.exit(DIFFERENT)


@contextmanager
def _needs_export_packages() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{error.name} is missing; install trackastra-engine[export] to read checkpoints"
        ) from error
