"""One step of learning, and the loop over many."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from trackastra_engine.errors import InputError
from trackastra_training.configuration import Precision, TrainingOptions
from trackastra_training.loss import Batch, batch_loss, softened
from trackastra_training.processes import Processes
from trackastra_training.transformer import TrackingTransformer

SMOOTHING = 0.99  # share of the steps before in the reported loss


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a training."""

    step: int = 0  # steps taken
    minutes: float = 0.0  # spent, including those before an interruption
    loss: float = math.nan  # per token, smoothed

    def share_done(self, options: TrainingOptions) -> float:
        """Return 0 to 1, of the steps or else of the time."""
        share = self.step / options.steps if options.steps else self.minutes / options.minutes
        return min(share, 1.0)


Report = Callable[[Progress], None]


class Learner:
    """A model, its optimiser, its processes and the teacher, if there is one."""

    def __init__(
        self,
        model: TrackingTransformer,
        options: TrainingOptions,
        processes: Processes,
        teacher: TrackingTransformer | None = None,
    ) -> None:
        self.model, self.options, self.processes = model.to(processes.device), options, processes
        self._teacher = None if teacher is None else teacher.to(processes.device).eval()
        self.precision = choose_precision(options.precision, processes.device)
        self._network = processes.wrap(model)
        self._optimiser = torch.optim.AdamW(
            model.parameters(), options.learning_rate, weight_decay=options.weight_decay, fused=True
        )
        is_scaled = self.precision == torch.float16  # whose small gradients would be 0
        self._scaler = torch.amp.GradScaler(processes.device.type, enabled=is_scaled)

    def step(self, batch: Batch, progress: Progress, minutes: float) -> Progress:
        """Change the model by one batch of each process.

        minutes: spent so far. The loss is the mean over the tokens of all processes, as if one
        process had seen all the batches. Raises InputError if it is not a number.
        """
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(progress, self.options)
        self._optimiser.zero_grad(set_to_none=True)
        # Dropout depends only on the step, so that a stopped run can continue.
        number = progress.step * self.processes.count + self.processes.rank
        torch.manual_seed(self.options.seed * 2**32 + number)
        n_tokens = batch.n_tokens()
        batch = batch.to(self.processes.device)
        if self._teacher is not None:
            batch = softened(batch, self._teacher)
        total = batch_loss(self.model, batch, network=self._network, precision=self.precision)
        sums = self.processes.sum([total.item(), n_tokens, minutes])
        if not math.isfinite(sums[0]):
            raise InputError(
                f"the loss of step {progress.step + 1} is {sums[0]}; lower learning_rate, or set "
                'precision = "float32"'
            )
        # Gradients are averaged over the processes, hence their number.
        self._scaler.scale(total * (self.processes.count / sums[1])).backward()
        self._scaler.unscale_(self._optimiser)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.max_gradient)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        loss, step = sums[0] / sums[1], progress.step + 1
        # Early on, the mean of all steps; later, of about 1 / (1 - SMOOTHING).
        keep = min(SMOOTHING, 1 - 1 / step)
        smoothed = loss if step == 1 else keep * progress.loss + (1 - keep) * loss
        return Progress(step, sums[2] / self.processes.count, smoothed)

    def state(self) -> dict[str, Any]:
        """Return the state that later steps depend on, besides the data."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Load a state that `state` returned."""
        self.model.load_state_dict(state["model"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])


def optimise(
    learner: Learner,
    stream: Iterable[Batch],
    start: Progress = Progress(),
    *,
    report: Report = lambda progress: None,
    check: Report = lambda progress: None,
) -> Progress:
    """Learn until time or steps are used up; `check` runs from time to time, and at the end."""
    options, progress, last_check = learner.options, start, start.minutes
    began = time.monotonic() - 60 * start.minutes
    learner.model.train()
    batches = iter(stream)
    while progress.share_done(options) < 1:
        batch = next(batches)
        progress = learner.step(batch, progress, (time.monotonic() - began) / 60)
        report(progress)
        is_due = progress.minutes - last_check >= options.minutes_between_checks
        if is_due and progress.share_done(options) < 1:
            check(progress)
            last_check = progress.minutes
    check(progress)
    return progress


def learning_rate(progress: Progress, options: TrainingOptions) -> float:
    """Return the rate of the next step: a linear warm-up, then a cosine down to 0 at the end."""
    warmup = min(1.0, (progress.step + 1) / options.warmup_steps)
    done = progress.share_done(options)
    return options.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * done))


def choose_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type in which the network computes. Raises InputError if the device lacks it."""
    is_cuda = device.type == "cuda"
    if precision == "float16" and not is_cuda:
        raise InputError('precision = "float16" needs a CUDA GPU; use bfloat16 or float32')
    if precision == "auto":
        if not is_cuda:
            return torch.float32
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[
        precision
    ]
