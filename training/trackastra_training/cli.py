"""The command line of the training package: `trackastra-train`."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

import click

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError

if TYPE_CHECKING:
    from trackastra_training.configuration import AnnotatedMovie, Configuration
    from trackastra_training.learner import Progress
    from trackastra_training.start import Start

Arguments = ParamSpec("Arguments")

FAILED, INTERRUPTED = 2, 130  # exit codes
PATH = click.Path(path_type=Path)


def one_sentence_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Print errors as one sentence, and end with an exit code."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ModuleNotFoundError as error:
            _fail(f"{error.name} is missing; install trackastra-engine[training]")
        except (InputError, ModelError, MissingDependencyError) as error:
            _fail(str(error))
        except OSError as error:
            place = error.filename or "a file"
            _fail(f"{place} could not be read or written ({error.strerror or error})")
        except KeyboardInterrupt:
            click.echo("Stopped; continue a run that has passed a check with --resume.", err=True)
            sys.exit(INTERRUPTED)

    return run


def _fail(message: str) -> None:
    click.echo(f"trackastra-train: {message}", err=True)
    sys.exit(FAILED)


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that `run` and `finetune` share."""
    for option in (
        click.option("--resume", is_flag=True, help="Continue the run in OUTPUT."),
        click.option(
            "--data-root",
            type=PATH,
            help="Folder to which paths of movies are relative.  [default: that of CONFIGURATION]",
        ),
        click.option("-o", "--output", type=PATH, required=True, help="Folder of the model."),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trackastra-engine")
def main() -> None:
    """Train association models for trackastra-engine.

    On several GPUs: torchrun --nproc-per-node 4 -m trackastra_training run ...
    """


@main.command()
@click.argument("configuration", type=PATH)
@one_sentence_errors
def new(configuration: Path) -> None:
    """Write CONFIGURATION, a TOML file with all options, their meanings and defaults."""
    from trackastra_training.configuration import (
        MOVIE_EXAMPLES,
        Configuration,
        write_configuration,
    )

    if configuration.exists():
        raise InputError(f"{configuration} exists; choose another name or remove it")
    heading = "A training run. An option that is left out has the value given here."
    write_configuration(Configuration(), configuration, heading)
    with configuration.open("a", encoding="utf-8") as file:
        file.write(MOVIE_EXAMPLES)
    click.echo(f"wrote {configuration}")


@main.command()
@click.argument("configuration", type=PATH)
@run_options
@one_sentence_errors
def run(configuration: Path, output: Path, data_root: Path | None, resume: bool) -> None:
    """Train a new model by CONFIGURATION, and write its checkpoint to OUTPUT."""
    from trackastra_training.start import new_start

    _train(new_start, configuration, output, data_root, resume=resume)


@main.command()
@click.argument("model")
@click.argument("configuration", type=PATH)
@run_options
@one_sentence_errors
def finetune(
    model: str, configuration: Path, output: Path, data_root: Path | None, resume: bool
) -> None:
    """Train MODEL further by CONFIGURATION.

    MODEL is a checkpoint folder, ours or upstream's, an .onnx file, or the name of an embedded
    model.
    """
    from trackastra_training.start import start_from_model

    _train(
        lambda options: start_from_model(options, model),
        configuration,
        output,
        data_root,
        resume=resume,
    )


@main.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the mean.")
@one_sentence_errors
def average(models: tuple[str, ...], output: Path) -> None:
    """Write the mean of MODELS that were trained one from the other.

    A MODEL is as for `finetune`, and counts twice if it is given twice. The mean of a fine-tuned
    model and the model before it often tracks other movies better than either.
    """
    from trackastra_training.averaging import average_models
    from trackastra_training.checkpoint import save_model

    if output.exists():
        raise InputError(f"{output} exists; choose another name or remove it")
    save_model(*average_models(models), output)
    click.echo(f"The model is in {output}")


@main.command()
@click.argument("model")
@click.argument("data", nargs=-1, required=True, metavar="FOLDER[:FIRST-LAST]...")
@one_sentence_errors
def evaluate(model: str, data: tuple[str, ...]) -> None:
    """Measure how well MODEL tracks annotated movies, by greedy linking.

    MODEL is as for `finetune`. Each movie is a folder in the form of the Cell Tracking Challenge. A
    .toml file names all its [[validate]] movies.
    """
    from trackastra_training.from_onnx import read_model
    from trackastra_training.ground_truth import read_known_movies
    from trackastra_training.validation import validate

    movies, (network, spec) = _listed_movies(data), read_model(model)
    known = read_known_movies(movies, spec)
    click.echo("edge F1  precision  recall  division F1  precision  recall  movie")
    for movie, truth in zip(movies, known, strict=True):
        scores = validate(network, spec, [truth])
        edges, divisions = scores.edges, scores.divisions
        click.echo(
            f"{edges.f1:7.4f}  {edges.precision:9.4f}  {edges.recall:6.4f}  {divisions.f1:11.3f}"
            f"  {divisions.precision:9.3f}  {divisions.recall:6.3f}  {movie}"
        )


def _listed_movies(data: tuple[str, ...]) -> "list[AnnotatedMovie]":
    from trackastra_training.configuration import AnnotatedMovie, read_configuration

    movies = []
    for text in data:
        if not text.endswith(".toml"):
            movies.append(AnnotatedMovie.parse(text))
            continue
        found = read_configuration(Path(text)).validate
        if not found:
            raise InputError(f"{text} has no [[validate]] movie")
        movies += [movie.located(Path(text).parent) for movie in found]
    return movies


def _train(
    begin: "Callable[[Configuration], Start]",
    path: Path,
    output: Path,
    data_root: Path | None,
    *,
    resume: bool,
) -> None:
    from trackastra_training.configuration import read_configuration
    from trackastra_training.train import train

    is_first = int(os.environ.get("RANK", 0)) == 0  # of the processes that torchrun started
    level = logging.INFO if is_first else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    start = begin(read_configuration(path))
    with _progress_bar(start.configuration, shown=is_first) as report:
        train(start, output, data_root or path.parent, resume=resume, report=report)
    if is_first:
        click.echo(f"The model is in {output}")


@contextmanager
def _progress_bar(
    configuration: "Configuration", *, shown: bool
) -> Iterator[Callable[["Progress"], None]]:
    """Give a callback that shows the progress of a training, if there is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Bars(*columns, console=console, disable=not (shown and console.is_terminal)) as bars:
        task = bars.add_task("training", total=1.0)

        def show(progress: "Progress") -> None:
            text = f"step {progress.step}, loss {progress.loss:.3f}"
            done = progress.share_done(configuration.training)
            bars.update(task, completed=done, description=text)

        yield show
