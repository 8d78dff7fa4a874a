"""Clients of `trackastra-engine serve`, in Python and C, on sockets and pipes."""

import io
import shutil
import socket
import stat
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import trackastra_engine.serving
from test_conversation import MASK, request
from test_session import random_tracker
from trackastra_engine import InputError, Tracker
from trackastra_engine.cli import main
from trackastra_engine.online import Session
from trackastra_engine.serving import Limits, listen, serve_sockets, server
from trackastra_engine.serving.examples.client import Client
from trackastra_engine.serving.messages import LostStreamError, read_message
from trackastra_engine.serving.streams import PipeStream, SocketStream
from trackastra_engine.simulation import Division, SimulationParameters, render

EXAMPLES = Path(trackastra_engine.serving.__file__).parent / "examples"
SERVE = (sys.executable, "-m", "trackastra_engine", "serve", "--device", "cpu", "--listen")
TERMINATED = 143
TOLD = """\
frame 0: 1 in track 1, 2 in track 2
frame 1: 1 in track 1, 2 in track 2
frame 2: 1 in track 1, 2 in track 2
frame 3: 1 in track 1, 3 in track 8, 4 in track 9
track 2 divided into 8 and 9
tracklet 1: frames 0 to 3, parent 0
tracklet 2: frames 0 to 2, parent 0
tracklet 3: frames 3 to 3, parent 2
tracklet 4: frames 3 to 3, parent 2
"""


