"""The command `adapt`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import CORRECTIONS_OPTION, PATH


@click.command()
@click.argument("results", type=PATH)
@CORRECTIONS_OPTION
@click.option("-o", "--output", type=PATH, required=True, help="Model to write, an .onnx file.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier model.")
@one_sentence_errors
def adapt(results: Path, corrections: tuple[Path, ...], output: Path, overwrite: bool) -> None:
    """Adapt the scores of a model to corrections, in seconds.

    RESULTS is an output folder of track, whose model is adapted. Only eight weights are learned,
    not the network. The model is written only if decisions that were left out confirm the weights.
    Then track the next movie of the same kind:

        trackastra-engine track IMAGES MASKS -o OUT --model OUTPUT
    """
    from trackastra_engine.jobs.adapt import adapt as adapt_model

    learned = adapt_model(results, output, corrections=corrections, overwrite=overwrite)
    click.echo(
        f"Learned from {learned.n_decisions} decisions (gain {learned.gain:.3f} ± "
        f"{learned.error:.3f}); see {output}"
    )
