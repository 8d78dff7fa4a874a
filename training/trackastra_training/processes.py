"""One process or several that learn together, as `torchrun` starts them."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from trackastra_engine.errors import InputError
from trackastra_training.configuration import Device


@dataclass(frozen=True, slots=True)
class Processes:
    """The number of this process among all, and its device."""

    device: torch.device
    rank: int = 0
    count: int = 1

    def wrap(self, model: nn.Module) -> nn.Module:
        """Return a wrapped network whose gradients are averaged over all processes."""
        if self.count == 1:
            return model
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def sum(self, values: list[float]) -> list[float]:
        """Return the sums of some numbers over all processes."""
        if self.count == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        torch.distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in their order."""
        gathered: list[Any] = [value] * self.count
        if self.count > 1:
            torch.distributed.all_gather_object(gathered, value)
        return gathered


@contextmanager
def joined_processes(device: Device) -> Iterator[Processes]:
    """Give the processes that `torchrun` started, including this one, or only this one.

    Wrapped networks should be out of scope when the context ends.

    Raises InputError if `device` is cuda and there is no GPU.
    """
    local_rank, count = int(os.environ.get("LOCAL_RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    chosen = _choose(device, local_rank)
    if count == 1:
        yield Processes(chosen)
        return
    torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(chosen, torch.distributed.get_rank(), count)
    finally:
        # Threads of the group end with its last owner, which may be in a cycle of references.
        # Threads that are alive when Python ends sometimes abort it.
        gc.collect()
        torch.distributed.destroy_process_group()


def _choose(device: Device, local_rank: int) -> torch.device:
    n_gpus = torch.cuda.device_count()
    if device == "cpu" or (device == "auto" and not n_gpus):
        return torch.device("cpu")
    if local_rank >= n_gpus:
        raise InputError(
            f"process {local_rank + 1} needs its own CUDA GPU but PyTorch sees {n_gpus}; "
            'start fewer processes, or set device = "cpu" under [training]'
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
