"""The command `batch`."""

import sys
from contextlib import closing
from pathlib import Path

import click
from click.core import ParameterSource

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH
from trackastra_engine.cli.track import track
from trackastra_engine.errors import InputError

SOME_FAILED = 1  # exit code; 2 means that the input is wrong and nothing ran
OF_THE_BATCH = {"--output", "--json"}  # options that the batch sets for each position
# Options that differ between positions.
NOT_FOR_ALL = {
    *("IMAGES", "MASKS", "--images", "--masks", "--points", "--corrections"),
    *("--output-ctc", "--output-edge-table", *OF_THE_BATCH),
}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("movies", type=PATH)
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS OF TRACK]")
@click.option("-o", "--output", type=PATH, required=True, help="Folder for all results.")
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Number of movies at a time; they share the cores.  [default: one per core]",
)
@click.option(
    "--memory",
    "memory_gb",
    type=click.FloatRange(0, min_open=True),
    help="Memory of all running movies, in gigabytes.  [default: 80 % of the free memory]",
)
@one_sentence_errors
def batch(
    movies: Path, options: tuple[str, ...], output: Path, jobs: int | None, memory_gb: float | None
) -> None:
    """Track many movies, each in its own process.

    MOVIES is a table (.csv) with the columns name, masks and perhaps images (or name and points),
    and any other option of track, such as model or voxel; its paths are relative to its folder. Or
    it is a folder with one folder per position, which contains masks and perhaps images (folders of
    TIFFs, .tif or other inputs of track), or points.csv. Or it is an OME-Zarr plate whose images
    have their masks as labels. Options of track at the end apply to all positions:

        trackastra-engine batch MOVIES -o OUT --mode ilp --stride 1

    OUT gets a folder and a log (.log) per position, and summary.csv and summary.html. If a position
    fails, the others continue, and the exit code is 1. Run again, the same command tracks only
    positions that are missing, failed before, or have other files, options or corrections.
    """
    from trackastra_engine.batch import Budget, find_positions, run_batch
    from trackastra_engine.batch.budget import default_memory_mb
    from trackastra_engine.batch.summary import PAGE, write_summary
    from trackastra_engine.resources import n_usable_cores

    positions = find_positions(movies)
    for position in positions:
        taken = _check_options(position.arguments, position.name) & OF_THE_BATCH
        if taken:
            raise InputError(
                f"{position.name} sets {min(taken)}, which the batch sets by its -o; leave it out"
            )
        _check_options((*position.arguments, *options), position.name)
    given = _check_options(options, "all") & NOT_FOR_ALL
    if given:
        raise InputError(f"{min(given)} cannot be the same for all positions; leave it out")
    memory_mb = default_memory_mb() if memory_gb is None else 1000 * memory_gb
    budget = Budget(n_usable_cores() if jobs is None else jobs, memory_mb)
    outcomes = {}
    with closing(run_batch(positions, options, output, budget)) as ending:
        for outcome in ending:
            outcomes[outcome.name] = outcome
            click.echo(f"{len(outcomes)}/{len(positions)} {outcome}", err=True)
    write_summary([outcomes[position.name] for position in positions], output)
    n_failed = sum(outcome.status == "failed" for outcome in outcomes.values())
    click.echo(f"{len(positions) - n_failed} of {len(positions)} positions; see {output / PAGE}")
    if n_failed:
        sys.exit(SOME_FAILED)


def _check_options(arguments: tuple[str, ...], name: str) -> set[str]:
    """Return the given parameters of track, named as in its help.

    Raises InputError if it rejects them.
    """
    try:
        context = track.make_context("track", list(arguments))
    except click.UsageError as error:
        raise InputError(f"track cannot run for {name}: {error.format_message()}") from None
    return {
        _name(parameter)
        for parameter in track.params
        if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    }


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.human_readable_name.strip("[]")
    return next(flag for flag in parameter.opts if flag.startswith("--"))
