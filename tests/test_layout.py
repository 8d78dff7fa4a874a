"""The tree is the architecture: imports point one way, and starting is quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENGINE, TRAINING = (ROOT / name / f"trackastra_{name}" for name in ("engine", "training"))
HEAVY = {"torch", "pandas", "laptrack", "sklearn", "onnx", "networkx", "skimage"}
# Each room of the engine may import from the rooms before it; those of a row not from each other.
ROOMS = (
    ("errors", "progress", "growing_rows", "prefetch", "system"),
    ("kernels", "resources", "files"),
    ("movie",),
    ("detection",),
    ("motion", "simulation"),
    ("model", "evaluation"),
    ("association",),
    ("linking",),
    ("tracker", "output"),
    ("jobs", "online", "bench"),
    ("batch", "serving", "napari", "shim"),
    ("cli",),
)
# Methods of Lineage for notebooks, which import what writes lineages when they are called.
ALLOWED = {
    f"linking.lineage imports output.{name}" for name in ("notebook", "napari_tracks", "geff_graph")
}
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


def rooms_imported(engine):
    """Yield (importing module, imported module) of all imports between rooms of the engine."""
    for path in sorted(engine.rglob("*.py")):
        module = ".".join(path.relative_to(engine).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"{engine.name}."):
                yield module, str(node.module).removeprefix(f"{engine.name}.")


def room(module):
    return module.split(".")[0]


def upward_imports(engine):
    """Return the imports from a room that is not before the importing one."""
    level = {name: number for number, row in enumerate(ROOMS) for name in row}
    return [
        f"{importing} imports {imported}"
        for importing, imported in rooms_imported(engine)
        if not importing.startswith("__")
        and room(importing) != room(imported)
        and level[room(importing)] <= level[room(imported)]
    ]


def test_imports_between_rooms_point_one_way():
    assert set(upward_imports(ENGINE)) == ALLOWED


def test_an_upward_import_is_found_and_named(tmp_path):
    engine = tmp_path / "trackastra_engine"
    (engine / "detection").mkdir(parents=True)
    code = "def late():\n    from trackastra_engine.linking.lineage import Lineage\n"
    (engine / "detection" / "points.py").write_text(code)
    assert upward_imports(engine) == ["detection.points imports linking.lineage"]


def test_every_room_has_a_level_and_a_docstring():
    rooms = {path.stem for path in ENGINE.iterdir() if not path.stem.startswith(("__", "py"))}
    listed = {name for row in ROOMS for name in row}
    assert rooms <= listed
    for init in ENGINE.glob("*/__init__.py"):
        assert ast.get_docstring(ast.parse(init.read_text("utf-8"))), init


def modules_loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_the_engine_is_lean():
    assert not modules_loaded_by("from trackastra_engine import Tracker") & HEAVY


def test_tracking_imports_no_library_that_it_may_not_need():
    loaded = modules_loaded_by("import trackastra_engine.jobs.track, trackastra_engine.linking")
    assert "numba" in loaded
    assert not loaded & {"scipy.spatial", "scipy.sparse", "highspy", "zarr"}


def test_the_command_line_starts_without_anything_slow():
    loaded = modules_loaded_by("import trackastra_engine, trackastra_engine.cli")
    assert not loaded & (HEAVY | SLOW_TO_START)
