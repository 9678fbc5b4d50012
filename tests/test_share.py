"""The 9P server, with a client that asks by hand."""

import errno
import fcntl
import os
import socket
import struct
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu import share as module
from rvemu import share_locks
from rvemu.devices.virtio.p9 import MAX_MESSAGE, P9
from rvemu.errors import RvemuError
from rvemu.host_files import RangeLock, set_lock
from rvemu.lang import M64
from rvemu.share import MAX_DEPTH, Share, ShareOptions
from tests.devices.virtio.driver import BUFFERS, WRITE, Driver

pytestmark = pytest.mark.skipif(not hasattr(os, "O_PATH"), reason="only Linux shares folders")

STATFS, OPEN, READLINK, GETATTR, READDIR, FSYNC = 8, 12, 22, 24, 40, 50
LOCK, GETLOCK = 52, 54
VERSION, ATTACH, FLUSH, WALK, READ, CLUNK, REMOVE = 100, 104, 108, 110, 116, 120, 122
CREATE, SYMLINK, MKNOD, RENAME, SETATTR, LINK, MKDIR = 14, 16, 18, 20, 26, 70, 72
RENAMEAT, UNLINKAT, WRITE_FILE = 74, 76, 118
MODE, UID, GID, SIZE, ATIME, MTIME, ATIME_SET, MTIME_SET = 1, 2, 4, 8, 16, 32, 128, 256
SHARED, EXCLUSIVE, UNLOCKED = 0, 1, 2
ROOM = 8192


class Refused(Exception):  # noqa: N818
    def __init__(self, number: int) -> None:
        super().__init__(errno.errorcode.get(number, number))
        self.number = number


