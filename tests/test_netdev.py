"""The host's end of the network card: libslirp, sockets, TAP, and the options that say which."""

import os
import random
import socket
import struct
import threading
from contextlib import closing
from ipaddress import IPv4Address, IPv4Network

import pytest

from rvemu import links, slirp
from rvemu.devices.virtio.net import DEFAULT_MAC
from rvemu.errors import RvemuError
from rvemu.links import StreamLink, TapLink
from rvemu.netdev import NetdevOptions, Network
from rvemu.slirp import Forward, Slirp, SlirpOptions
from tests.devices.virtio.guest_ip import HOST, NAMESERVER, Guest, Tcp


def has_slirp() -> bool:
    try:
        slirp._find_library()
    except RvemuError:
        return False
    return True


needs_slirp = pytest.mark.skipif(not has_slirp(), reason="libslirp is not installed")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# --- Options -------------------------------------------------------------------------------------


def test_user_options():
    parsed = NetdevOptions.parse(
        "user,id=n0,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::5353-10.0.2.20:53,restrict=on,"
        "hostname=guest,mtu=9000,mac=52:54:00:aa:bb:cc"
    )
    assert parsed.user == SlirpOptions(
        IPv4Network("10.0.2.0/24"),
        (
            Forward(False, IPv4Address("127.0.0.1"), 2222, IPv4Address("10.0.2.15"), 22),
            Forward(True, IPv4Address("127.0.0.1"), 5353, IPv4Address("10.0.2.20"), 53),
        ),
        True,
        "guest",
        9000,
    )
    assert parsed.mac == bytes.fromhex("525400aabbcc")
    assert parsed.mtu == 9000
    plain = NetdevOptions.parse("user")
    assert plain.user == SlirpOptions()
    assert plain.mac == DEFAULT_MAC
    assert NetdevOptions.parse("user", 1).mac != DEFAULT_MAC


def test_other_options():
    parsed = NetdevOptions.parse("stream,addr.type=unix,addr.path=a b")
    assert parsed.stream == "a b"
    parsed = NetdevOptions.parse("stream,addr.type=inet,addr.host=::1,addr.port=99,server=off")
    assert parsed.stream == ("::1", 99)
    assert NetdevOptions.parse("tap,ifname=tap7,script=no").tap == "tap7"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no network ''"),
        ("bridge", "there is no network 'bridge'"),
        ("user,hostfwd=2222-22", "hostfwd=2222-22 is not understood"),
        ("user,hostfwd=tcp::0-:22", "is not understood"),
        ("user,hostfwd=tcp::70000-:22", "is not understood"),
        ("user,hostfwd=tcp:1.2.3.400:22-:22", "is not understood"),
        ("user,net=10.0.2.1/24", "is no network"),
        ("user,net=10.0.2.0/30", "is too small"),
        ("user,mtu=90", "is not a number from 576"),
        ("user,mac=00:11:22", "is no address of a card"),
        ("user,mac=01:00:00:00:00:01", "is no address of a card"),
        ("user,smb=/", "no option 'smb'"),
        ("user,tftp=nowhere", "tftp=nowhere is no folder; tftp=FOLDER would do"),
        ("stream", "it says no address"),
        ("stream,addr.type=unix", "it says no address"),
        ("stream,addr.type=inet,addr.port=x", "is not a number"),
        ("stream,addr.type=unix,addr.path=x,server=on", "only the client's side"),
        ("tap,script=up.sh", "script is not supported"),
    ],
)
def test_bad_options(text, message):
    with pytest.raises(RvemuError, match=message) as caught:
        NetdevOptions.parse(text)
    assert "\n" not in str(caught.value)


# --- libslirp ------------------------------------------------------------------------------------


@pytest.fixture
def network():
    with closing(Slirp(SlirpOptions())) as made:
        yield made


@needs_slirp
def test_dhcp(network):
    address, file, options = Guest(network).discover()
    assert file == b""
    assert address == IPv4Address("10.0.2.15").packed
    assert b"\x03\x04" + HOST in options  # the router
    assert b"\x06\x04" + NAMESERVER in options


@needs_slirp
def test_a_file_to_boot(tmp_path):
    (tmp_path / "kernel").write_bytes(b"code")
    (tmp_path.parent / "secret").write_bytes(b"nobody's business")
    parsed = NetdevOptions.parse(f"user,tftp={tmp_path},bootfile=kernel")
    assert parsed.user is not None
    with closing(Slirp(parsed.user)) as network:
        guest = Guest(network)
        assert guest.discover()[1] == b"kernel"
        guest.arp(HOST)

        def answer(frame: bytes):
            mine = frame[23] == 17 and frame[36:38] == b"\x10\0"
            return frame[42:] if mine else None

        for name, opcode in (("kernel", 3), ("../secret", 5), ("missing", 5)):
            guest.udp(HOST, (4096, 69), b"\0\1" + name.encode() + b"\0octet\0")
            told = guest.wait(answer)
            assert told[1] == opcode
            assert (told[4:] == b"code") is (name == "kernel")


@needs_slirp
def test_a_connection_to_the_host(network):
    guest = Guest(network)
    guest.arp(HOST)
    data = random.Random(1).randbytes(300_000)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(100) == b"please"
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        connection = Tcp(guest, HOST, (40000, server.getsockname()[1])).connect()
        connection.send(b"please")
        assert connection.read(len(data)) == data
        thread.join()


@needs_slirp
def test_a_forwarded_port():
    port = free_port()
    forward = Forward(False, IPv4Address("127.0.0.1"), port, IPv4Address("10.0.2.15"), 80)
    with closing(Slirp(SlirpOptions(forwards=(forward,)))) as network:
        guest = Guest(network)
        guest.arp(HOST)
        guest.discover()
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            connection = Tcp.accept(guest, 80)
            client.sendall(b"GET /")
            assert connection.read(5) == b"GET /"
            connection.send(b"hello")
            guest.wait(len)
            assert client.recv(10) == b"hello"


