"""The configuration of a training of a second, and `trackastra-train` called in this process."""

from click.testing import CliRunner

from trackastra_training.cli import main
from trackastra_training.configuration import (
    Configuration,
    DataOptions,
    ModelOptions,
    TrainingOptions,
)

QUICK = Configuration(
    ModelOptions(d_model=16, n_layers=1, n_heads=2, dropout=0.1),
    DataOptions(max_tokens=30, batch_tokens=300, n_workers=0),
    training=TrainingOptions(
        steps=8, warmup_steps=2, device="cpu", validation_movies=0, tensorboard=False
    ),
)


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
