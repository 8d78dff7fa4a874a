"""The state of a run on disk, so that a killed run continues as if it had not stopped."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from trackastra_engine.errors import InputError, ModelError
from trackastra_engine.files.atomic import new_file
from trackastra_training.batches import Position
from trackastra_training.checkpoint import WEIGHTS_FILE
from trackastra_training.configuration import (
    CONFIGURATION_FILE,
    Configuration,
    read_configuration,
    write_configuration,
)
from trackastra_training.learner import Learner, Progress

STATE_FILE = "training_state.pt"


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The state of a run when it was saved."""

    progress: Progress
    positions: list[Position]  # of each process
    learner: dict[str, Any]  # Learner.state()


def save_run(folder: Path, learner: Learner, progress: Progress, positions: list[Position]) -> None:
    """Write the state of a run, completely or not at all."""
    state = {
        "progress": asdict(progress),
        "positions": [asdict(position) for position in positions],
        "learner": learner.state(),
    }
    with new_file(folder / STATE_FILE) as path:
        torch.save(state, path)


def load_run(folder: Path, configuration: Configuration, n_processes: int) -> SavedRun:
    """Return the state of the run in a folder.

    Raises InputError if the run had another configuration, ModelError if the file cannot be read.
    """
    path = folder / STATE_FILE
    if not path.is_file():
        raise InputError(f"{folder} has no {STATE_FILE} to continue from; leave out --resume")
    check_same(read_configuration(folder / CONFIGURATION_FILE), configuration, folder)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        run = SavedRun(
            Progress(**state["progress"]),
            [Position(**position) for position in state["positions"]],
            state["learner"],
        )
    except Exception as error:  # torch.load raises errors of many kinds, without a common base
        raise ModelError(f"{path} cannot be read as the state of a run ({error})") from error
    if len(run.positions) != n_processes:
        raise InputError(
            f"the run in {folder} had {len(run.positions)} processes, not {n_processes}; "
            "use as many"
        )
    return run


def start_folder(folder: Path, configuration: Configuration) -> None:
    """Make the folder of a new run, with its configuration.

    Raises InputError if a run or a model is in it already.
    """
    if (folder / STATE_FILE).exists():
        raise InputError(f"{folder} contains a run; use --resume, or choose another folder")
    if (folder / WEIGHTS_FILE).exists():
        raise InputError(f"{folder} contains a model, which would be lost; choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    heading = "The complete configuration of the run whose checkpoint is next to this file."
    with new_file(folder / CONFIGURATION_FILE) as path:
        write_configuration(configuration, path, heading)


def check_same(old: Configuration, new: Configuration, folder: Path) -> None:
    """Raise InputError at the first option in which two configurations differ."""
    before, after = _flat(asdict(old)), _flat(asdict(new))
    for name in before:
        if before[name] != after[name]:
            raise InputError(
                f"the run in {folder} had {name} = {before[name]}, not {after[name]}; a run "
                f"continues with the configuration in its {CONFIGURATION_FILE}"
            )


def _flat(table: dict[str, Any], place: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        flat |= (
            _flat(value, f"{place}{name}.") if isinstance(value, dict) else {place + name: value}
        )
    return flat
