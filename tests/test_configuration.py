"""Configurations of trainings: defaults, files, and mistakes in them and in commands."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from quick_training import QUICK, invoke
from trackastra_training.configuration import (
    AnnotatedMovie,
    Configuration,
    ModelOptions,
    read_configuration,
    write_configuration,
)
from trackastra_training.start import new_start

ROOT = Path(__file__).parent.parent


def test_a_new_configuration_has_the_defaults(tmp_path):
    path = tmp_path / "run.toml"
    assert invoke("new", path).exit_code == 0
    assert read_configuration(path) == Configuration()
    text = path.read_text()
    defaults = Configuration()
    tables = (defaults.model, defaults.data, defaults.augmentation, defaults.training)
    for field in (field for table in tables for field in fields(table)):
        assert f"  # {field.metadata['text']}\n" in text
    start = text.index("# [[train]]")
    examples = [line.removeprefix("# ") for line in text[start:].splitlines()]
    path.write_text("\n".join(line for line in examples if line[:1] == "[" or " = " in line))
    masks, images = Path("movie1_SEG"), Path("movie1")
    movie = AnnotatedMovie(Path("movie1_GT"), masks, images, (0, 59), 10.0, voxel=(2.0, 0.5, 0.5))
    tables = AnnotatedMovie(Path("embryo1"), points=Path("cells.csv"))
    assert read_configuration(path).train == (movie, tables)
    assert len(read_configuration(path).validate) == 1


def test_configurations_survive_the_disk(tmp_path):
    movie = AnnotatedMovie(Path('a "b"/GT'), Path("SEG"), frames=(3, 9), match_distance=7.0)
    configuration = replace(
        QUICK,
        model=ModelOptions(name="zwölf", description='a "b" \\ c', dropout=0.5),
        train=(movie, AnnotatedMovie(Path("x"), images=Path("y"))),
        validate=(AnnotatedMovie(Path("z")),),
    )
    write_configuration(configuration, tmp_path / "run.toml", "A\nB")
    assert read_configuration(tmp_path / "run.toml") == configuration


@pytest.mark.parametrize(
    "path", sorted((ROOT / "training" / "configs").glob("*.toml")), ids=lambda p: p.stem
)
def test_the_configurations_of_the_default_models_can_be_run(path):
    configuration = read_configuration(path)
    assert path.stem.startswith(configuration.model.name)
    assert new_start(configuration).spec.ndim == configuration.model.ndim
    assert not any(movie.truth.is_absolute() for movie in configuration.train)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[training]\nlearning_rat = 1", "'training.learning_rat' is unknown; did you mean"),
        ("[trainin]", "'trainin' is unknown; did you mean 'training'?"),
        ("[model]\nqqqq = 1", "'model.qqqq' is unknown; known are name, description"),
        ("[model]\nd_model = 12.5", "'model.d_model' must be an integer, not 12.5"),
        ("[model]\nndim = true", "'model.ndim' must be an integer, not True"),
        ("[model]\nndim = 4", "'model.ndim' must be from 2 to 3, not 4"),
        ("[model]\nd_model = 100", "d_model 100 must be a multiple of 2 * nhead = 8"),
        ("[training]\nminutes = nan", "'training.minutes' must be at least 0, not nan"),
        ("[training]\nminutes = 0", "one of 'training.steps' and 'training.minutes' must not be 0"),
        ("[data]\nreal_share = 1\n[training]\nsteps = 1", "'data.real_share' of 1 needs a [[tr"),
        ("[training]\nseed = 4294967296", "must be from 0 to 4294967295, not 4294967296"),
        ("[training]\nseed = -1", "'training.seed' must be from 0 to 4294967295, not -1"),
        ('[training]\nprecision = "half"', "'training.precision' must be one of 'auto', "),
        ('[training]\nprecision = "float16"\ndevice = "cpu"', '"float16" needs a CUDA GPU'),
        ("[[train]]\nframes = [0, 5]", "'train[0].truth' is missing"),
        ('[[train]]\ntruth = "a"\nframes = [0]', "'train[0].frames' must have 2 values, not 1"),
        ('[[train]]\ntruth = "a"\nframes = [4, 2]', "frames of a must be [first, last]"),
        ('[[train]]\ntruth = "a"\nmatch_distance = 0', "run.toml: match_distance of a must be"),
        ('[[validate]]\ntruth = "a"\nmatch_distance = nan', "of a must be a positive number"),
        ('[[train]]\ntruth = "a"\nmatch_distance = inf', "of a must be a positive number"),
        ("[train]\ntruth = 5", "'train' must be a list in brackets"),
        ("model = 5", "'model' must be a table, not 5"),
        ("[model", "is not TOML"),
    ],
)  # fmt: skip
def test_errors_of_a_configuration_are_reported(tmp_path, text, complaint):
    (tmp_path / "run.toml").write_text(text)
    result = invoke("run", tmp_path / "run.toml", "-o", tmp_path / "m")
    assert result.exit_code == 2, result.output
    assert complaint in result.output
    assert "Traceback" not in result.output


def test_wrong_commands_get_a_sentence(tmp_path):
    missing = invoke("run", tmp_path / "run.toml", "-o", tmp_path / "m")
    assert missing.exit_code == 2
    assert "`trackastra-train new" in missing.output
    invoke("new", tmp_path / "run.toml")
    assert "exists" in invoke("new", tmp_path / "run.toml").output
    resumed = invoke("run", tmp_path / "run.toml", "-o", tmp_path / "m", "--resume")
    assert resumed.exit_code == 2
    assert "leave out --resume" in resumed.output
    assert invoke("evaluate", tmp_path, tmp_path).exit_code == 2