def text(name: str) -> bytes:
    return struct.pack("<H", len(name.encode())) + name.encode()


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

    def create(self, fid: int, name: str, flags: int = os.O_RDWR, mode: int = 0o640) -> None:
        self.ask(CREATE, struct.pack("<I", fid) + text(name) + struct.pack("<III", flags, mode, 0))

    def write(self, fid: int, data: bytes, offset: int = 0) -> int:
        body = struct.pack("<IQI", fid, offset, len(data)) + data
        return struct.unpack("<I", self.ask(WRITE_FILE, body))[0]

    def mkdir(self, name: str, fid: int = 0, mode: int = 0o750) -> None:
        self.ask(MKDIR, struct.pack("<I", fid) + text(name) + struct.pack("<II", mode, 0))

    def symlink(self, name: str, target: str) -> None:
        self.ask(SYMLINK, struct.pack("<I", 0) + text(name) + text(target) + bytes(4))

    def unlink(self, name: str, fid: int = 0, flags: int = 0) -> None:
        self.ask(UNLINKAT, struct.pack("<I", fid) + text(name) + struct.pack("<I", flags))

    def rename(self, old: str, new: str, fid: int = 0, to: int = 0) -> None:
        self.ask(RENAMEAT, struct.pack("<I", fid) + text(old) + struct.pack("<I", to) + text(new))

    def set(
        self,
        fid: int,
        valid: int,
        *,
        mode: int = 0,
        uid: int = 0,
        gid: int = 0,
        size: int = 0,
        times: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        self.ask(SETATTR, struct.pack("<IIIIIQ4Q", fid, valid, mode, uid, gid, size, *times))

    def lock(self, fid: int, kind: int, start: int = 0, length: int = 0) -> bool:
        """Whether it could be had."""
        body = struct.pack("<IBIQQI", fid, kind, 0, start, length, 1) + text("guest")
        return self.ask(LOCK, body) == b"\0"

    def find_lock(self, fid: int, kind: int, start: int = 0, length: int = 0) -> tuple[int, ...]:
        """Kind, start and length of what forbids a lock."""
        body = struct.pack("<IBQQI", fid, kind, start, length, 1) + text("guest")
        kind, start, length, process, client = struct.unpack("<BQQIH", self.ask(GETLOCK, body))
        assert (process, client) == (0, 0), "a file of the host's is nobody's in the guest"
        return kind, start, length

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


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(number: int):
    return pytest.raises(Refused, match=errno.errorcode[number])


@pytest.fixture
def writer(folder: Path):
    """A client that may write."""
    with closing(Share(str(folder), writable=True)) as made:
        yield Client(made)


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


CHANGES = [14, 16, 18, 20, 26, 32, LOCK, GETLOCK, 70, 72, 74, 76, 118]


@pytest.mark.parametrize("kind", CHANGES)
def test_nothing_can_be_changed(client, kind):
    with refused(errno.EROFS):
        client.ask(kind, bytes(64))


@pytest.mark.parametrize("flags", [os.O_WRONLY, os.O_RDWR, os.O_TRUNC])
def test_nothing_can_be_opened_to_be_changed(client, folder, flags):
    client.walk(1, "hello")
    with refused(errno.EROFS):
        client.open(1, flags)
    assert (folder / "hello").read_text() == "hello, guest"


# --- For writing ---------------------------------------------------------------------------------


def test_a_file_is_made_and_written(writer, folder):
    writer.walk(1)
    before = os.umask(0o077)  # which has no say
    try:
        writer.create(1, "new", mode=0o6664)
    finally:
        os.umask(before)
    assert writer.write(1, b"some text") == 9
    assert writer.write(1, b"thing", 4) == 5
    assert writer.read(1) == b"something"
    assert writer.ask(FSYNC, struct.pack("<II", 1, 0)) == b""
    assert (folder / "new").read_bytes() == b"something"
    assert (folder / "new").stat().st_mode == 0o100664, "and it is not setuid"


def test_a_file_that_is_there(writer, folder):
    for fid, flags in ((1, os.O_RDWR), (2, os.O_RDWR | os.O_TRUNC)):
        writer.walk(fid)
        writer.create(fid, "hello", flags)
    assert (folder / "hello").read_bytes() == b""
    assert writer.write(1, b"again") == 5
    assert writer.read(2) == b"again"
    writer.walk(3)
    with refused(errno.EEXIST):
        writer.create(3, "hello", os.O_RDWR | os.O_EXCL)
    for name in ("fifo", "link", "out"):
        with refused(errno.EACCES):
            writer.create(3, name)


def test_a_file_is_written_only_where_it_is_open_for_that(writer):
    writer.walk(1, "hello")
    with refused(errno.EBADF):
        writer.write(1, b"x")
    writer.open(1)
    with refused(errno.EBADF):
        writer.write(1, b"x")
    writer.walk(2, "hello")
    writer.open(2, os.O_WRONLY)
    with refused(errno.EFBIG):
        writer.write(2, b"x", (1 << 63) - 1)
    with refused(errno.EISDIR):
        writer.open(0, os.O_RDWR)


def test_folders_are_made_and_removed(writer, folder):
    writer.mkdir("more", mode=0o6751)
    assert (folder / "more").stat().st_mode == 0o40751
    with refused(errno.EEXIST):
        writer.mkdir("more")
    with refused(errno.EISDIR):
        writer.unlink("more")
    writer.unlink("more", flags=0x200)
    assert not (folder / "more").exists()
    with refused(errno.ENOTEMPTY):
        writer.unlink("sub", flags=0x200)
    for name in ("fifo", "out"):
        writer.unlink(name)
    assert (folder / "../secret").exists()
    writer.walk(1, "sub", "deep")
    assert writer.ask(REMOVE, struct.pack("<I", 1)) == b""
    writer.walk(1, "sub")
    assert writer.ask(REMOVE, struct.pack("<I", 1)) == b""
    assert names(folder) == ["hello", "link", "up"]
    with refused(errno.EBUSY):
        writer.ask(REMOVE, struct.pack("<I", 0))


def test_files_are_moved_with_what_is_held(writer, folder):
    writer.walk(1, "sub", "deep")
    writer.walk(2, "sub")
    writer.rename("sub", "moved")
    writer.open(1)
    assert writer.read(1, 0, 3) == b"\0\1\2"
    writer.rename("deep", "hello", fid=2)
    assert (folder / "hello").stat().st_size == 25_600, "it takes another's place"
    writer.walk(3, "hello")
    writer.ask(RENAME, struct.pack("<II", 3, 2) + text("back"))
    assert (folder / "moved" / "back").stat().st_size == 25_600
    writer.open(3)
    with refused(errno.EINVAL):
        writer.rename("moved", "below", to=2)
    with refused(errno.EBUSY):
        writer.ask(RENAME, struct.pack("<II", 0, 2) + text("root"))


def test_an_open_file_outlives_its_name(writer):
    writer.walk(1)
    writer.create(1, "short")
    writer.unlink("short")
    assert writer.write(1, b"lived") == 5
    writer.set(1, SIZE, size=4)
    attributes = writer.ask(GETATTR, struct.pack("<IQ", 1, 0x7FF))
    assert struct.unpack_from("<Q", attributes, 8 + 13 + 12 + 16)[0] == 4


def test_attributes_are_set(writer, folder):
    hello = folder / "hello"
    writer.walk(1, "hello")
    writer.set(1, MODE | SIZE, mode=0o107604, size=5)
    assert (hello.read_bytes(), hello.stat().st_mode) == (b"hello", 0o100604)
    writer.set(1, ATIME | MTIME | ATIME_SET | MTIME_SET, times=(5, 6, 1 << 31, 7))
    assert (hello.stat().st_atime_ns, hello.stat().st_mtime_ns) == (
        5 * 10**9 + 6,
        (10**9 << 31) + 7,
    )
    writer.set(1, ATIME | ATIME_SET | MTIME, times=(M64, 0, 0, 0))
    assert hello.stat().st_atime_ns == -(10**9)
    assert hello.stat().st_mtime > 1e9
    writer.set(1, UID | GID, uid=hello.stat().st_uid, gid=hello.stat().st_gid)
    with refused(errno.EPERM):
        writer.set(1, UID, uid=hello.stat().st_uid + 1)
    with refused(errno.EPERM):
        writer.set(1, GID, gid=hello.stat().st_gid + 1)
    with refused(errno.EFBIG):
        writer.set(1, SIZE, size=1 << 63)
    with refused(errno.EINVAL):
        writer.set(1, MTIME | MTIME_SET, times=(0, 0, 0, 10**9))
    for fid, name in ((2, "out"), (3, "fifo")):
        writer.walk(fid, name)
        with refused(errno.EOPNOTSUPP):
            writer.set(fid, MODE, mode=0o777)


def test_files_are_locked_against_other_machines_and_the_host(writer, folder):
    hello = folder / "hello"
    with closing(Share(str(folder), writable=True)) as share, hello.open("r+b") as host:
        other = Client(share)
        for each in (writer, other):
            each.walk(1, "hello")
            each.open(1)  # for reading: that is enough, as for `flock`
        assert writer.lock(1, EXCLUSIVE, 10, 10)
        assert not other.lock(1, SHARED)
        assert other.find_lock(1, SHARED) == (EXCLUSIVE, 10, 10)
        assert other.lock(1, EXCLUSIVE, 20, 0)
        assert other.lock(1, EXCLUSIVE, 0, 10)
        for start, free in ((9, False), (19, False), (20, False)):
            assert set_lock(host.fileno(), RangeLock(fcntl.F_RDLCK, start, 1)) is free
        assert writer.lock(1, UNLOCKED, 12, 4)
        assert set_lock(host.fileno(), RangeLock(fcntl.F_RDLCK, 12, 4))
        assert not set_lock(host.fileno(), RangeLock(fcntl.F_RDLCK, 11, 1))
        assert other.find_lock(1, SHARED, 12, 4) == (UNLOCKED, 12, 4)
        writer.ask(CLUNK, struct.pack("<I", 1))
        assert other.lock(1, SHARED), "what is closed is unlocked"
        assert not other.lock(1, EXCLUSIVE), "a shared lock is there"


def test_locks_that_cannot_be(writer, folder, monkeypatch):
    (folder / "program").write_bytes(b"")
    (folder / "program").chmod(0o4755)
    writer.walk(1, "program")
    with refused(errno.EBADF):
        writer.lock(1, SHARED)
    writer.open(1)
    assert writer.lock(1, SHARED)
    with refused(errno.EBADF):
        writer.lock(1, EXCLUSIVE)  # it is not to be opened for writing at all
    writer.open(0)
    assert writer.lock(0, SHARED)
    for kind, start, length in ((3, 0, 0), (0, 1 << 63, 0), (0, 1, (1 << 63) - 1)):
        with refused(errno.EINVAL):
            writer.lock(1, kind, start, length)
    assert writer.lock(1, UNLOCKED)
    monkeypatch.setattr(share_locks, "MAX_RANGES", 3)
    for n in range(3):
        assert writer.lock(1, SHARED, 10 * n, 9)
    with refused(errno.ENOLCK):
        writer.lock(1, UNLOCKED, 4, 1)  # of one it makes two
    assert writer.lock(1, UNLOCKED, 5, 100)
    assert writer.lock(1, SHARED, 50, 1)


def test_links_lead_nowhere_but_down(writer, folder):
    writer.symlink("good", "sub/./deep")
    assert (folder / "good").read_bytes() == (folder / "sub" / "deep").read_bytes()
    for target in ("/etc/passwd", "../secret", "sub/../../secret", "..", ""):
        with refused(errno.EPERM):
            writer.symlink("bad", target)
    with refused(errno.EPROTO):
        writer.symlink("bad", "a\0b")


@pytest.mark.parametrize("kind", [MKNOD, LINK])
def test_what_is_never_made(writer, kind):
    with refused(errno.EPERM):
        writer.ask(kind, bytes(64))


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_setuid_program_is_not_written(writer, folder, mode):
    (folder / "hello").chmod(mode)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_TRUNC):
        writer.walk(1, "hello", fid=0)
        with refused(errno.EPERM):
            writer.open(1, flags)
        with refused(errno.EPERM):
            writer.set(1, SIZE)
        writer.walk(2)
        with refused(errno.EPERM):
            writer.create(2, "hello", flags)
        for fid in (1, 2):
            writer.ask(CLUNK, struct.pack("<I", fid))
    writer.walk(1, "hello")
    writer.set(1, MODE, mode=0o700)
    assert (folder / "hello").stat().st_mode & 0o7777 == mode & 0o7000 | 0o700


