"""`python -m trackastra_engine` is `trackastra-engine`."""

from trackastra_engine.cli import main

main(prog_name="trackastra-engine")
