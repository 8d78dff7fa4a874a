"""The command line of the training package: `trackastra-train`."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from trackastra_training.train import TrainingState


@click.group()
@click.version_option(package_name="trackastra-engine")
def main() -> None:
    """Train association models for trackastra-engine."""


@main.command()
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder.")
@click.option(
    "--data",
    "annotated",
    multiple=True,
    metavar="FOLDER[:FIRST-LAST]",
    help="Annotated movie (man_track*.tif and man_track.txt) to learn from, beside simulated ones.",
)
@click.option(
    "--validation",
    multiple=True,
    metavar="FOLDER[:FIRST-LAST]",
    help="Annotated movie to be measured on during training.",
)
@click.option(
    "--real-share", default=0.25, show_default=True, help="Share of annotated windows, with --data."
)
@click.option("--minutes", default=25.0, show_default=True, help="Time to train for.")
@click.option("--seed", default=0, show_default=True)
@click.option("--ndim", default=2, show_default=True, type=click.IntRange(2, 3))
@click.option("--window", default=4, show_default=True, help="Frames scored together.")
@click.option("--d-model", default=128, show_default=True, help="Width of the network.")
@click.option("--layers", default=3, show_default=True, help="Of the encoder and of the decoder.")
# Threads wait for each other: on two busy cores a step took 0.3 s with one, 2.0 s with two.
@click.option(
    "--threads",
    default=1,
    show_default=True,
    help="Cores to compute on, all of them free, beside one that makes the data.",
)
@click.option("--name", default="general_2d", show_default=True, help="What the model is called.")
@click.option("--description", default="", help="One line: what the model was trained on.")
def run(
    output: Path,
    annotated: tuple[str, ...],
    validation: tuple[str, ...],
    real_share: float,
    minutes: float,
    seed: int,
    ndim: int,
    window: int,
    d_model: int,
    layers: int,
    threads: int,
    name: str,
    description: str,
) -> None:
    """Train a model on simulated and annotated movies; its checkpoint is left in OUTPUT."""
    import torch

    from trackastra_training.data import DataOptions
    from trackastra_training.ground_truth import AnnotatedMovie, read_known_movie
    from trackastra_training.train import TrainingOptions, default_config, spec_of, train

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(threads)
    movies, held_out = (
        [read_known_movie(AnnotatedMovie.parse(text)) for text in texts]
        for texts in (annotated, validation)
    )
    config = default_config(ndim, window, d_model=d_model, n_layers=layers)
    with _progress_bar() as report:
        train(
            config,
            spec_of(config, name, description),
            output,
            data=DataOptions(ndim=ndim, window=window, real_share=real_share),
            options=TrainingOptions(minutes=minutes, seed=seed),
            movies=movies,
            validation=held_out,
            report=report,
        )
    click.echo(f"The model is in {output}")


@contextmanager
def _progress_bar() -> Iterator[Callable[["TrainingState"], None]]:
    """Give a callback that shows how far a training is; nothing where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task("training", total=1.0)

        def show(state: "TrainingState") -> None:
            text = f"step {state.step}, loss {state.loss:.3f}"
            bars.update(task, completed=state.share_done, description=text)

        yield show
