"""Windows and macOS, simulated: attributes that are missing there are missing here."""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from command_line import run
from small_movies import dividing_cell, write_folder
from trackastra_engine import InputError, system
from trackastra_engine.batch.positions import find_positions
from trackastra_engine.files.atomic import check_output_folder, new_file, new_folder
from trackastra_engine.files.lock import alone_in
from trackastra_engine.serving import Limits, server
from trackastra_engine.serving.address import Listener

# Removes functions that Windows lacks from this process, then runs the command line.
AS_ON_WINDOWS = """
import os, pathlib, signal, subprocess, sys, types
import filelock, tempfile, shutil, numba  # which look at the system while they are imported
import trackastra_engine.system as system
system.ON_WINDOWS = True
system.CHILD_FLAGS = 0  # subprocess takes no others here
system.KILLED = None
for module, names in {
    os: ("sched_getaffinity", "sched_setaffinity", "sysconf", "getuid"),
    signal: ("SIGKILL",),
}.items():
    for name in names:
        delattr(module, name)
def not_implemented(path):
    raise NotImplementedError("Path.is_mount() is unsupported on this system")
pathlib.Path.is_mount = not_implemented
sys.modules["resource"] = None
sys.modules["winreg"] = types.SimpleNamespace(
    HKEY_LOCAL_MACHINE=0, OpenKey=lambda *_: open(os.devnull), QueryValueEx=lambda *_: (0, 4)
)
if not system.free_memory_mb():
    raise SystemExit("no memory")
from trackastra_engine.cli import main
main(sys.argv[1:])
"""


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setattr(system, "ON_WINDOWS", True)
    monkeypatch.setattr(system, "WAITS_S", (0, 0))
    registry = SimpleNamespace(
        HKEY_LOCAL_MACHINE=0, OpenKey=lambda *_: nullcontext(), QueryValueEx=lambda *_: (0, 4)
    )
    monkeypatch.setitem(sys.modules, "winreg", registry)
    return registry


@pytest.mark.parametrize("command", ["track", "batch"])
def test_commands_run_without_functions_that_windows_lacks(tmp_path, command):
    masks = write_folder(tmp_path / "movies" / "a" / "masks", dividing_cell()[1])
    inputs = ["--masks", str(masks)] if command == "track" else [str(tmp_path / "movies")]
    options = ["--format", "csv", "--no-report", "--device", "cpu", "-o", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS, command, *inputs, *options],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out").rglob("edges.csv"))


def test_a_missing_drive_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("pathlib.Path.exists", lambda _: False)
    with pytest.raises(InputError, match="cannot be written: / does not exist"):
        check_output_folder(tmp_path / "out", overwrite=False, ours=())
    # As `os.path.ismount` of Windows for such a drive.
    monkeypatch.setattr(
        "os.path.ismount", lambda _: (_ for _ in ()).throw(FileNotFoundError(2, ""))
    )
    assert not system.is_mount(tmp_path)


def test_paths_are_not_longer_than_windows_accepts(tmp_path, windows):
    long = tmp_path / ("a" * 180)
    with pytest.raises(InputError, match="Windows allows 259 characters, and results need 80"):
        check_output_folder(long, overwrite=False, ours=())
    windows.QueryValueEx = lambda *_: (1, 4)  # the registry allows more
    check_output_folder(long, overwrite=False, ours=())


def failing(times, operation):
    """Return an operation that fails some times first, as for a file that is open."""
    left = [times]

    def patient(*arguments):
        if left[0]:
            left[0] -= 1
            raise PermissionError(13, "The process cannot access the file")
        return operation(*arguments)

    return patient


