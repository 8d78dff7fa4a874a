"""OME-Zarr of a web server and of S3: the same pixels, read ahead, over unstable connections."""

import inspect
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ome_zarrs import plain, write_image, write_labels, write_series
from small_movies import dividing_cell
from trackastra_engine.batch.positions import find_positions
from trackastra_engine.cli import main
from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.movie import remote
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.selection import Selection

IMAGES, MASKS = dividing_cell()
pytest.importorskip("obstore")


class Server(ThreadingHTTPServer):
    """Serves a folder; the next `drops` answers break off in the middle."""

    def __init__(self, folder):
        self.drops, self.asked, self.at_once, self.most = 0, [], 0, 0
        self.lock, self.together = threading.Lock(), threading.Event()
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    def handle_error(self, request, client_address):
        pass  # a client that is gone is part of the test

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        with server.lock:
            server.asked.append(self.path)
            server.at_once += 1
            server.most = max(server.most, server.at_once)
            if server.at_once > 1:
                server.together.set()
        try:
            path = Path(self.translate_path(self.path))
            is_pixels = path.is_file() and path.suffix != ".json"
            if is_pixels:
                server.together.wait(0.1)  # a busy machine may answer before the next question
            with server.lock:
                drops = is_pixels and server.drops > 0
                server.drops -= drops
            if drops:
                data = path.read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.connection.close()
                return
            super().do_GET()
        finally:
            with server.lock:
                server.at_once -= 1

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    server = Server(tmp_path / "served")
    server.folder = tmp_path / "served"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(remote, "WAITS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(remote, "TIMEOUT_S", 2)  # no log of the server that drops requests


def run(*arguments):
    # Before click 8.2, which the package traccuracy does not accept, both streams are one.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_image_and_its_labels_on_a_web_server(server, zarr_format):
    path = write_image(server.folder / "a.zarr", IMAGES[:, None], "tcyx", zarr_format=zarr_format)
    write_labels(path, "cells", MASKS, "tyx")
    address = f"{server.address}/a.zarr"
    movie, here = open_movie(address, address), open_movie(path, path)
    assert (movie.voxel_um, movie.frame_interval_s) == (here.voxel_um, here.frame_interval_s)
    for frame, known in zip(movie, here, strict=True):
        np.testing.assert_array_equal(frame.image, known.image)
        np.testing.assert_array_equal(frame.labels, known.labels)
    np.testing.assert_array_equal(next(movie.frames([4])).labels, MASKS[4])


def test_images_are_numbered_where_a_server_lists_nothing(server):
    write_series(server.folder / "a.zarr", [MASKS, MASKS + 1], "tyx")
    address = f"{server.address}/a.zarr"
    with pytest.raises(InputError, match="contains 2 images, 0, 1; choose one with"):
        open_movie(None, address)
    movie = open_movie(None, address, selection=Selection(position="1"))
    np.testing.assert_array_equal(next(iter(movie)).labels, MASKS[0] + 1)


@pytest.mark.parametrize("chunks", [(1, 40, 48), (3, 40, 48)])
def test_frames_are_read_ahead_at_a_time(server, chunks):
    plain(server.folder / "a.zarr", np.concatenate([MASKS] * 5), chunks=chunks)
    movie = open_movie(None, f"{server.address}/a.zarr")
    frames = iter(movie)
    np.testing.assert_array_equal(next(frames).labels, MASKS[0])
    remaining = [frame.labels for frame in frames]
    np.testing.assert_array_equal(remaining, np.concatenate([MASKS] * 5)[1:])
    pixels = [path for path in server.asked if "/c/" in path]
    assert len(pixels) == len(set(pixels)) == 30 // chunks[0]  # each chunk once
    assert server.most > 1


def test_dropped_connections_are_restored(server, quick):
    plain(server.folder / "a.zarr", MASKS, chunks=(1, 40, 48))
    movie = open_movie(None, f"{server.address}/a.zarr")
    server.drops = 3
    np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
    assert server.drops == 0


def test_a_lost_server_gives_one_sentence(server, quick):
    plain(server.folder / "a.zarr", MASKS, chunks=(1, 40, 48))
    address = f"{server.address}/a.zarr"
    movie = open_movie(None, address)
    server.drops = 1000
    with pytest.raises(InputError, match=r"a\.zarr .*frame 0 cannot be read"):
        next(iter(movie))
    with pytest.raises(InputError, match=r"there is no Zarr group or array at .*none\.zarr; check"):
        open_movie(None, f"{server.address}/none.zarr")


def test_an_address_without_a_server_gives_one_sentence(quick):
    with pytest.raises(InputError, match=r"127\.0\.0\.1:9/a\.zarr cannot be reached or is damaged"):
        open_movie(None, "http://127.0.0.1:9/a.zarr")


def test_missing_chunks_are_known(server, caplog):
    (plain(server.folder / "masks.zarr", MASKS, chunks=(1, 40, 48)) / "c/3/0/0").unlink()
    (plain(server.folder / "images.zarr", IMAGES, chunks=(1, 40, 48)) / "c/5/0/0").unlink()
    images, masks = (f"{server.address}/{name}.zarr" for name in ("images", "masks"))
    labels = [frame.labels for frame in open_movie(None, masks)]
    assert not labels[3].any()
    assert "masks.zarr has no data of frame 3" in caplog.text
    with pytest.raises(InputError, match=r"images\.zarr .*no data of frame 5"):
        list(open_movie(images, masks))


def test_the_command_tracks_an_address_and_reuses_its_cache(server, tmp_path):
    path = plain(server.folder / "a.zarr", MASKS, chunks=(1, 40, 48))
    address = f"{server.address}/a.zarr"
    command = ("track", "--masks", address, "--format", "csv", "--no-report", "--device", "cpu")
    done = run(*command, "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    here = run("track", "--masks", path, *command[3:], "-o", tmp_path / "here")
    assert here.exit_code == 0, here.stderr
    edges = [(tmp_path / name / "edges.csv").read_text() for name in ("out", "here")]
    assert edges[0] == edges[1]
    server.asked.clear()
    assert run(*command, "-o", tmp_path / "out", "--overwrite").exit_code == 0
    assert not [path for path in server.asked if "/c/" in path]  # all was cached
    masks = MASKS.copy()
    masks[5] = 0
    plain(server.folder / "b.zarr", masks, chunks=(1, 40, 48))
    (path / "c/5/0/0").unlink()
    again = run(*command, "-o", tmp_path / "out", "--overwrite")
    assert "has no data of frame 5" in again.stderr


def test_a_table_of_movies_may_have_addresses(tmp_path):
    (tmp_path / "movies.csv").write_text("name,masks\na,s3://bucket/a.zarr\n")
    assert find_positions(tmp_path / "movies.csv")[0].arguments[1] == "s3://bucket/a.zarr"
    with pytest.raises(
        InputError, match=r"a\.zarr is not on this machine, .* list them in a table"
    ):
        find_positions(Path("https://example.org/a.zarr"))


def test_users_in_addresses_are_rejected_without_repeating_them():
    with pytest.raises(InputError, match="contains a user or password") as raised:
        open_movie(None, "https://me:secret@host/a.zarr")
    assert "secret" not in str(raised.value)


def test_without_the_package_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(MissingDependencyError, match=r"install trackastra-engine\[remote\]"):
        open_movie(None, "https://host/a.zarr")


def test_addresses_are_recognised_in_every_form():
    assert remote.remote_address(Path("s3://bucket/a.zarr")) == "s3://bucket/a.zarr"
    assert remote.remote_address("HTTPS://host/a.zarr/") == "https://host/a.zarr"
    assert remote.remote_address("https:\\host\\a.zarr") == "https://host/a.zarr"  # of Windows
    assert remote.remote_address("C:/a.zarr") is None


# S3 ----------------------------------------------------------------------------------------------


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """Return a way to put a folder into a bucket of a local server like S3."""
    server_module = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "something",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="movies")

    def put(folder):
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"{folder.name}/{path.relative_to(folder).as_posix()}"
                client.put_object(Bucket="movies", Key=key, Body=path.read_bytes())
        return f"s3://movies/{folder.name}"

    yield put
    server.stop()


def test_an_image_and_its_labels_in_a_bucket(bucket, tmp_path):
    path = write_image(tmp_path / "a.zarr", IMAGES, "tyx")
    write_labels(path, "cells", MASKS, "tyx")
    address = bucket(path)
    movie = open_movie(address, address)
    for frame, image, mask in zip(movie, IMAGES, MASKS, strict=True):
        np.testing.assert_array_equal(frame.image, image)
        np.testing.assert_array_equal(frame.labels, mask)
    stamps = [movie.masks.stamp(index) for index in range(len(movie))]
    assert len(set(stamps)) == len(MASKS)


def test_a_missing_bucket_gives_one_sentence(bucket, quick):
    with pytest.raises(InputError, match=r"s3://nothing/a\.zarr"):
        open_movie(None, "s3://nothing/a.zarr")
