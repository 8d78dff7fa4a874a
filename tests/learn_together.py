"""One of the processes that a test starts with torchrun: OUTPUT.

Each learns from its share of the same three batches; the first writes losses and weights.
"""

import sys

import torch

from small_networks import fixed_batches, tiny_network
from trackastra_training.configuration import TrainingOptions
from trackastra_training.learner import Learner, Progress
from trackastra_training.processes import joined_processes


def learn(processes, parts):
    """Return the losses and the weights after a step on each of the batches."""
    learner = Learner(tiny_network(), TrainingOptions(steps=3, device="cpu"), processes)
    progress, losses = Progress(), []
    for part in parts:
        progress = learner.step(part, progress, minutes=0.0)
        losses.append(progress.loss)  # the mean so far
    return losses, learner.model.state_dict()


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined_processes("cpu") as processes:
        result = learn(processes, fixed_batches(processes.rank, processes.count))
        if processes.rank == 0:
            torch.save(result, sys.argv[1])
