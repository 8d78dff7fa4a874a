"""Compiled loops are cached where that is possible; the engine also runs where it is not."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from numba.core.caching import FunctionCache

import trackastra_engine
from small_movies import dividing_cell, write_folder
from trackastra_engine.kernels import compiled_code, kernel
from trackastra_engine.progress import NOTICE

PACKAGE = Path(trackastra_engine.__file__).parent
CAP_DAC_OVERRIDE, PR_CAPBSET_DROP = 1, 24  # linux/capability.h and linux/prctl.h
TWICE = """
from trackastra_engine.kernels import kernel
@kernel
def twice(values, result):
    for index in range(len(values)):
        result[index] = 2 * values[index]
"""
SUMMED = """
import sys
import numpy as np
from trackastra_engine.kernels import kernel
@kernel
def summed(values):
    total = np.zeros(1)
    for value in values:
        total[0] += np.sqrt(value)
    return total
assert summed(np.array([4.0, 9.0])).tolist() == [5]
print("numba.np.linalg" in sys.modules)
"""


def without_privileges():
    """Make permissions apply to root, too, as to any other user."""
    if os.getuid() == 0:
        assert ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) == 0


@pytest.fixture
def narrow(tmp_path):
    """Return the environment of a user whose home and installed packages cannot be written."""
    home, site = tmp_path / "home", tmp_path / "site"
    home.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, site / PACKAGE.name, ignore=unwanted)
    folders = [home, site, *(path for path in site.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    yield {
        **{name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"},
        **{"HOME": str(home), "PYTHONPATH": str(site), "TMPDIR": str(temporary)},
        **{"PYTHONDONTWRITEBYTECODE": "1"},
    }
    for folder in folders:
        folder.chmod(0o755)


@pytest.mark.skipif(sys.platform != "linux", reason="drops the privileges of root as Linux does")
def test_a_user_without_a_writable_home_tracks_and_is_warned_once(narrow, tmp_path):
    masks = write_folder(tmp_path / "masks", dividing_cell()[1])
    command = [sys.executable, "-m", "trackastra_engine", "track", "--masks", str(masks)]
    command += ["--format", "csv", "--no-report", "--device", "cpu", "-o"]

    def track(output):
        return subprocess.run(
            [*command, str(tmp_path / output)],
            env=narrow,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            preexec_fn=without_privileges,
        )

    first, second = track("first"), track("second")
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    temporary = f"{narrow['TMPDIR']}/trackastra-engine-{os.getuid()}"
    assert first.stderr.count(f"compiled code is stored in {temporary}") == 1
    assert "compiled code" not in second.stderr  # which found it there
    assert list(Path(temporary).rglob("*.nbc"))


@pytest.fixture
def twice(tmp_path, monkeypatch):
    """Return a way to compile a loop in its own module, and the fallback folder of its code."""
    compiled_code._report_once.cache_clear()
    compiled_code._temporary_folder.cache_clear()
    monkeypatch.setattr(compiled_code.tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "usual"))
    source = tmp_path / "twice.py"
    source.write_text(TWICE)

    def run():
        scope = {}
        exec(compile(TWICE, str(source), "exec"), scope)
        result = np.zeros(3)
        scope["twice"](np.arange(3.0), result)
        assert result.tolist() == [0, 2, 4]

    yield run, tmp_path / "temporary"
    compiled_code._report_once.cache_clear()
    compiled_code._temporary_folder.cache_clear()


def full_disk(*_):
    raise OSError(28, "No space left on device")


def test_code_is_cached_where_numba_caches_it(twice, tmp_path, caplog):
    run, temporary = twice
    caplog.set_level("INFO")
    run()
    assert list((tmp_path / "usual").rglob("*.nbc"))
    assert not list(temporary.iterdir())
    assert caplog.text == ""


def test_a_disk_that_fills_up_costs_time_but_no_run(twice, monkeypatch, caplog):
    run, _ = twice
    caplog.set_level(NOTICE)
    monkeypatch.setattr(FunctionCache, "save_overload", full_disk)
    run()
    run()
    assert caplog.text.count("compiled code cannot be stored") == 1


def test_damaged_code_is_recompiled(twice, tmp_path):
    run, _ = twice
    run()
    for file in (tmp_path / "usual").rglob("*.nb?"):
        file.write_bytes(file.read_bytes()[:20])
    run()
    (kept,) = (tmp_path / "usual").rglob("*.nbc")
    assert kept.stat().st_size > 20


def test_stored_code_is_loaded_without_the_modules_that_compile(tmp_path):
    """They take a third of the time of a start."""
    source = tmp_path / "summed.py"
    source.write_text(SUMMED)
    folders = {"NUMBA_CACHE_DIR": str(tmp_path / "code"), "PYTHONPATH": str(PACKAGE.parent)}
    compiles = [
        subprocess.check_output([sys.executable, source], env={**os.environ, **folders}, text=True)
        for _ in range(2)
    ]
    assert compiles == ["True\n", "False\n"]


def test_code_is_loaded_as_numba_does_if_that_fails(twice, monkeypatch):
    run, _ = twice
    run()
    monkeypatch.setattr(compiled_code, "rtsys", None)
    monkeypatch.setattr(compiled_code.CompiledCode, "save_overload", pytest.fail)
    run()


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="temporary folders are private there")
def test_code_of_another_user_is_never_loaded(twice, tmp_path, monkeypatch, caplog):
    run, temporary = twice
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiled_code, "FunctionCache", only_in(temporary))
    folder = temporary / f"trackastra-engine-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    caplog.set_level(NOTICE)
    run()
    assert "compiled code cannot be stored" in caplog.text
    folder.chmod(0o700)
    compiled_code._report_once.cache_clear()
    run()
    assert f"compiled code is stored in {folder}" in caplog.text
    assert list(folder.rglob("*.nbc"))


def only_in(folder):
    """Return Numba's cache, which finds only a folder that the user chose."""

    def narrow(function):
        if not numba.config.CACHE_DIR:
            raise RuntimeError("cannot cache function: no locator available")
        return FunctionCache(function)

    return narrow


def test_kernels_use_this_cache():
    assert isinstance(kernel(len_of)._cache, compiled_code.CompiledCode)


def len_of(values):
    return len(values)
