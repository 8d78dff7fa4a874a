"""The command line: one module per command, which parses, calls one function and prints.

Slow imports are inside the functions that need them.
"""

import atexit
import gc

import click

from trackastra_engine.cli.adapt import adapt
from trackastra_engine.cli.batch import batch
from trackastra_engine.cli.bench import bench
from trackastra_engine.cli.convert import convert
from trackastra_engine.cli.corrections import corrections
from trackastra_engine.cli.demo import demo
from trackastra_engine.cli.evaluate import evaluate
from trackastra_engine.cli.info import info
from trackastra_engine.cli.link import link
from trackastra_engine.cli.serve import serve
from trackastra_engine.cli.shim import shim
from trackastra_engine.cli.track import track

ADDED_COMMANDS = "trackastra_engine.commands"  # entry points of packages that build on this one
# New objects, and rounds, after which Python searches for garbage in cycles. Its own numbers suit
# small programs: imports make many objects that stay, and are searched again and again.
GARBAGE_THRESHOLDS = (50_000, 20, 100)


class Commands(click.Group):
    """The engine's own commands, and those that other packages add."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands."""
        from importlib.metadata import entry_points

        added = entry_points(group=ADDED_COMMANDS)
        return sorted({*super().list_commands(context), *added.names})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return the command of that name; those of other packages are imported only here."""
        command = super().get_command(context, name)
        if command is not None:
            return command
        from importlib.metadata import entry_points

        return next((added.load() for added in entry_points(group=ADDED_COMMANDS, name=name)), None)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trackastra-engine")
def main() -> None:
    """Track cells in movies with transformers: images and masks in, tracks out."""
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    # Otherwise the last search, when memory is given back anyway, takes half a second.
    atexit.register(gc.freeze)


for command in (
    *(track, link, corrections, adapt, batch, convert, info),
    *(demo, evaluate, bench, serve, shim),
):
    main.add_command(command)