def test_no_change_outside(writer, folder):
    writer.walk(1, "out")
    with refused(errno.EACCES):
        writer.open(1, os.O_WRONLY)
    with refused(errno.EOPNOTSUPP):
        writer.set(1, SIZE)
    writer.walk(2, "up")
    with refused(errno.ENOTDIR):
        writer.mkdir("evil", fid=2)
    with refused(errno.ENOTDIR):
        writer.create(2, "evil")
    with refused(errno.ENOTDIR):
        writer.unlink("secret", fid=2)
    with refused(errno.ENOTDIR):
        writer.rename("hello", "evil", to=2)
    for name in ("..", ".", "", "../evil", "/evil", "sub/evil", "a\0b"):
        with refused(errno.EINVAL):
            writer.mkdir(name)
        with refused(errno.EINVAL):
            writer.create(0, name)
        with refused(errno.EINVAL):
            writer.symlink(name, "hello")
        with refused(errno.EINVAL):
            writer.unlink(name)
        with refused(errno.EINVAL):
            writer.rename("hello", name)
        with refused(errno.EINVAL):
            writer.rename(name, "evil")
    assert names(folder.parent) == ["secret", "shared"]
    assert (folder.parent / "secret").read_text() == "nobody's business"


# --- Bounds --------------------------------------------------------------------------------------


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


