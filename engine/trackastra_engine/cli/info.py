"""The command `info`."""

import click

from trackastra_engine.cli.exit import one_sentence_errors


@click.command()
@click.argument("model")
@one_sentence_errors
def info(model: str) -> None:
    """Print the properties of MODEL, the name of an embedded model or an .onnx file."""
    from trackastra_engine.model.info import describe_model

    for name, value in describe_model(model):
        click.echo(f"{name:<24}  {value}")
