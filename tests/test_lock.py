"""Two runs at once: a folder of results rejects the second, and a cache serves both."""

import errno
import os
import subprocess
import sys

import pytest
import tifffile

from command_line import error_of, run
from small_movies import dividing_cell, write_folder
from test_cache import contents
from test_streaming import crowd
from trackastra_engine.errors import InputError
from trackastra_engine.files.lock import alone_in

QUICK = ("--format", "csv", "--no-report", "--device", "cpu")
HOLD = """
import sys, time
from pathlib import Path
from trackastra_engine.files.lock import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def entries(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def tracked(tmp_path):
    """Return a folder of masks, and one of results of them."""
    masks = write_folder(tmp_path / "masks", dividing_cell()[1])
    assert run("track", "--masks", masks, "-o", tmp_path / "out", *QUICK).exit_code == 0
    return masks, tmp_path / "out"


def test_a_second_run_is_rejected_and_touches_nothing(tracked, tmp_path):
    masks, out = tracked
    with alone_in(out):
        before = entries(out), contents(out)
        for command in (
            ("track", "--masks", masks, "-o", out, "--overwrite"),
            ("link", out),
            ("link", out, "-o", out, "--overwrite"),
        ):
            assert f"another run is writing into {out}; wait for it" in error_of(tmp_path, *command)
        assert (entries(out), contents(out)) == before
        # Other programs may read it.
        linked = ("link", out, "-o", tmp_path / "linked", "--no-report")
        converted = ("convert", out, "--to", "csv", "-o", tmp_path / "converted")
        for command in (linked, converted):
            with alone_in(command[command.index("-o") + 1]):
                assert "another run is writing into" in error_of(tmp_path, *command)
            assert run(*command).exit_code == 0
    assert run("link", out, "--no-report").exit_code == 0


def test_a_second_batch_is_rejected_and_so_is_a_position_that_another_run_writes(tracked, tmp_path):
    masks, _ = tracked
    manifest, out = tmp_path / "movies.csv", tmp_path / "batch"
    manifest.write_text(f"name,masks\na,{masks}\n")
    command = ("batch", manifest, "-o", out, *QUICK)
    with alone_in(out):
        assert f"another run is writing into {out}" in error_of(tmp_path, *command)
    with alone_in(out / "a"):
        done = run(*command)
    assert done.exit_code == 1
    assert f"a failed: another run is writing into {out / 'a'}" in done.stderr
    assert run(*command).exit_code == 0
    assert {path.name for path in out.iterdir()} >= {"a", "a.log", "summary.csv", "summary.html"}
    assert not (out / ".trackastra").exists()


def test_a_killed_run_leaves_a_file_but_no_lock(tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", HOLD, out], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="another run is writing into"), alone_in(out):
            pass
        process.kill()
    assert entries(out) == [".trackastra", ".trackastra/lock"]
    with alone_in(out):
        (out / "edges.csv").write_text("")
    assert entries(out) == ["edges.csv"]


def test_a_failing_run_removes_its_lock_and_the_folders_it_made(tmp_path):
    with pytest.raises(KeyboardInterrupt), alone_in(tmp_path / "a" / "out"):
        raise KeyboardInterrupt
    assert entries(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="has another way to lock")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_folder_that_cannot_be_locked_is_written_all_the_same(
    tracked, tmp_path, monkeypatch, code
):
    """As on drives of Lustre or NFS without a lock service."""

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", fail)
    masks, out = tracked
    there = tmp_path / "there"
    done = run("track", "--masks", masks, "-o", there, *QUICK)
    assert done.exit_code == 0, done.stderr
    assert f"files in {there} cannot be locked ({os.strerror(code)})" in done.stderr
    assert contents(there) == contents(out)
    assert not (there / ".trackastra" / "lock").exists()


def test_two_processes_share_a_cache_at_once(tmp_path):
    masks = tmp_path / "masks.tif"
    tifffile.imwrite(masks, crowd(130, 8), photometric="minisblack")
    command = ("track", "--masks", masks, *QUICK, "-o")
    shared = ("--cache", tmp_path / "cache")
    program = [sys.executable, "-m", "trackastra_engine", *command]
    names = ("one", "two")
    running = [subprocess.Popen([*program, tmp_path / name, *shared]) for name in names]
    assert [process.wait() for process in running] == [0, 0]
    assert run(*command, tmp_path / "alone").exit_code == 0
    for name in names:
        assert contents(tmp_path / name) == contents(tmp_path / "alone")
    # Nothing half written; each of five chunks of 32 frames has two files.
    assert len(entries(tmp_path / "cache")) == 2 * 5
    assert all(name.endswith(".npz") for name in entries(tmp_path / "cache"))