@needs_slirp
def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(RvemuError, match=rf"127\.0\.0\.1:{port} for hostfwd: Address already"):
            Network(NetdevOptions.parse(f"user,hostfwd=tcp::{port}-:22"))


@needs_slirp
def test_a_restricted_network_reaches_nothing():
    with closing(Slirp(SlirpOptions(restricted=True))) as network:
        guest = Guest(network)
        guest.arp(HOST)
        with socket.create_server(("127.0.0.1", 0)) as server:
            connection = Tcp(guest, HOST, (40000, server.getsockname()[1]))
            with pytest.raises(AssertionError, match="nothing came"):
                guest.wait = lambda wanted, wait=guest.wait: wait(wanted, 0.2)
                connection.connect()


@needs_slirp
def test_garbage_from_the_guest(network):
    chance = random.Random(2)
    guest = Guest(network)
    mac = guest.arp(HOST)
    for n in range(2000):
        start = mac + DEFAULT_MAC + chance.choice([b"\x08\0", b"\x08\x06", b"\x86\xdd"])
        body = bytearray(chance.randbytes(chance.randrange(1600)))
        if n % 2 and body:
            body[0] = 0x45
        network.send(start + bytes(body))
        network.poll()
    while network.receive() is not None:
        pass
    assert guest.arp(HOST) == mac


@needs_slirp
def test_frames_do_not_pile_up(network):
    guest = Guest(network)
    guest.arp(HOST)
    for _ in range(slirp._MAX_WAITING + 10):
        guest.ethernet(0x0806, struct.pack(">HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, DEFAULT_MAC,
                       bytes(4), bytes(6), HOST), b"\xff" * 6)  # fmt: skip
    assert network.dropped == 10


def test_without_the_library(monkeypatch):
    slirp._find_library.cache_clear()
    monkeypatch.setattr(slirp, "_NAMES", ("libnosuchslirp.so.0",))
    monkeypatch.setattr(slirp, "_SONAME", "nosuchslirp")
    with pytest.raises(RvemuError, match="libslirp0 in Debian"):
        Slirp(SlirpOptions())
    monkeypatch.undo()
    slirp._find_library.cache_clear()


# --- Sockets -------------------------------------------------------------------------------------


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    link = StreamLink(ours)
    with theirs:
        yield link, theirs
    link.close()


def test_frames_over_a_stream(pair):
    link, peer = pair
    link.send(b"x" * 60)
    assert peer.recv(100) == struct.pack(">I", 60) + b"x" * 60
    peer.sendall(struct.pack(">I", 3) + b"abc" + struct.pack(">I", 5) + b"de")
    link.poll()
    assert link.receive() == b"abc"
    assert link.receive() is None
    peer.sendall(b"fgh")
    link.poll()
    assert link.receive() == b"defgh"


def test_a_stream_that_is_slow(pair):
    link, peer = pair
    frame = bytes(60_000)
    for _ in range(200):
        link.send(frame)
    sent = bytearray()
    peer.settimeout(0.2)
    try:
        while True:
            sent += peer.recv(1 << 20)
            link.poll()
    except TimeoutError:
        pass
    # What was sent are whole frames.
    assert len(sent) % (len(frame) + 4) == 0
    assert len(sent) // (len(frame) + 4) in range(10, 200)
    link.send(b"y" * 20)
    assert peer.recv(100) == struct.pack(">I", 20) + b"y" * 20


def test_a_stream_that_ends(pair):
    link, peer = pair
    peer.close()
    link.poll()
    assert link.connection is None
    assert link.descriptors() == ()
    link.send(bytes(60))
    link.poll()


def test_a_stream_that_makes_no_sense(pair):
    link, peer = pair
    peer.sendall(b"\xff" * 8)
    link.poll()
    assert link.connection is None


def test_a_guest_that_takes_nothing_stops_the_stream(pair):
    link, peer = pair
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        for _ in range(1_000_000):
            peer.send((struct.pack(">I", 1000) + bytes(1000)) * 10)
            link.poll()
    assert not any(events & links.READABLE for _, events in link.descriptors())


def test_connect_to_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RvemuError, match="no connection to s: No such file"):
        Network(NetdevOptions.parse("stream,addr.type=unix,addr.path=s"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        server.listen()
        network = Network(NetdevOptions.parse("stream,addr.type=unix,addr.path=s"))
        connection, _ = server.accept()
        with connection:
            network.device.backend.send(bytes(60))
            assert len(connection.recv(100)) == 64
        network.close()


def test_connect_to_a_port():
    with pytest.raises(RvemuError, match=r"no connection to 127\.0\.0\.1:\d+: Connection refused"):
        StreamLink.connect(("127.0.0.1", free_port()))


# --- TAP -----------------------------------------------------------------------------------------


def test_tap():
    try:
        link = TapLink("rvemutest%d")
    except RvemuError as error:
        assert "\n" not in str(error)
        assert any(word in str(error) for word in ("permits it", "no TAP", "rvemutest"))
        return
    link.send(bytes(60))
    link.poll()
    assert link.receive() is None
    assert link.descriptors()
    link.close()


def test_tap_names():
    with pytest.raises(RvemuError, match=r"no name of an interface|no TAP"):
        TapLink("x" * 16)


def test_a_tap_that_may_not_be_used(monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(1, os.strerror(1))

    monkeypatch.setattr(links.os, "open", refuse)
    with pytest.raises(RvemuError, match=r"ip tuntap add tap9 mode tap|no TAP"):
        TapLink("tap9")
