"""The command line called in this process: on what, what it leaves, and how it refuses."""

import inspect
import re
from dataclasses import replace

from click.testing import CliRunner

from golden_cases import model_folder
from small_movies import dividing_cell, write_folder
from trackastra_engine.cli import main
from trackastra_export.export import export_model
from trackastra_training.checkpoint import load_model, load_spec


def exported(case, folder, **changes):
    """Return the path of a golden case's model, exported to ONNX with a changed spec."""
    checkpoint, path = model_folder(case), folder / f"{case}.onnx"
    export_model(load_model(checkpoint), replace(load_spec(checkpoint), **changes), path)
    return str(path)


def write_movie(folder):
    """Write the dividing cell; return folders of images and masks, and where results may go."""
    images, masks = dividing_cell()
    return (
        str(write_folder(folder / "images", images)),
        str(write_folder(folder / "masks", masks)),
        folder / "out",
    )


def run(*arguments):
    # Until click 8.2, which the package traccuracy refuses, both streams are one if not told.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


def entries(folder):
    """Return what lies in a folder, but for what is kept for a next run."""
    kept = list(folder.rglob(".trackastra"))
    lonely = [path.parent for path in kept if len(list(path.parent.iterdir())) == 1]
    found = [path for path in folder.rglob("*") if ".trackastra" not in path.parts]
    return sorted(str(path.relative_to(folder)) for path in found if path not in lonely)


def refusal(tmp_path, *arguments):
    """Return the one sentence with which a command fails, which must leave no result behind."""
    before = entries(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert entries(tmp_path) == before
    *progress, sentence = result.stderr.splitlines()
    assert all(re.fullmatch(r".*: \d+/\d+ frames", line) for line in progress)
    assert result.stdout == ""
    assert sentence.startswith("Error: ")
    return sentence