def test_files_that_are_open_for_a_moment_are_replaced_then(tmp_path, windows, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", failing(2, type(tmp_path).replace))
    with new_file(tmp_path / "a.csv") as partial:
        partial.write_text("new")
    assert (tmp_path / "a.csv").read_text() == "new"
    monkeypatch.setattr("pathlib.Path.rename", failing(2, type(tmp_path).rename))
    with new_folder(tmp_path / "folder") as partial:
        (partial / "b").touch()
    assert (tmp_path / "folder" / "b").exists()


def test_files_that_stay_open_are_named(tmp_path, windows, monkeypatch):
    masks = write_folder(tmp_path / "masks", dividing_cell()[1])
    table = tmp_path / "edges.csv"
    monkeypatch.setattr("pathlib.Path.replace", failing(9, type(tmp_path).replace))
    done = run("track", "--masks", masks, "--output-edge-table", table, "--device", "cpu")
    assert done.exit_code == 2
    assert "close it in all programs that have it open" in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


def test_on_other_systems_a_failure_is_final_at_once(monkeypatch):
    monkeypatch.setattr(system, "ON_WINDOWS", False)
    with pytest.raises(PermissionError):
        system.patiently(failing(1, int))
    assert system.why_not(PermissionError(13, "Permission denied")) == "Permission denied"


def test_a_child_is_ended_by_the_signal_of_windows(windows, monkeypatch):
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    said = []
    child = SimpleNamespace(send_signal=said.append, terminate=lambda: said.append("terminate"))
    system.ask_to_end(child)
    assert said == [1]
    child.send_signal = lambda _: (_ for _ in ()).throw(OSError("no console"))
    system.ask_to_end(child)
    assert said == [1, "terminate"]


@pytest.mark.parametrize(
    ("name", "is_right", "is_right_on_windows"),
    [
        ("a b", True, True),
        ("con", True, False),
        ("Aux.1", True, False),
        ("a.", True, False),
        ("", False, False),
        ("a:b", False, False),
        ("COM10", True, True),
    ],
)
def test_names_of_files(monkeypatch, name, is_right, is_right_on_windows):
    monkeypatch.setattr(system, "ON_WINDOWS", False)
    assert system.can_be_name(name) == is_right
    monkeypatch.setattr(system, "ON_WINDOWS", True)
    assert system.can_be_name(name) == is_right_on_windows


def test_a_position_must_not_have_the_name_of_a_device_of_windows(tmp_path, windows):
    (tmp_path / "movies.csv").write_text("name,masks\nNUL,m.tif\n")
    with pytest.raises(InputError, match="'NUL' cannot be the name of a file"):
        find_positions(tmp_path / "movies.csv")


def test_memory_is_known_or_reported_as_unknown(windows, monkeypatch):
    monkeypatch.setattr(system, "Path", lambda _: SimpleNamespace(exists=lambda: False))

    def tell(status):
        assert status._obj[0] == ctypes.sizeof(status._obj) == 64
        status._obj[2] = 3 * 2**30
        return 1

    kernel32 = SimpleNamespace(GlobalMemoryStatusEx=tell)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel32), raising=False)
    assert system.free_memory_mb() == 3 * 1024
    monkeypatch.delattr(ctypes, "windll")
    assert system.free_memory_mb() is None
    monkeypatch.setattr(system, "ON_WINDOWS", False)
    assert system.free_memory_mb() > 0
    monkeypatch.delattr(os, "sysconf")
    assert system.free_memory_mb() is None


def test_a_server_interrupts_its_wait_for_clients(monkeypatch):
    monkeypatch.setattr(server, "WAIT_FOR_CLIENT_S", 0.01)
    waits = []

    class Socket:
        def settimeout(self, seconds):
            waits.append(seconds)

        def accept(self):
            if len(waits) > 2:
                raise KeyboardInterrupt
            waits.append("timeout")
            raise TimeoutError

    with pytest.raises(KeyboardInterrupt):
        server.serve_sockets(Listener(Socket(), "here", None), lambda: None, Limits())
    assert waits == [0.01, "timeout", "timeout"]


def test_macos_counts_memory_in_bytes_and_binds_to_no_core(monkeypatch):
    usage = SimpleNamespace(ru_maxrss=300 * 2**20)
    resource = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda _: usage)
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert system.peak_memory_mb() == 300
    for name in ("sched_getaffinity", "sched_setaffinity"):
        monkeypatch.delattr(os, name, raising=False)
    assert system.cores() == list(range(os.cpu_count()))
    system.bind(os.getpid(), [0])


def test_a_lock_file_that_windows_does_not_remove_is_not_an_error(tmp_path, windows, monkeypatch):
    unlink = type(tmp_path).unlink

    def fail(path, **options):
        if path.name == "lock":
            raise PermissionError(13, "in use")
        unlink(path, **options)

    monkeypatch.setattr("pathlib.Path.unlink", fail)
    with alone_in(tmp_path / "out"):
        pass
    with alone_in(tmp_path / "out"):
        pass


def test_names_outside_the_encoding_of_a_pipe_are_written(tmp_path):
    """Windows has cp1252 in pipes, which lacks most letters."""
    masks = tmp_path / "\u7d30\u80de.tif"
    tifffile.imwrite(masks, np.asarray(dividing_cell()[1]), photometric="minisblack")
    out = tmp_path / "\u7d30\u80de out"
    command = [sys.executable, "-m", "trackastra_engine", "track", "--masks", masks, "-o", out]
    done = subprocess.run(
        [*command, "--format", "csv", "--no-report", "--device", "cpu"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
    )
    assert done.returncode == 0, done.stderr
    assert rb"\u7d30\u80de out" in done.stdout
