"""`python -m trackastra_training`, for `torchrun -m`."""

from trackastra_training.cli import main

main(prog_name="trackastra-train")
