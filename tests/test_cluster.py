"""Chunks computed by workers of a Dask cluster: the same tracks, even if a worker is lost."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from command_line import error_of, exported, run
from equal_edges import assert_equal_edges
from small_movies import write_folder
from test_streaming import crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import cluster as cluster_module
from trackastra_engine.movie.frames import open_movie

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def masks(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "masks.tif"
    tifffile.imwrite(path, crowd(140, 8), imagej=True, metadata={"axes": "TYX"})
    return path


@pytest.fixture(scope="module")
def tracker():
    return Tracker.load("general_2d", device="cpu")


def same(lineage, other):
    assert_equal_edges(lineage.edges, other.edges)
    for field in ("frame", "label", "centroid", "features"):
        pair = getattr(lineage.detections, field), getattr(other.detections, field)
        np.testing.assert_array_equal(*pair)


def test_workers_give_the_results_of_one_process_even_if_one_is_lost(
    cluster, masks, tracker, tmp_path
):
    movie = open_movie(None, masks)
    alone = tracker.track_movie(movie)
    with distributed.Client(cluster) as client:
        workers = client.run(os.getpid)
    told = []

    def kill_one(stage, done, total):
        told.append((stage, done, total))
        if stage == "associate" and done == 32:
            os.kill(next(iter(workers.values())), signal.SIGKILL)

    address = cluster.scheduler_address
    same(tracker.track_movie(movie, cache=tmp_path, dask=address, progress=kill_one), alone)
    assert {("detect", 140, 140), ("associate", 32, 140), ("associate", 140, 140)} <= set(told)
    same(tracker.track_movie(movie, cache=tmp_path), alone)  # results of workers are cached
    with distributed.Client(cluster) as client:
        assert workers != client.run(os.getpid)  # it was lost, and another started


def test_intensities_of_the_whole_movie_are_gathered_first(cluster, masks, tmp_path):
    images = tmp_path / "images.tif"
    noise = np.random.default_rng(0).integers(0, 900, (140, 64, 64))
    tifffile.imwrite(images, noise.astype(np.uint16), photometric="minisblack")
    tracker = Tracker.load(exported("rope2d", tmp_path), device="cpu")
    movie = open_movie(images, masks)
    alone = tracker.track_movie(movie)
    same(tracker.track_movie(movie, dask=cluster.scheduler_address), alone)


def test_the_command_tracks_on_a_cluster_and_its_results_can_be_linked_again(
    cluster, masks, tmp_path
):
    command = ("track", "--masks", masks, "--device", "cpu", "--no-report", "--format", "csv")
    assert run(*command, "-o", tmp_path / "alone").exit_code == 0
    there = ("-o", tmp_path / "there", "--dask", cluster.scheduler_address)
    result = run(*command, *there)
    assert result.exit_code == 0, result.output
    result = run("link", tmp_path / "there", "-o", tmp_path / "linked", "--no-report")
    assert result.exit_code == 0, result.output
    for name in ("edges.csv", "tracks.csv", "review.csv"):
        expected = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "there" / name).read_bytes() == expected
        assert (tmp_path / "linked" / name).read_bytes() == expected


def test_workers_on_this_machine(masks, tracker):
    movie = open_movie(None, masks).first(40)
    same(tracker.track_movie(movie, dask="local:1"), tracker.track_movie(movie))


@pytest.fixture
def empty_cluster():
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        yield cluster


def test_a_cluster_without_workers_is_reported_once_and_awaited(
    empty_cluster, masks, tracker, monkeypatch
):
    monkeypatch.setattr(cluster_module, "PATIENCE_S", 0.1)
    told = []

    def send_a_worker(sentence):
        told.append(sentence)
        empty_cluster.scale(1)  # which takes much longer to start

    monkeypatch.setattr(cluster_module.logger, "warning", send_a_worker)
    movie = open_movie(None, masks).first(40)
    address = empty_cluster.scheduler_address
    same(tracker.track_movie(movie, dask=address), tracker.track_movie(movie))
    (sentence,) = told
    assert "has no worker" in sentence


def test_waiting_for_workers_ends_by_an_interrupt(empty_cluster, masks, tmp_path):
    out = ("-o", str(tmp_path / "out"), "--dask", empty_cluster.scheduler_address)
    command = ["track", "--masks", str(masks), "--device", "cpu", *out]
    # A job in the background ignores SIGINT, and so would the process.
    code = f"""
import signal
from trackastra_engine.association import cluster
from trackastra_engine.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
cluster.PATIENCE_S = 0.1
main({command})
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        said = next(line for line in process.stderr if "Dask" in line)
        process.send_signal(signal.SIGINT)
        try:
            assert process.communicate(timeout=60) == ("", "Stopped; no results were written.\n")
        finally:
            process.kill()  # or the end of the block waits for it
    assert said.startswith("Warning: the Dask cluster has no worker; the work continues when")
    assert process.returncode == 130
    assert not (tmp_path / "out").exists()


def test_a_lost_scheduler_is_reported_in_a_sentence(empty_cluster, masks, tracker):
    def close(stage, done, total):
        if stage == "associate" and done == 32:
            empty_cluster.close()

    empty_cluster.scale(1)
    address, movie = empty_cluster.scheduler_address, open_movie(None, masks)
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(InputError, match="connection to the Dask scheduler was lost"),
    ):
        tracker.track_movie(movie, dask=address, progress=close)


def test_work_that_kills_workers_is_reported_in_a_sentence(cluster, masks, tmp_path, monkeypatch):
    def die(_):
        raise distributed.KilledWorker("_measure", None, 3)

    monkeypatch.setattr(distributed.Future, "result", die)
    out = ("-o", tmp_path / "out", "--device", "cpu", "--dask", cluster.scheduler_address)
    assert "workers died of the same work" in error_of(tmp_path, "track", "--masks", masks, *out)


def test_a_damaged_file_is_reported_as_without_a_cluster(cluster, tmp_path):
    folder = write_folder(tmp_path / "masks", crowd(40, 8))
    file = folder / "t035.tif"
    file.write_bytes(file.read_bytes()[:-60])
    out = ("-o", tmp_path / "out", "--device", "cpu", "--dask", cluster.scheduler_address)
    assert "t035.tif is truncated" in error_of(tmp_path, "track", "--masks", folder, *out)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("local:0", "gives no number of workers"),
        ("local:many", "gives no number of workers"),
        ("tcp://127.0.0.1:9", "there is no Dask scheduler at tcp://127.0.0.1:9"),
        ("nowhere", "there is no Dask scheduler at nowhere"),
    ],
)
def test_addresses_where_no_cluster_is(masks, tmp_path, monkeypatch, address, sentence):
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    out = ("-o", tmp_path / "out", "--device", "cpu", "--dask", address)
    assert sentence in error_of(tmp_path, "track", "--masks", masks, *out)


def test_arrays_cannot_be_opened_by_workers(tracker):
    with pytest.raises(InputError, match="workers open a movie by path"):
        tracker.track_movie(open_movie(None, crowd(10, 5)), dask="local:1")
