"""The command `track`, ended before its first window is scored, to measure its start.

Run as `python -m benchmarks.workers.first_window ARGUMENT...` with the arguments of `track`.
"""

import os
import sys
from typing import NoReturn

from trackastra_engine.cli import main
from trackastra_engine.model.onnx_model import AssociationModel


def end(*_: object, **__: object) -> NoReturn:
    """Exit at once: the parent process measures the time."""
    os._exit(0)


AssociationModel.associate = end
main(["track", *sys.argv[1:]])