@pytest.fixture(scope="module")
def port():
    """The port of a server that ends on request, without output."""
    with subprocess.Popen(
        [*SERVE, "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield int(process.stdout.readline().rpartition(":")[2])
        process.terminate()
        assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == TERMINATED


@contextmanager
def server_of_this_process(address, tracker=None):
    """Give a listener; at the end, no thread of the server is left."""
    listener, before = listen(address), threading.active_count()

    def run():
        with pytest.raises(OSError, match="Invalid argument"):  # of a socket that was shut down
            serve_sockets(listener, lambda: Session(tracker or random_tracker()), Limits())

    thread = threading.Thread(target=run)
    thread.start()
    with closing(listener):
        yield listener
        listener.socket.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert threading.active_count() == before


def port_of(listener):
    return int(listener.name.rpartition(":")[2])


def test_the_example_in_python_prints_tracks(port):
    program = (sys.executable, EXAMPLES / "client.py", str(port))
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert done.stdout.partition("\n")[2] == TOLD
    code = "import sys; import client; print(*sys.modules)"
    done = subprocess.run(
        (sys.executable, "-c", code), capture_output=True, text=True, cwd=EXAMPLES
    )
    assert "trackastra" not in done.stdout


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_the_example_in_c_prints_tracks(port, tmp_path):
    warnings = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
    subprocess.run(("gcc", *warnings, "-o", tmp_path / "client", EXAMPLES / "client.c"), check=True)
    done = subprocess.run(
        (tmp_path / "client", str(port)), capture_output=True, text=True, check=True
    )
    assert done.stdout == TOLD


def test_served_tracks_are_those_of_a_session_and_of_the_whole_movie(port):
    cells = SimulationParameters(n_frames=8, n_cells=25, division=Division(cycle_frames=12.0))
    movie = render(cells, seed=2)
    tracker = Tracker.load(device="cpu")
    session, client = Session(tracker), Client(port=port)
    for image, mask in zip(movie.images, movie.masks, strict=True):
        update = session.push(image, mask)
        reply = client.ask("push", {"image": image, "mask": mask})
        for group in ("objects", "links", "divisions", "removed_links", "renamed"):
            for column in getattr(update, group).__slots__:
                np.testing.assert_array_equal(
                    reply[f"{group}.{column}"], getattr(getattr(update, group), column)
                )
    served = client.ask("finish", {})
    client.close()
    for lineage in (session.finish(), tracker.track(movie.images, movie.masks)):
        source = lineage.detections.rows(lineage.edges.source)
        target = lineage.detections.rows(lineage.edges.target)
        np.testing.assert_array_equal(served["tracklets"], lineage.tracklets)
        np.testing.assert_array_equal(served["links.source_frame"], source.frame)
        np.testing.assert_array_equal(served["links.source_label"], source.label)
        np.testing.assert_array_equal(served["links.target_label"], target.label)
        np.testing.assert_array_equal(served["links.score"], lineage.edges.score)
    assert lineage.n_divisions > 3


def test_the_example_in_python_sends_pixels_in_any_byte_order(port):
    """As ImageJ writes them: big-endian, of which only the name of the type is sent."""
    with closing(Client(port=port)) as client:
        reply = client.ask("push", {"image": MASK.astype(">f4"), "mask": MASK.astype(">u2")})
    np.testing.assert_array_equal(reply["objects.label"], np.unique(MASK))


def test_clients_are_independent_and_survive_errors():
    with server_of_this_process("127.0.0.1:0") as listener:
        first, second = Client(port=port_of(listener)), Client(port=port_of(listener))
        assert first.ask("push", {"mask": MASK})["frame"] == 0
        with pytest.raises(RuntimeError, match="field of view 0 has no frames"):
            second.ask("finish", {})
        with pytest.raises(RuntimeError, match=r"contains 1\.5, which is no label"):
            first.ask("push", {"mask": MASK + 0.5})
        assert first.ask("push", {"mask": MASK})["frame"] == 1
        first.close()
        assert second.ask("push", {"mask": MASK})["frame"] == 0
    with pytest.raises(ConnectionError):
        second.ask("hello", {})


def test_too_many_clients_are_rejected(monkeypatch):
    monkeypatch.setattr(server, "MAX_CLIENTS", 1)
    with server_of_this_process("127.0.0.1:0") as listener:
        first = Client(port=port_of(listener))
        first.ask("hello", {})
        with pytest.raises(RuntimeError, match="there are 1 clients already"):
            Client(port=port_of(listener)).ask("hello", {})
        first.ask("bye", {})
        for thread in threading.enumerate():
            if thread.name == "client":
                thread.join()
        assert Client(port=port_of(listener)).ask("hello", {})["protocol"] == 1


def test_a_lost_machine_is_noticed_though_clients_may_be_silent(monkeypatch):
    told = []

    def converse(stream, *_):
        told.append(stream._socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))

    monkeypatch.setattr(server, "converse", converse)
    with server_of_this_process("127.0.0.1:0") as listener:
        place = ("127.0.0.1", port_of(listener))
        with socket.create_connection(place) as client:
            assert client.recv(1) == b""
    assert told != [0]
    assert len(told) == 1


def test_a_unix_socket_is_for_its_user_and_leaves_no_file(tmp_path):
    path = tmp_path / "engine"
    with server_of_this_process(f"unix:{path}"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(InputError, match="cannot listen at"):
            listen(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(request("hello"))
            stream = SocketStream(client)
            assert read_message(stream, Limits()).header["model"] == "random"
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    listen(f"unix:{path}").close()
    path.write_text("mine")
    with pytest.raises(InputError, match="is a file; give"):
        listen(f"unix:{path}")


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("0.0.0.0:0", "pass --allow-network"),
        ("[::]:0", "pass --allow-network"),
        ("localhost", "'localhost' is not an address; give HOST:PORT"),
        (":80", "is not an address"),
        ("127.0.0.1:70000", "is not an address"),
    ],
)
def test_other_addresses_are_rejected(address, sentence):
    done = CliRunner().invoke(main, ["serve", "--device", "cpu", "--listen", address])
    assert done.exit_code == 2
    assert sentence in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--voxel", "small"), "the voxel size is 'small'"),
        (("--voxel", "2,1,1"), "but the movie is 2D"),
        (("--max-distance", "9um"), "voxel"),
        (("--delay", "9"), "the delay is 9 frames; give 0 to 2"),
    ],
)
def test_options_that_do_not_fit_end_the_server_before_it_listens(options, sentence):
    done = CliRunner().invoke(
        main, ["serve", "--device", "cpu", "--listen", "127.0.0.1:0", *options]
    )
    assert done.exit_code == 2
    assert sentence in done.output
    assert "Listening" not in done.output


def test_the_network_is_served_on_request():
    listen("0.0.0.0:0", allow_network=True).close()


def test_an_address_in_use_is_rejected():
    listener = listen("127.0.0.1:0")
    with pytest.raises(InputError, match="cannot listen at"):
        listen(listener.name)
    listener.close()


def test_pipes_carry_only_replies():
    messages = [request("hello"), *[request("push", {"mask": MASK})] * 2, request("finish")]
    done = subprocess.run((*SERVE, "stdio"), input=b"".join(messages), capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    stream = PipeStream(io.BytesIO(done.stdout), io.BytesIO())
    replies = list(iter(lambda: read_message(stream, Limits(arrays=99)), None))
    assert [reply.header["type"] for reply in replies] == ["hello", "update", "update", "tracks"]
    assert replies[3].arrays["tracklets"].tolist() == [[n, 0, 1, 0] for n in (1, 2, 3, 4)]


def test_a_message_that_stops_ends_the_connection():
    client, served = socket.socketpair()
    with client, served:
        stream = SocketStream(served, timeout_s=0.05)
        client.sendall(request("hello")[:10])
        with pytest.raises(LostStreamError, match="did not arrive within"):
            read_message(stream, Limits())
        with pytest.raises(LostStreamError, match="does not read a reply"):
            stream.send(bytes(10**8))
