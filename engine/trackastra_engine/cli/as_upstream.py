"""`python -m trackastra_engine.cli.as_upstream` behaves as upstream's `trackastra`.

The script that `shim` writes calls it. `--device cuda` falls back to the CPU, as upstream does:
TrackMate offers it also on machines without CUDA.
"""

import sys

from trackastra_engine.cli import main
from trackastra_engine.cli.upstream_flags import AsUpstream

LONGEST = "--default-max-distance"  # the first argument, if given, followed by its value


def answer(arguments: list[str]) -> None:
    """Run a command of the engine as upstream's."""
    defaults = {}
    if arguments[:1] == [LONGEST]:
        _, defaults["max_distance"], *arguments = arguments
    main(arguments, prog_name="trackastra", default_map={"track": defaults}, obj=AsUpstream())


if __name__ == "__main__":
    answer(sys.argv[1:])
