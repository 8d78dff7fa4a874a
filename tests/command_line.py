"""Calls of the command line in this process: inputs, results and error messages."""

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
    """Write the dividing cell; return folders of images and masks, and a folder for results."""
    images, masks = dividing_cell()
    return (
        str(write_folder(folder / "images", images)),
        str(write_folder(folder / "masks", masks)),
        folder / "out",
    )


def run(*arguments):
    # Before click 8.2, which the package traccuracy does not accept, both streams are one.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


def entries(folder):
    """Return the entries of a folder, without the cache."""
    kept = list(folder.rglob(".trackastra"))
    lonely = [path.parent for path in kept if len(list(path.parent.iterdir())) == 1]
    found = [path for path in folder.rglob("*") if ".trackastra" not in path.parts]
    return sorted(str(path.relative_to(folder)) for path in found if path not in lonely)


def error_of(tmp_path, *arguments):
    """Return the one-sentence error of a command, which must leave no result."""
    before = entries(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert entries(tmp_path) == before
    *progress, sentence = result.stderr.splitlines()
    assert all(re.fullmatch(r".*: \d+/\d+ frames", line) for line in progress)
    assert result.stdout == ""
    assert sentence.startswith("Error: ")
    return sentence
