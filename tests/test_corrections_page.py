"""The example of engine/CORRECTIONS.md, run as it is written: from a first movie to a second."""

import csv
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from command_line import run
from quick_training import invoke
from trackastra_engine.cli import main
from trackastra_engine.model.onnx_model import AssociationModel

PAGE = (Path(__file__).parent.parent / "engine" / "CORRECTIONS.md").read_text("utf-8")
EXAMPLE = PAGE.split("## An example from the first movie to the second")[1].split("\n## ")[0]


def blocks(text):
    """Return (language, code) of all blocks of code."""
    return re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL)


def commands(code):
    """Return the arguments of each command of the engine."""
    lines = [line.partition("#")[0] for line in code.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("trackastra-engine ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the example ran: python as it is, commands in this process."""
    place = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for language, code in blocks(EXAMPLE):
            if language == "python":
                exec(compile(code, "CORRECTIONS.md", "exec"), {})
            for arguments in commands(code) if language == "bash" else ():
                result = run(*arguments)
                assert result.exit_code == 0, result.output
    return place


def links(path):
    with path.open() as file:
        return {tuple(row[:4]) for row in list(csv.reader(file))[1:]}


def edge_f1(found, true):
    return 2 * len(found & true) / (len(found) + len(true))


def test_decided_links_hold_and_the_first_movie_is_better(folder):
    with (folder / "decided.csv").open() as file:
        decided = list(csv.DictReader(file))
    assert len(decided) == 100
    ends = "source_frame", "source_label", "target_frame", "target_label"
    made = {tuple(row[end] for end in ends) for row in decided if row["source_frame"]}
    assert made <= links(folder / "first" / "edges.csv")


def test_the_adapted_model_tracks_the_second_movie_better(folder):
    """By as much as the page says."""
    assert AssociationModel.load(folder / "adapted.onnx", device="cpu").spec.adaptation is not None
    result = run("track", folder / "movie2/images", folder / "movie2/masks", "-o", folder / "plain")
    assert result.exit_code == 0, result.output
    true = links(folder / "movie2" / "truth.csv")
    plain, adapted = (
        edge_f1(links(folder / name / "edges.csv"), true) for name in ("plain", "second")
    )
    (figures,) = re.findall(r"from (0\.\d+) to (0\.\d+)", EXAMPLE)
    assert [plain, adapted] == pytest.approx([float(figure) for figure in figures], abs=0.004)
    assert adapted > plain


def test_the_configuration_of_the_page_fine_tunes(folder, monkeypatch):
    (code,) = [code for language, code in blocks(PAGE) if language == "toml"]
    quick = code.replace('folder = "cells"', 'folder = "first"').replace(
        'corrections = ["corrections.csv"]', 'corrections = ["decided.csv"]'
    )
    quick = quick.replace("minutes = 10", 'steps = 2\nvalidation_movies = 0\ndevice = "cpu"')
    quick = quick.replace("real_share = 1.0", "real_share = 1.0\nn_workers = 0\nmax_tokens = 40")
    tomllib.loads(quick)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("trackastra_training.batches.POOL_SIZE", 4)
    Path("tuned.toml").write_text(quick)
    result = invoke("finetune", "general_2d", "tuned.toml", "-o", "tuned")
    assert result.exit_code == 0, result.output
    assert run("import", "tuned", "-o", "tuned.onnx").exit_code == 0
    assert AssociationModel.load("tuned.onnx", device="cpu").spec.name == "tuned"


def test_all_commands_of_the_page_exist():
    named = {arguments[0] for _, code in blocks(PAGE) for arguments in commands(code)}
    assert {"track", "link", "adapt", "corrections", "import", "demo"} <= named
    assert named - {"import"} <= set(main.commands)
