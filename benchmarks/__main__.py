"""Run a benchmark: `python -m benchmarks NAME`; each writes a file in benchmarks/results."""

import click

from benchmarks.accuracy import accuracy
from benchmarks.linking import linking
from benchmarks.tables import tables
from benchmarks.transformer import transformer


@click.group()
def main() -> None:
    """Answer questions about accuracy and speed, one command each."""


main.add_command(accuracy)
main.add_command(linking)
main.add_command(tables)
main.add_command(transformer)

if __name__ == "__main__":
    main()