def test_options():
    assert ShareOptions.parse("some/folder") == ("some/folder", False)
    assert ShareOptions.parse("a,,b,writable=on") == ("a,b", True)
    for wrong in ("", "folder,writable=maybe", "folder,readwrite=on", "writable=on"):
        with pytest.raises(RvemuError, match=f"--share {wrong}: "):
            ShareOptions.parse(wrong)


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


NAMES = st.sampled_from([b"a", b"b", b"..", b"up", b"out", b"", b"a/b"])
SHORT = NAMES.map(lambda name: struct.pack("<H", len(name)) + name)
FIDS = st.integers(0, 3).map(lambda fid: struct.pack("<I", fid))
NUMBERS = st.sampled_from([0, 1, 0o777, 0o7777, os.O_RDWR, 0x200, 0x1FF, 1 << 31]).map(
    lambda number: struct.pack("<I", number)
)
KINDS = [STATFS, OPEN, READLINK, GETATTR, READDIR, FSYNC, VERSION, ATTACH, FLUSH, WALK, READ]
# What requests are made of, in any order.
BODIES = st.lists(FIDS | SHORT | NUMBERS, max_size=6).map(b"".join) | st.binary(max_size=60)
WALKS = st.tuples(FIDS, FIDS, st.just(b"\1\0"), SHORT).map(b"".join)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from([*KINDS, CLUNK, REMOVE, *CHANGES]) | st.integers(0, 255),
            BODIES,
            st.integers(11, 9000),
        )
        | st.tuples(st.just(WALK), WALKS, st.just(1000)),
        max_size=20,
    ),
)
def test_a_hostile_client(writable, requests):
    with tempfile.TemporaryDirectory() as top:
        outside, shared = Path(top, "out"), Path(top, "shared")
        shared.mkdir()
        (shared / "a").mkdir()
        (shared / "b").write_text("b")
        outside.write_text("secret")
        (shared / "out").symlink_to(outside)
        (shared / "up").symlink_to("..")
        with closing(Share(str(shared), writable=writable)) as share:
            client = Client(share)
            for kind, body, room in requests:
                try:
                    client.ask(kind, body, room)
                except Refused as refusal:
                    assert refusal.number in errno.errorcode
        assert outside.read_text() == "secret"
        assert names(Path(top)) == ["out", "shared"]
        if not writable:
            assert names(shared) == ["a", "b", "out", "up"]


def test_no_socket_can_be_opened(client, folder, monkeypatch):
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        client.walk(1, "socket")
        with refused(errno.EACCES):
            client.open(1)
