"""The training run: learning, stop and continuation, and commands."""

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from labelled_movies import write_truth
from learn_together import learn
from quick_training import QUICK, invoke
from small_networks import DIVIDING, fixed_batches, tiny_network
from trackastra_engine.errors import InputError, ModelError
from trackastra_engine.simulation import (
    Shape,
    render,
)
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.configuration import (
    CONFIGURATION_FILE,
    AnnotatedMovie,
    TrainingOptions,
    read_configuration,
    write_configuration,
)
from trackastra_training.from_onnx import read_model
from trackastra_training.learner import Learner, Progress, learning_rate, optimise
from trackastra_training.loss import TEACHER_SHARE, batch_loss, softened
from trackastra_training.processes import Processes
from trackastra_training.saved_run import STATE_FILE
from trackastra_training.start import REACH, new_start
from trackastra_training.train import train
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

ROOT = Path(__file__).parent.parent
CPU = Processes(torch.device("cpu"))


@pytest.fixture(autouse=True)
def small_pools(monkeypatch):
    """Pools that take a tenth of a second."""
    monkeypatch.setattr("trackastra_training.batches.POOL_SIZE", 5)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A rendered movie as an annotated folder."""
    movie = render(replace(DIVIDING, shape=Shape(diameter_px=12.0)), 10)
    return write_truth(tmp_path_factory.mktemp("labelled") / "GT", movie), movie


@pytest.mark.parametrize("d_model", [256, 128], ids=["published width", "half"])
def test_the_published_size_learns_and_is_exported_without_a_gpu(d_model, labelled, tmp_path):
    """By its configuration, except the device, the data and their number."""
    large = read_configuration(ROOT / "training" / "configs" / "general_2d_large.toml")
    assert (large.model.d_model, large.model.n_layers) == (256, 6)
    configuration = replace(
        large,
        model=replace(large.model, d_model=d_model),
        data=replace(large.data, max_tokens=30, batch_tokens=100, n_workers=0),
        training=replace(
            large.training,
            steps=2,
            warmup_steps=1,
            device="cpu",
            validation_movies=0,
            tensorboard=False,
        ),
        train=(AnnotatedMovie(labelled[0]),),
        validate=(),
    )
    train(new_start(configuration), tmp_path / "run", tmp_path)
    model, spec = load_model(tmp_path / "run"), load_spec(tmp_path / "run")
    assert model.config.d_model == d_model
    assert build_graph(model, spec).ByteSize() > 4 * 16 * 6 * d_model**2


# ---- learning ----


def test_a_few_steps_lower_the_loss():
    model, batch = tiny_network(), fixed_batches()[0]
    before = batch_loss(model, batch).item()
    options = TrainingOptions(steps=25, learning_rate=5e-3, warmup_steps=5, device="cpu")
    progress = optimise(Learner(model, options, CPU), itertools.repeat(batch))
    assert progress.step == 25
    assert batch_loss(model, batch).item() < 0.5 * before


def scores_of(model, batch):
    with torch.no_grad():
        logits = model(batch.coordinates, batch.features, batch.frame < 0)
        return model.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)


def test_a_teacher_is_learned_besides_the_truth():
    batch, teacher = fixed_batches()[0], tiny_network(seed=1)
    soft = softened(batch, teacher).association
    expected = (1 - TEACHER_SHARE) * batch.association + TEACHER_SHARE * scores_of(teacher, batch)
    torch.testing.assert_close(soft, expected)
    options = TrainingOptions(steps=25, learning_rate=5e-3, warmup_steps=5, device="cpu")
    far = []
    for its_teacher in (None, teacher):
        model = tiny_network()
        optimise(Learner(model, options, CPU, its_teacher), itertools.repeat(batch))
        difference = (scores_of(model, batch) - scores_of(teacher, batch)).abs()
        far.append(float(difference[batch.weight > 0].mean()))
    assert far[1] < 0.8 * far[0]


def test_a_teacher_must_see_windows_as_the_model_does(tmp_path):
    with_teacher = replace(QUICK, training=replace(QUICK.training, teacher="general_3d"))
    with pytest.raises(ModelError, match="the teacher general_3d has ndim 3, the model 2"):
        train(new_start(with_teacher), tmp_path / "run", tmp_path)
    assert not (tmp_path / "run").exists()


def test_the_rate_rises_and_falls():
    options = TrainingOptions(steps=100, learning_rate=1.0, warmup_steps=10)
    rates = [learning_rate(Progress(step), options) for step in range(101)]
    assert rates[0] == 0.1
    assert int(np.argmax(rates)) == 9
    assert rates[100] == 0
    assert learning_rate(Progress(50, 0.0), options) == pytest.approx(0.5)
    half_time = Progress(10, 5.0)
    assert learning_rate(half_time, replace(options, steps=0, minutes=10.0)) == pytest.approx(0.5)


def test_mixed_precision_is_close():
    """On a CPU; on a GPU the same lines run with device type "cuda"."""
    model, batch = tiny_network(), fixed_batches()[0]
    exact = batch_loss(model, batch)
    rough = batch_loss(model, batch, precision=torch.bfloat16)
    assert rough.dtype == torch.float32
    assert rough.item() != exact.item()
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)  # bfloat16 has 8 bits


def test_a_loss_that_is_not_a_number_stops_the_run():
    model = tiny_network()
    with torch.no_grad():
        model.proj.weight.fill_(torch.nan)
    learner = Learner(model, TrainingOptions(steps=5, device="cpu"), CPU)
    with pytest.raises(InputError, match="loss of step 1 is nan"):
        optimise(learner, fixed_batches())


def test_two_processes_learn_as_one(tmp_path):
    """Each of the two has every second window of the batches; torchrun starts them (gloo)."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    script = ROOT / "tests" / "learn_together.py"
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "result.pt")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    losses, weights = torch.load(tmp_path / "result.pt")
    expected_losses, expected = learn(CPU, fixed_batches())
    assert losses == pytest.approx(expected_losses, rel=1e-5)  # float32 sums in another order
    for name, value in expected.items():
        # AdamW's first steps divide gradients by themselves, which magnifies rounding near 0
        torch.testing.assert_close(weights[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("stop", [1, 5])
def test_a_killed_run_ends_as_an_uninterrupted_one(tmp_path, stop):
    """With dropout, random pools of batches and AdamW: all weights are equal, bit by bit.

    The killed run is saved and measured by tracking after each step, the other never.
    """
    often = replace(QUICK.training, minutes_between_checks=0.0, validation_movies=1)
    configuration = replace(QUICK, training=often)

    def kill(progress):
        if progress.step == stop + 1:  # the step before was saved
            raise KeyboardInterrupt

    whole = train(new_start(QUICK), tmp_path / "whole", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(new_start(configuration), tmp_path / "killed", tmp_path, report=kill)
    state = torch.load(tmp_path / "killed" / STATE_FILE)
    assert state["progress"]["step"] == stop
    with pytest.raises(InputError, match="contains a run; use --resume"):
        train(new_start(configuration), tmp_path / "killed", tmp_path)
    with pytest.raises(InputError, match=r"had training.minutes_between_checks = 0.0, not 4.0"):
        train(new_start(QUICK), tmp_path / "killed", tmp_path, resume=True)
    steps = []
    resumed = train(
        new_start(configuration),
        tmp_path / "killed",
        tmp_path,
        resume=True,
        report=lambda progress: steps.append(progress.step),
    )
    assert steps == list(range(stop + 1, 9))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    again = train(new_start(configuration), tmp_path / "killed", tmp_path, resume=True)
    assert torch.equal(again.proj.weight, resumed.proj.weight)  # no step was left


# ---- commands ----


def write_run(folder, labelled, **training):
    """Write a quick configuration with an annotated movie, and return its path."""
    training = replace(QUICK.training, **{"steps": 2, "threads": 1, **training})
    truth = AnnotatedMovie(Path(labelled.name))
    configuration = replace(
        QUICK,
        model=replace(QUICK.model, name="mine"),
        data=replace(QUICK.data, real_share=1.0),
        training=training,
        train=(replace(truth, frames=(0, 4)),),
        validate=(truth,),
    )
    write_configuration(configuration, folder / "run.toml")
    return folder / "run.toml"


def test_from_a_labelled_movie_to_a_model_and_its_evaluation(tmp_path, labelled):
    path = write_run(tmp_path, labelled[0])
    result = invoke("run", path, "-o", tmp_path / "m", "--data-root", labelled[0].parent)
    assert result.exit_code == 0, result.output
    assert load_model(tmp_path / "m").config.d_model == 16
    assert load_spec(tmp_path / "m").name == "mine"
    given, written = map(read_configuration, (path, tmp_path / "m" / CONFIGURATION_FILE))
    assert written == replace(given, model=replace(given.model, reach=REACH[2]))
    table = invoke("evaluate", tmp_path / "m", f"{labelled[0]}:0-3", labelled[0])
    assert table.exit_code == 0, table.output
    lines = table.output.splitlines()
    assert lines[1].endswith("GT:0-3")
    assert 0 <= float(lines[2].split()[0]) <= 1
    assert lines[2].endswith(str(labelled[0]))


def test_upstream_models_are_trained_further(tmp_path, labelled):
    """A folder of upstream, 3D, to learn from a 2D movie: its form and tokens stay."""
    config = TransformerConfig(
        coord_dim=3,
        feat_dim=12,
        d_model=32,
        nhead=2,
        num_encoder_layers=1,
        num_decoder_layers=1,
        window=4,
    )
    old = TrackingTransformer(config)
    folder = tmp_path / "upstream"
    folder.mkdir()
    shape = {name: getattr(config, name) for name in config.__slots__}
    (folder / "config.yaml").write_text(yaml.safe_dump(shape))
    (folder / "train_config.yaml").write_text("features: wrfeat\n")
    torch.save(old.state_dict(), folder / "model.pt")
    path = write_run(tmp_path, labelled[0])
    arguments = (path, "-o", tmp_path / "m", "--data-root", labelled[0].parent)
    result = invoke("finetune", folder, *arguments)
    assert result.exit_code == 0, result.output
    spec, model = load_spec(tmp_path / "m"), load_model(tmp_path / "m")
    assert (spec.name, spec.recipe, spec.averaging) == ("mine", "upstream", "above_threshold")
    assert spec.accepts_planes
    assert not torch.equal(model.proj.weight, old.proj.weight)
    assert read_configuration(tmp_path / "m" / CONFIGURATION_FILE).model.d_model == 32
    assert invoke("finetune", folder, *arguments, "--resume").exit_code == 0
    assert invoke("evaluate", tmp_path / "m", labelled[0]).exit_code == 0


def test_fine_tuning_starts_from_an_embedded_model(tmp_path, labelled):
    """At a very small rate nothing is learned, and scores do not change."""
    path = write_run(tmp_path, labelled[0], steps=1, learning_rate=1e-30, weight_decay=0.0)
    arguments = (path, "-o", tmp_path / "m", "--data-root", labelled[0].parent)
    result = invoke("finetune", "general_2d", *arguments)
    assert result.exit_code == 0, result.output
    learned = load_model(tmp_path / "m").state_dict()
    for name, weights in read_model("general_2d")[0].state_dict().items():
        torch.testing.assert_close(learned[name], weights, rtol=0, atol=1e-12)
    assert invoke("evaluate", "general_2d", labelled[0]).exit_code == 0


def test_a_movie_shorter_than_the_window_and_a_used_folder_are_rejected(tmp_path, labelled):
    path = write_run(tmp_path, labelled[0])
    start = read_configuration(path)
    short = replace(start, train=(replace(start.train[0], frames=(0, 2)),))
    write_configuration(short, path)
    arguments = ("run", path, "-o", tmp_path / "m", "--data-root", labelled[0].parent)
    assert "has fewer frames than the model's window of 4" in invoke(*arguments).output
    write_configuration(start, path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model.pt").write_text("precious")
    assert "contains a model, which would be lost" in invoke(*arguments).output
    assert (tmp_path / "m" / "model.pt").read_text() == "precious"


def test_scalars_are_written_for_tensorboard(tmp_path, labelled):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    path = write_run(tmp_path, labelled[0], steps=20, tensorboard=True, validation_movies=1)
    result = invoke("run", path, "-o", tmp_path / "m", "--data-root", labelled[0].parent)
    assert result.exit_code == 0, result.output
    found = events.EventAccumulator(str(tmp_path / "m" / "tensorboard"))
    found.Reload()
    names = {"loss", "learning rate", "held out/edge F1", "held out/division F1"}
    assert names <= set(found.Tags()["scalars"])
    assert found.Scalars("loss")[0].step == 20


def test_a_model_folder_is_checked_before_it_is_trained_further(tmp_path):
    write_configuration(QUICK, tmp_path / "run.toml")
    result = invoke("finetune", tmp_path, tmp_path / "run.toml", "-o", tmp_path / "m")
    assert result.exit_code == 2
    assert "config.yaml is missing" in result.output
    with pytest.raises(ModelError):
        load_model(tmp_path)
