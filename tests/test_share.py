"""The 9P server, with a client that asks by hand."""

import errno
import os
import socket
import struct
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu import share as module
from rvemu.devices.virtio.p9 import MAX_MESSAGE, P9
from rvemu.errors import RvemuError
from rvemu.share import MAX_DEPTH, Share
from tests.devices.virtio.driver import BUFFERS, WRITE, Driver

pytestmark = pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="only Linux shares folders")

STATFS, OPEN, READLINK, GETATTR, READDIR, FSYNC = 8, 12, 22, 24, 40, 50
VERSION, ATTACH, FLUSH, WALK, READ, CLUNK, REMOVE = 100, 104, 108, 110, 116, 120, 122
ROOM = 8192


class Refused(Exception):  # noqa: N818
    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, number))
        self.number = number


class Client:
    """Speaks the protocol. Files have small numbers; the folder's is 0."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self.ask(VERSION, struct.pack("<IH8s", ROOM, 8, b"9P2000.L"))
        self.ask(ATTACH, struct.pack("<IIHHI", 0, 0xFFFF_FFFF, 0, 0, 0))

    def ask(self, kind: int, body: bytes, room: int = ROOM) -> bytes:
        message = struct.pack("<IBH", 7 + len(body), kind, 77) + body
        answer = self.share.answer(message, room)
        size, answered, tag = struct.unpack_from("<IBH", answer)
        assert (size, tag) == (len(answer), 77)
        assert size <= room
        if answered == 7:
            raise Refused(struct.unpack("<I", answer[7:])[0])
        assert answered == kind + 1
        return answer[7:]

    def walk(self, new: int, *names: str, fid: int = 0) -> int:
        """Have `new` be the file of these names; how many of them there are."""
        texts = [name.encode() for name in names]
        body = struct.pack("<IIH", fid, new, len(texts))
        body += b"".join(struct.pack("<H", len(text)) + text for text in texts)
        return struct.unpack_from("<H", self.ask(WALK, body))[0]

    def open(self, fid: int, flags: int = 0) -> None:
        self.ask(OPEN, struct.pack("<II", fid, flags))

    def read(self, fid: int, offset: int = 0, count: int = 100_000) -> bytes:
        answer = self.ask(READ, struct.pack("<IQI", fid, offset, count))
        assert struct.unpack_from("<I", answer)[0] == len(answer) - 4
        return answer[4:]

    def list(self, fid: int, count: int = 100_000) -> list[str]:
        names, offset = [], 0
        while True:
            data = self.ask(READDIR, struct.pack("<IQI", fid, offset, count))[4:]
            if not data:
                return names
            while data:
                offset, _, length = struct.unpack_from("<QBH", data, 13)
                names.append(data[24 : 24 + length].decode())
                data = data[24 + length :]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("nobody's business")
    shared = tmp_path / "shared"
    (shared / "sub").mkdir(parents=True)
    (shared / "hello").write_text("hello, guest")
    (shared / "sub" / "deep").write_bytes(bytes(range(256)) * 100)
    (shared / "link").symlink_to("hello")
    (shared / "out").symlink_to(tmp_path / "secret")
    (shared / "up").symlink_to("..")
    os.mkfifo(shared / "fifo")
    return shared


@pytest.fixture
def share(folder: Path):
    with closing(Share(str(folder))) as made:
        yield made


@pytest.fixture
def client(share: Share) -> Client:
    return Client(share)


def refused(number: int):
    return pytest.raises(Refused, match=errno.errorcode[number])


def test_a_file_is_read(client):
    assert client.walk(1, "hello") == 1
    client.open(1)
    assert client.read(1) == b"hello, guest"
    assert client.read(1, 7, 3) == b"gue"
    assert client.read(1, 1 << 63) == b""
    client.walk(2, "sub", "deep")
    client.open(2)
    data = client.read(2)
    assert len(data) == ROOM - 11
    assert data == (bytes(range(256)) * 100)[: ROOM - 11]


def test_attributes(client, folder):
    client.walk(1, "hello")
    answer = client.ask(GETATTR, struct.pack("<IQ", 1, 0x7FF))
    valid, kind, _, _, mode = struct.unpack_from("<QBIQI", answer)
    size = struct.unpack_from("<Q", answer, 8 + 13 + 12 + 16)[0]
    assert (valid, kind, mode, size) == (0x7FF, 0, (folder / "hello").stat().st_mode, 12)
    assert len(answer) == 8 + 13 + 12 + 40 + 64 + 16


def test_folders_are_listed(client):
    client.walk(1)
    client.open(1)
    expected = [".", "..", "fifo", "hello", "link", "out", "sub", "up"]
    assert client.list(1) == expected
    assert client.list(1, 60) == expected


def test_links_are_for_the_guest_to_follow(client):
    client.walk(1, "link")
    assert client.ask(READLINK, struct.pack("<I", 1)) == b"\5\0hello"
    with refused(errno.EACCES):
        client.open(1)
    with refused(errno.EINVAL):
        client.ask(READLINK, struct.pack("<I", 0))


def test_nothing_outside_can_be_reached(client):
    assert client.walk(1, "..", "..", "hello") == 3  # above the folder is the folder
    assert client.walk(2, "up", "secret") == 1  # as far as it goes, which makes no file
    with refused(errno.EBADF):
        client.open(2)
    client.walk(3, "out")
    with refused(errno.EACCES):
        client.open(3)
    for name in ("/etc/passwd", "../secret", "sub/deep", "", ".", "a\0b"):
        with refused(errno.EINVAL):
            client.walk(4, name)


def test_a_folder_that_becomes_a_link(client, folder):
    client.walk(1, "sub", "deep")
    (folder / "sub").rename(folder / "old")
    (folder / "sub").symlink_to("old")
    with refused(errno.ENOTDIR):
        client.open(1)


def test_a_fifo_does_not_block(client):
    client.walk(1, "fifo")
    with refused(errno.EACCES):
        client.open(1)


@pytest.mark.parametrize("kind", [14, 16, 18, 20, 26, 32, 70, 72, 74, 76, 118])
def test_nothing_can_be_changed(client, kind):
    with refused(errno.EROFS):
        client.ask(kind, bytes(64))


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_TRUNC])
def test_nothing_can_be_opened_to_be_changed(client, folder, flags):
    client.walk(1, "hello")
    with refused(errno.EROFS):
        client.open(1, flags)
    assert (folder / "hello").read_text() == "hello, guest"


def test_files_are_forgotten(client):
    client.walk(1, "hello")
    client.ask(CLUNK, struct.pack("<I", 1))
    with refused(errno.EBADF):
        client.open(1)
    client.walk(1, "hello")
    with refused(errno.EROFS):
        client.ask(REMOVE, struct.pack("<I", 1))
    with refused(errno.EBADF):
        client.open(1)


def test_a_file_may_not_be_held_twice(client):
    client.walk(1, "hello")
    with refused(errno.EBADF):
        client.walk(1, "sub")
    assert client.walk(0, "sub", fid=0) == 1  # but it may be replaced
    assert client.walk(2, "deep", fid=0) == 1


def test_limits(client, monkeypatch):
    monkeypatch.setattr(module, "MAX_FIDS", 4)
    for n in range(1, 4):
        client.walk(n)
    with refused(errno.EMFILE):
        client.walk(4)
    monkeypatch.setattr(module, "MAX_OPEN", 1)
    client.open(1)
    with refused(errno.EMFILE):
        client.open(2)
    with refused(errno.EBADF):
        client.open(1)
    with refused(errno.EINVAL):
        client.walk(5, *["sub"] * 17)


def test_depth(client, folder):
    below = folder
    for _ in range(MAX_DEPTH):
        below /= "d"
        below.mkdir()
    (below / "end").touch()
    for _ in range(MAX_DEPTH // 16):
        assert client.walk(0, *["d"] * 16) == 16
    with refused(errno.ENAMETOOLONG):
        client.walk(1, "end")


def test_the_rest(client, share):
    assert len(client.ask(STATFS, struct.pack("<I", 0))) == 60
    assert client.ask(FLUSH, struct.pack("<H", 5)) == b""
    assert client.ask(FSYNC, struct.pack("<I", 0)) == b""
    with refused(errno.EOPNOTSUPP):
        client.ask(30, bytes(64))
    with refused(errno.EPROTO):
        client.ask(WALK, b"\0")
    with refused(errno.ENOENT):
        client.walk(1, "missing")
    answer = client.ask(VERSION, struct.pack("<IH3s", 1 << 30, 3, b"9P1"))
    assert answer == struct.pack("<IH7s", module.MAX_MESSAGE, 7, b"unknown")
    with refused(errno.EMSGSIZE):
        client.ask(VERSION, struct.pack("<IH8s", 100, 8, b"9P2000.L"))
    with refused(errno.EBADF):
        client.open(0)  # a new session holds nothing
    assert share.answer(b"", 11)[4] == 7


def test_an_answer_that_does_not_fit(client):
    with refused(errno.EMSGSIZE):
        client.ask(STATFS, struct.pack("<I", 0), room=20)


def test_folders_that_cannot_be_shared(tmp_path):
    with pytest.raises(RvemuError, match="No such file"):
        Share(str(tmp_path / "missing"))
    (tmp_path / "file").touch()
    with pytest.raises(RvemuError, match="Not a directory"):
        Share(str(tmp_path / "file"))


def test_descriptors_are_given_back(folder):
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    share = Share(str(folder))
    client = Client(share)
    for n in range(1, 50):
        client.walk(n, "sub", "deep")
        client.open(n)
    with pytest.raises(Refused):
        client.walk(99, "missing")
    share.close()
    assert count() == before


def test_over_virtio(share):
    driver = Driver(P9(share, "share0"))
    assert driver.transport.read(0x100, 2) == 6
    assert driver.transport.read(0x102, 8).to_bytes(8, "little") == b"share0\0\0"
    ring = driver.start(features=driver.offered()).rings[0]
    message = struct.pack("<IBHIH8s", 21, VERSION, 0xFFFF, ROOM, 8, b"9P2000.L")
    driver.ram.write(BUFFERS, message)
    ring.submit((BUFFERS, 21, 0), (BUFFERS + 64, 7, WRITE), (BUFFERS + 128, 100, WRITE))
    assert ring.taken() == [(0, 21)]
    assert driver.ram.read(BUFFERS + 128, 14) == message[7:]
    ring.submit((BUFFERS, 21, 0), (BUFFERS + 64, 10, WRITE))
    assert driver.broken
    ring = driver.start().rings[0]
    ring.submit((BUFFERS, MAX_MESSAGE + 1, 0), (BUFFERS + 64, 64, WRITE))
    assert driver.broken


@settings(max_examples=300, deadline=2000, derandomize=True)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([STATFS, OPEN, READLINK, GETATTR, READDIR, FSYNC, VERSION, ATTACH])
            | st.sampled_from([FLUSH, WALK, READ, CLUNK, REMOVE])
            | st.integers(0, 255),
            st.binary(max_size=40)
            | st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 99999)).map(
                lambda values: struct.pack("<IQI", *values)
            )
            | st.tuples(st.integers(0, 3), st.integers(0, 3)).map(
                lambda fids: struct.pack("<IIHH3s", *fids, 1, 3, b"sub")
            ),
            st.integers(11, 9000),
        ),
        max_size=20,
    )
)
def test_a_hostile_client(requests):
    with closing(Share(str(Path(__file__).parent))) as share:
        client = Client(share)
        for kind, body, room in requests:
            try:
                client.ask(kind, body, room)
            except Refused as refusal:
                assert refusal.number in errno.errorcode


def test_no_socket_can_be_opened(client, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        client.walk(1, "socket")
        with refused(errno.EACCES):
            client.open(1)
