"""Run a benchmark: `python -m benchmarks NAME`; each writes a file in benchmarks/results."""

import click

from benchmarks.accuracy import accuracy


@click.group()
def main() -> None:
    """Answer questions about accuracy and speed, one command each."""


main.add_command(accuracy)

if __name__ == "__main__":
    main()
