"""The command line: one module per command, which parses, calls one function and prints.

All imports that take time are where they serve.
"""

import click

from trackastra_engine.cli.demo import demo
from trackastra_engine.cli.evaluate import evaluate
from trackastra_engine.cli.info import info
from trackastra_engine.cli.track import track


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trackastra-engine")
def main() -> None:
    """Track cells in movies with transformers: images and masks in, tracks out."""


for command in (track, info, demo, evaluate):
    main.add_command(command)
