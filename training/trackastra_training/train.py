"""A training run, from its configuration to a checkpoint folder."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import torch

from trackastra_engine.errors import InputError
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.simulation import KnownMovie
from trackastra_training.batches import BatchStream, ExampleOptions, Pools, Position
from trackastra_training.checkpoint import save_model
from trackastra_training.configuration import Configuration
from trackastra_training.corrected_result import read_corrected
from trackastra_training.ground_truth import read_known_movies
from trackastra_training.learner import Learner, Progress, Report, learning_rate, optimise
from trackastra_training.processes import joined_processes
from trackastra_training.rates import measure_rates
from trackastra_training.saved_run import load_run, save_run, start_folder
from trackastra_training.scalars import Scalars, scalar_writer
from trackastra_training.start import Start, read_teacher
from trackastra_training.transformer import TrackingTransformer
from trackastra_training.validation import simulated_validation_movies, validate

logger = logging.getLogger(__name__)

STEPS_BETWEEN_SCALARS = 20
# Rates are those of windows without these errors. They leave many cells without a parent, so that
# the rate of other movies would seem low, and merged and split cells would get parents.
NOT_IN_RATES = {"missed_divisions": 0.0, "lasting_misses": 0.0, "bad_frames": 0.0, "clutter": 0.0}
RATE_POOLS = range(2**40, 2**40 + 2)  # numbers of pools beyond those of any training


def train(
    start: Start,
    folder: Path,
    data_root: Path,
    *,
    resume: bool = False,
    report: Report = lambda progress: None,
) -> TrackingTransformer:
    """Train a model, and leave its latest checkpoint and the state of the run in a folder.

    All folders of data are checked first.

    Parameters
    ----------
    start : Start
        See `new_start` and `start_from_model`.
    folder : Path
        For the checkpoint and the state of the run.
    data_root : Path
        Where relative paths of the movies in the configuration begin.
    resume : bool
        Whether the run in `folder` continues.
    report : callable
        Called with the `Progress` of the run.

    Returns
    -------
    TrackingTransformer

    Raises
    ------
    InputError, ModelError
        If files or options cannot be used.

    Examples
    --------
    >>> from trackastra_training.start import new_start
    >>> network = train(new_start(configuration), Path("run"), Path("."))
    >>> sorted(path.name for path in Path("run").glob("*.pt"))[0]
    'model.pt'
    """
    configuration, options = start.configuration, start.configuration.training
    movies, held_out = (
        read_known_movies(
            [movie.located(data_root) for movie in listed], start.spec, sees_otherwise=is_learned
        )
        for listed, is_learned in ((configuration.train, True), (configuration.validate, False))
    )
    movies += [read_corrected(r.located(data_root), start.spec) for r in configuration.corrected]
    names = [movie.truth for movie in configuration.train]
    names += [result.folder for result in configuration.corrected]
    for name, movie in zip(names, movies, strict=True):
        if movie.detections.frame.max(initial=-1) + 1 < start.spec.window:
            raise InputError(
                f"{name} has fewer frames than the model's window of {start.spec.window}; "
                "choose more frames, or a model with a smaller window"
            )
    teacher = read_teacher(options.teacher, data_root, start.spec) if options.teacher else None
    torch.set_num_threads(options.threads)
    pools = Pools(movies, _example_options(start), options.seed)
    with joined_processes(options.device) as processes:
        learner = Learner(start.model, options, processes, teacher)
        return _learn(start, learner, folder, pools, held_out, resume=resume, report=report)


def _learn(
    start: Start,
    learner: Learner,
    folder: Path,
    pools: Pools,
    held_out: Sequence[KnownMovie],
    *,
    resume: bool,
    report: Report,
) -> TrackingTransformer:
    """Run or continue a training to its end, as one of the processes."""
    options, processes = learner.options, learner.processes
    is_first = processes.rank == 0
    progress, position = _begin(learner, start.configuration, folder, resume=resume)
    stream = BatchStream(pools, position, rank=processes.rank, n_processes=processes.count)
    with scalar_writer(folder, enabled=options.tensorboard and is_first) as scalars:

        def note(now: Progress) -> None:
            report(now)
            if now.step % STEPS_BETWEEN_SCALARS == 0:
                rate = learning_rate(now, options)
                scalars({"loss": now.loss, "learning rate": rate}, now.step)

        checks = _Checks(learner, start.spec, folder, pools, stream, scalars)
        if is_first:
            checks.add_movies(held_out, options.validation_movies)
        optimise(learner, stream, progress, report=note, check=checks)
    return learner.model


def _example_options(start: Start) -> ExampleOptions:
    return ExampleOptions(start.spec, start.configuration.data, start.configuration.augmentation)


def _begin(
    learner: Learner, configuration: Configuration, folder: Path, *, resume: bool
) -> tuple[Progress, Position | None]:
    """Prepare the folder, or load the saved state of the run in it."""
    processes = learner.processes
    if not resume:
        if processes.rank == 0:
            start_folder(folder, configuration)
        logger.info("learning on %s, %d processes", processes.device, processes.count)
        return Progress(), None
    run = load_run(folder, configuration, processes.count)
    learner.load_state(run.learner)
    logger.info("continuing from step %d of the run in %s", run.progress.step, folder)
    return run.progress, run.positions[processes.rank]


class _Checks:
    """Saves the training from time to time, and measures it by tracking."""

    def __init__(
        self,
        learner: Learner,
        spec: ModelSpec,
        folder: Path,
        pools: Pools,
        stream: BatchStream,
        scalars: Scalars,
    ) -> None:
        self.learner, self.spec, self.folder, self.pools = learner, spec, folder, pools
        self.stream, self.scalars = stream, scalars
        self.movies: dict[str, Sequence[KnownMovie]] = {}

    def add_movies(self, held_out: Sequence[KnownMovie], n_simulated: int) -> None:
        if held_out:
            self.movies["held out"] = held_out
        if n_simulated:
            self.movies["simulated"] = simulated_validation_movies(n_simulated, self.spec)

    def __call__(self, now: Progress) -> None:
        processes, model = self.learner.processes, self.learner.model
        positions = processes.gather(self.stream.position)
        if processes.rank > 0:
            return
        if self.spec.recipe == "relative":
            pools = self.pools.changed(**NOT_IN_RATES)
            batches = chain.from_iterable(pools[number] for number in RATE_POOLS)
            self.spec = replace(self.spec, training_rates=measure_rates(model, batches))
        save_model(model, self.spec, self.folder)
        save_run(self.folder, self.learner, now, positions)
        logger.info("step %d, loss %.3f", now.step, now.loss)
        for name, movies in self.movies.items():
            scores = validate(model, self.spec, movies)
            edges, divisions = scores.edges.f1, scores.divisions.f1
            logger.info("  %s: edge F1 %.4f, division F1 %.3f", name, edges, divisions)
            f1 = {f"{name}/edge F1": edges, f"{name}/division F1": divisions}
            self.scalars(f1, now.step)
