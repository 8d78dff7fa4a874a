"""The tree is the architecture: imports point one way, and starting is quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE, TRAINING = (ROOT / name / f"trackastra_{name}" for name in ("engine", "training"))
HEAVY = {"torch", "pandas", "laptrack", "sklearn", "onnx", "networkx", "skimage"}
SLOW_TO_START = {"numpy", "numba", "scipy", "tifffile", "imagecodecs", "onnxruntime", "rich"}


def imported(folder):
    """Return (module, file) of all imports of a package, those inside functions included."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                found += [(alias.name.split(".")[0], path.name) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} imports relatively"
                found.append((str(node.module).split(".")[0], path.name))
    return found


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        (ENGINE, {"trackastra_training", "trackastra_export", "torch", "onnx"}),
        (TRAINING, {"trackastra_export", "onnxruntime"}),
    ],
    ids=["engine", "training"],
)
def test_imports_point_one_way(package, forbidden):
    assert [(module, path) for module, path in imported(package) if module in forbidden] == []


def modules_loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_the_engine_is_lean():
    assert not modules_loaded_by("from trackastra_engine import Tracker") & HEAVY


def test_tracking_waits_for_no_library_that_it_may_not_need():
    loaded = modules_loaded_by("import trackastra_engine.job, trackastra_engine.linking")
    assert "numba" in loaded
    assert not loaded & {"scipy.spatial", "scipy.sparse", "highspy", "zarr"}


def test_the_command_line_starts_without_anything_slow():
    loaded = modules_loaded_by("import trackastra_engine, trackastra_engine.cli")
    assert not loaded & (HEAVY | SLOW_TO_START)
