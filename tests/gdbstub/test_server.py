"""Addresses, listening, and clients that behave badly: over real sockets on loopback."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gdbstub import EndpointError, Output, Server, Status
from gdbstub.endpoint import Stdio, Tcp, Unix, parse
from gdbstub.packet import frame
from tests.gdbstub.fake import CODE, PC, FakeTarget, ThreadId

ONE = ThreadId(1, 1)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        (":1234", Tcp("127.0.0.1", 1234)),
        ("1234", Tcp("127.0.0.1", 1234)),
        ("tcp::1234", Tcp("127.0.0.1", 1234)),
        ("tcp:0.0.0.0:1", Tcp("0.0.0.0", 1)),
        ("localhost:0", Tcp("localhost", 0)),
        ("[::1]:55", Tcp("::1", 55)),
        ("unix:/tmp/a b", Unix("/tmp/a b")),
        ("-", Stdio()),
    ],
)
def test_parse(text: str, endpoint: object) -> None:
    assert parse(text) == endpoint


@pytest.mark.parametrize(
    "text", ["", "unix:", "host", "host:", ":70000", ":-1", "a:b", ":1²", "x:" + "9" * 5000]
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(EndpointError):
        parse(text)


def test_text_of_endpoints() -> None:
    assert str(Tcp("::1", 5)) == "[::1]:5"
    assert str(Tcp("127.0.0.1", 5)) == "127.0.0.1:5"
    assert str(Unix("/x")) == "unix:/x"


@pytest.fixture
def target() -> FakeTarget:
    return FakeTarget()


@pytest.fixture
def server(target: FakeTarget) -> Iterator[Server]:
    with Server(target, ":0") as server:
        yield server


def connect(server: Server) -> socket.socket:
    assert isinstance(server.address, Tcp)
    return socket.create_connection((server.address.host, server.address.port), timeout=5)


def pump(server: Server, until: float = 0.2) -> None:
    """Lets the server do what it has to, without a guest."""
    end = time.monotonic() + until
    while time.monotonic() < end:
        server.poll(0.01)


def exchange(server: Server, client: socket.socket, packet: bytes) -> bytes:
    """One packet and what comes back, up to the end of a reply."""
    client.sendall(frame(packet))
    received = b""
    client.setblocking(False)
    for _ in range(500):
        server.poll(0.01)
        try:
            received += client.recv(1 << 20)
        except BlockingIOError:
            continue
        if received[-3:-2] == b"#":
            return received
    raise AssertionError(f"no reply to {packet!r}: {received!r}")


def test_loopback_by_default(server: Server) -> None:
    assert isinstance(server.address, Tcp)
    assert server.address.host == "127.0.0.1"
    assert server.address.port > 0


def test_port_in_use(server: Server, target: FakeTarget) -> None:
    with pytest.raises(EndpointError, match="already in use"):
        Server(target, server.address)


def test_address_that_is_not_ours(target: FakeTarget) -> None:
    with pytest.raises(EndpointError, match=r"192\.0\.2\.1:4"):
        Server(target, "192.0.2.1:4")


def test_session_over_tcp(server: Server, target: FakeTarget) -> None:
    assert server.running and not server.attached
    with connect(server) as client:
        assert exchange(server, client, b"qC") == b"+$QC1#c5"
        assert server.attached and not server.running
        client.sendall(b"+" + frame(b"vCont;c"))
        pump(server)
        assert server.running and target.running() == [ONE]
        client.sendall(b"\x03")
        pump(server)
        assert not server.running
        assert exchange(server, client, b"D").endswith(b"$OK#9a")
        assert not server.attached and server.running
        assert server.status is Status.DETACHED
    with connect(server) as client:
        assert exchange(server, client, b"qC") == b"+$QC1#c5"


@pytest.mark.parametrize("policy", ["continue", "stop", "kill"])
def test_vanishing_client(target: FakeTarget, policy: str) -> None:
    with Server(target, ":0", on_loss=policy) as server:  # type: ignore[arg-type]
        with connect(server) as client:
            exchange(server, client, b"Z0,80000004,4")
        pump(server)
        assert server.status is Status.LOST
        assert not target.breaks.points
        assert server.running == (policy == "continue")
        assert bool(target.running()) == (policy == "continue")
        assert server.finished == (policy == "kill")


@pytest.mark.parametrize("policy", ["continue", "stop", "kill"])
def test_client_that_goes_after_it_has_detached(target: FakeTarget, policy: str) -> None:
    with Server(target, ":0", on_loss=policy) as server:  # type: ignore[arg-type]
        with connect(server) as client:
            exchange(server, client, b"!")
            exchange(server, client, b"D")
            assert server.attached and server.running and server.processes == []
        pump(server)
        assert not server.attached and server.running and target.running() == [ONE]
        assert not server.finished


def test_client_that_comes_back_at_once(server: Server) -> None:
    """Its new connection is there before the end of the old one has been seen."""
    first = connect(server)
    exchange(server, first, b"qC")
    first.sendall(b"+" + frame(b"qC"))
    first.close()
    with connect(server) as second:
        assert exchange(server, second, b"qC").endswith(b"$QC1#c5")


def test_waiting_for_the_first_client(target: FakeTarget) -> None:
    with Server(target, ":0", wait=True) as server:
        assert not server.running
        with connect(server) as client:
            exchange(server, client, b"D")
            assert server.running


@pytest.mark.parametrize("policy", ["continue", "kill"])
def test_what_is_no_debugger_leaves_all_as_it_was(target: FakeTarget, policy: str) -> None:
    """Another server may look in this way whether a place is taken."""
    for wait in (True, False):
        with Server(target, ":0", wait=wait, on_loss=policy) as server:  # type: ignore[arg-type]
            connect(server).close()
            pump(server)
            assert server.status is Status.LOST
            assert server.running != wait and not server.finished
            with connect(server) as client:
                exchange(server, client, b"D")
            assert server.running


def test_second_client_is_refused(server: Server) -> None:
    with connect(server) as first:
        exchange(server, first, b"qC")
        with connect(server) as second:
            second.sendall(b"+$qSupported#37")
            pump(server)
            refusal = b""
            while data := second.recv(1000):
                refusal += data
            assert refusal == b"+" + frame(b"E.another debugger is connected")
        assert exchange(server, first, b"qC").endswith(b"$QC1#c5")


def open_descriptors() -> int:
    """How many there are, where the system tells; otherwise 0."""
    directory = Path("/proc/self/fd")
    return len(list(directory.iterdir())) if directory.exists() else 0


def test_many_refused_clients_leave_nothing_open(server: Server) -> None:
    with connect(server) as first:
        exchange(server, first, b"qC")
        before = open_descriptors()
        others = []
        for _ in range(20):
            others.append(connect(server))
            server.poll(0.1)
        for other in others:
            other.close()
        pump(server, 1.2)
        assert open_descriptors() == before


def test_client_that_stops_reading(target: FakeTarget) -> None:
    with Server(target, ":0", output_limit=4 << 20) as server, connect(server) as client:
        exchange(server, client, b"QStartNoAckMode")
        exchange_all = frame(b"m%x,10000" % CODE) * 5000
        target.memory[1][:] = os.urandom(len(target.memory[1]))
        client.setblocking(False)
        sent = 0
        begun = time.monotonic()
        for _ in range(100):
            with contextlib.suppress(BlockingIOError):
                sent += client.send(exchange_all[sent : sent + 4096])
            turn = time.monotonic()
            server.poll(0)
            assert time.monotonic() - turn < 0.5, "the guest had to wait"
        assert time.monotonic() - begun < 5
        assert server.attached, "what it asked for itself does not drop a client"
        assert len(server._channel.pending) < 4 << 20  # type: ignore[union-attr]


def test_client_that_lets_output_pile_up_is_dropped(target: FakeTarget) -> None:
    with Server(target, ":0", output_limit=1 << 20) as server, connect(server) as client:
        exchange(server, client, b"QStartNoAckMode")
        client.sendall(b"+" + frame(b"vCont;c"))
        pump(server)
        for _ in range(1000):
            server.report(Output(b"x" * 10_000))
            if not server.attached:
                break
        assert server.status is Status.LOST
        assert server.running


def test_unix_socket(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    with Server(target, f"unix:{path}") as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert exchange(server, client, b"qC") == b"+$QC1#c5"
        with pytest.raises(EndpointError, match="in use"):
            Server(target, f"unix:{path}")
    assert not path.exists()


def test_stale_unix_socket_is_replaced(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "gdb"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with Server(target, f"unix:{path}"):
        assert path.is_socket()


def test_other_files_are_not_replaced(target: FakeTarget, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(EndpointError, match="no socket"):
        Server(target, f"unix:{path}")
    assert path.read_text() == "data"
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(EndpointError, match="no socket"):
        Server(target, f"unix:{tmp_path / 'link'}")
    with pytest.raises(EndpointError):
        Server(target, f"unix:{tmp_path / 'no' / 'such'}")


def test_serve_until_killed(server: Server, target: FakeTarget) -> None:
    thread = threading.Thread(target=server.serve, args=(target.run_slice,), daemon=True)
    thread.start()
    with connect(server) as client:
        client.sendall(frame(b"QStartNoAckMode"))
        assert client.recv(100) == b"+$OK#9a"
        client.sendall(b"+" + frame(b"Z0,%x,4" % (CODE + 8)))
        assert client.recv(100) == b"$OK#9a"
        client.sendall(frame(b"vCont;c"))
        assert b"T05" in client.recv(100)
        assert target.harts[ONE].x[PC] == CODE + 8
        client.sendall(frame(b"k"))
        assert client.recv(100) == b""
    thread.join(5)
    assert not thread.is_alive()
    assert server.finished


def test_serve_tells_of_the_end(server: Server, target: FakeTarget) -> None:
    target.harts[ONE].x[10] = 3
    target.harts[ONE].x[PC] = CODE + 20
    thread = threading.Thread(target=server.serve, args=(target.run_slice,), daemon=True)
    with connect(server) as client:
        server.poll(1)
        thread.start()
        client.sendall(frame(b"vCont;c"))
        assert client.recv(100) in (b"+", b"+$W03#ba")
    thread.join(5)
    assert not thread.is_alive()


def test_standard_input_and_output() -> None:
    program = (
        "import sys; sys.path.insert(0, '.')\n"
        "from gdbstub import Server; from tests.gdbstub.fake import FakeTarget\n"
        "t = FakeTarget(); s = Server(t, '-'); s.serve(t.run_slice); s.close()\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=frame(b"qC") + b"+" + frame(b"D"),
        capture_output=True,
        timeout=20,
        cwd=root,
        check=True,
    )
    assert done.stdout == b"+$QC1#c5+$OK#9a"
    assert done.stderr == b""
