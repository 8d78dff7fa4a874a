"""Numbers over the steps of a run, for TensorBoard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from trackastra_engine.errors import MissingDependencyError

SCALARS_FOLDER = "tensorboard"


class Scalars(Protocol):
    """A function that records numbers by name."""

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        """Record the values at a step."""


@contextmanager
def scalar_writer(folder: Path, *, enabled: bool) -> Iterator[Scalars]:
    """Give a function that writes to `folder`/tensorboard or, unless enabled, does nothing."""
    if not enabled:
        yield lambda values, step: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingDependencyError(
            "tensorboard is missing; install trackastra-engine[training], or set "
            "tensorboard = false under [training]"
        ) from error
    with SummaryWriter(str(folder / SCALARS_FOLDER)) as writer:

        def write(values: Mapping[str, float], step: int) -> None:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
            writer.flush()

        yield write
