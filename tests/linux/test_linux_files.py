"""How a kernel and busybox are fetched, with an apt that only says what it was asked."""

import io
import lzma
import os
import stat
import tarfile
from pathlib import Path

import pytest

from rvemu import apt
from rvemu.errors import RvemuError
from rvemu.initramfs import GREETING, build
from rvemu.linux import find_linux

BUSYBOX = b"\x7fELF busybox"

# Prints the system's sources; notes what else it was asked for, and makes it.
APT_GET = """#!/bin/sh
case "$*" in
*indextargets*) cat "$FAKE/targets" ;;
*update*) echo "$@" >> "$FAKE/log"; cp "$2" "$FAKE/apt.conf"; cp "$(dirname $2)/sources.list" $FAKE
    [ ! -e "$FAKE/broken" ] || { echo 'E: The mirror is down' >&2; exit 100; } ;;
*download*) for name; do :; done; echo "$name" >> "$FAKE/log"; touch "$name.deb" ;;
esac
"""
APT_CACHE = """#!/bin/sh
echo 'Package: linux-image-riscv64'
echo 'Depends: initramfs-tools (>= 1) | x, linux-image-6.12.1-riscv64 (= 6.12.1-1)'
"""
DPKG_DEB = """#!/bin/sh
case "$2" in *busybox*) cat "$FAKE/busybox.tar" ;; *) cat "$FAKE/kernel.tar" ;; esac
"""


MODULES = "./usr/lib/modules/6.12.1-riscv64/kernel"
KERNEL = {
    "./boot/vmlinux-6.12.1-riscv64": b"the kernel",
    f"{MODULES}/drivers/virtio/virtio_mmio.ko.xz": lzma.compress(b"the bus"),
    f"{MODULES}/drivers/block/virtio_blk.ko": b"the disk",
    f"{MODULES}/drivers/block/nbd.ko.xz": lzma.compress(b"not for us"),
}


def tar(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, data in {"./usr/share/doc/x": b"?", **files}.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the apt on PATH says, and where it notes what it was asked."""
    folder = tmp_path / "fake"
    (folder / "bin").mkdir(parents=True)
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    sources = folder / "system.sources"
    sources.write_text("Types: deb\nSigned-By: /dev/null\n")
    (folder / "targets").write_text(
        f"Other|Other|main|https://other.test/debian/|{sources}:1\n"
        f"Debian|Debian-Security|main|https://security.test/debian-security/|{sources}:1\n"
        f"Debian|Debian|contrib|https://contrib.test/debian/|{sources}:1\n"
        f"Debian|Debian|main|https://mirror.test/debian/|{sources}:1\n"
    )
    (folder / "kernel.tar").write_bytes(tar(KERNEL))
    (folder / "busybox.tar").write_bytes(tar({"./usr/bin/busybox": BUSYBOX}))
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    return folder


def test_fetched_once(fake: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = find_linux(cache)
    assert found.kernel.read_bytes() == b"the kernel"
    assert BUSYBOX in found.initrd.read_bytes()
    asked = (fake / "log").read_text().splitlines()
    assert asked[1:] == ["linux-image-6.12.1-riscv64", "busybox-static"]
    assert find_linux(cache) == found
    assert (fake / "log").read_text().splitlines() == asked, "it is in the cache now"
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}


def test_modules_for_virtio_devices_come_along(fake: Path, tmp_path: Path) -> None:
    found = find_linux(tmp_path)
    assert b"lib/modules" not in found.initrd.read_bytes().partition(b"TRAILER!!!")[2]
    base, modules = unpack_all(found.initrd_with_modules.read_bytes())
    assert base["bin/busybox"][1] == BUSYBOX
    assert modules["lib"][0] == modules["lib/modules"][0] == 0o40755
    assert {path: content for path, (_, content, _) in modules.items() if content} == {
        "lib/modules/virtio_mmio.ko": b"the bus",
        "lib/modules/virtio_blk.ko": b"the disk",
    }
    del fake


def test_a_cache_without_modules_is_fetched_anew(fake: Path, tmp_path: Path) -> None:
    found = find_linux(tmp_path)
    next(found.kernel.parent.glob("modules-*")).unlink()
    stale = found.kernel.with_name("initrd-0123456789abcdef")
    stale.touch()
    asked = len((fake / "log").read_text().splitlines())
    assert find_linux(tmp_path) == found
    assert len((fake / "log").read_text().splitlines()) == 2 * asked
    assert not stale.exists()


def test_what_another_version_made_is_removed(fake: Path, tmp_path: Path) -> None:
    del fake
    found = find_linux(tmp_path)
    stale = found.initrd.rename(found.initrd.with_name("initrd-0123456789abcdef"))
    assert find_linux(tmp_path) == found
    assert found.initrd.exists()
    assert not stale.exists()


def test_a_module_that_is_damaged(fake: Path, tmp_path: Path) -> None:
    damaged = {path: content[:-9] for path, content in KERNEL.items()}
    (fake / "kernel.tar").write_bytes(tar(damaged))
    with pytest.raises(RvemuError, match=r"virtio_mmio\.ko\.xz: .*Give them yourself"):
        find_linux(tmp_path)


def test_a_package_without_a_kernel(fake: Path, tmp_path: Path) -> None:
    (fake / "kernel.tar").write_bytes(tar({}))
    with pytest.raises(RvemuError, match=r"has no kernel\. Give them yourself"):
        find_linux(tmp_path)


def test_another_init_needs_no_fetching(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_linux(tmp_path)
    (fake / "log").unlink()
    monkeypatch.setattr("rvemu.initramfs._INIT", "#!/bin/busybox sh\n")
    second = find_linux(tmp_path)
    assert second.initrd != first.initrd
    assert not (fake / "log").exists()


def test_only_the_mirror_and_its_keys_are_the_systems(fake: Path, tmp_path: Path) -> None:
    find_linux(tmp_path)
    source = (fake / "sources.list").read_text()
    assert source.startswith("deb [arch=riscv64")
    assert source.endswith("https://mirror.test/debian/ trixie main\n")
    folder = (fake / "log").read_text().split()[1].removesuffix("/apt.conf")
    assert not Path(folder).exists(), "it is removed afterwards"
    configuration = (fake / "apt.conf").read_text()
    for line in configuration.splitlines():
        if line.startswith("Dir::"):
            assert folder in line or "/dev/null" in line


def test_lists_that_were_not_fetched_yet(fake: Path) -> None:
    (fake / "targets").write_text(
        "||main|https://security.test/debian-security/|x:1\n||main|https://mirror.test/debian/|x:1\n"
    )
    assert apt.find_mirror().uri == "https://mirror.test/debian/"


def test_no_mirror(fake: Path, tmp_path: Path) -> None:
    (fake / "targets").write_text("Ubuntu|Ubuntu|main|https://mirror.test/ubuntu/|x:1\n")
    with pytest.raises(RvemuError, match=r"name no mirror of Debian\. Give .* --kernel"):
        find_linux(tmp_path)


def test_the_network_is_down(fake: Path, tmp_path: Path) -> None:
    (fake / "broken").touch()
    with pytest.raises(RvemuError, match=r"The mirror is down\. Give them yourself: --kernel"):
        find_linux(tmp_path)


def test_no_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RvemuError, match=r"this computer has no apt-get\. Give .* --initrd"):
        find_linux(tmp_path)


@pytest.mark.usefixtures("fake")
def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "linux").write_text("in the way")
    with pytest.raises(RvemuError, match="cannot be used"):
        find_linux(tmp_path)


Files = dict[str, tuple[int, bytes, tuple[int, int]]]


def unpack_all(archives: bytes) -> list[Files]:
    """What the kernel finds in each of the archives that follow each other."""
    found = []
    while archives:
        files, length = unpack(archives)
        found.append(files)
        archives = archives[length:]
    return found


def unpack(archive: bytes) -> tuple[Files, int]:
    """What the kernel finds in an archive: mode, content, device number, by path; and how long the
    archive is."""
    found: Files = {}
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110 : at + 110 + fields[11]]
        assert name.endswith(b"\0")
        start = (at + 110 + len(name) + 3) & ~3
        path = name[:-1].decode()
        if path == "TRAILER!!!":
            return found, start
        content = archive[start : start + fields[6]]
        found[path] = (fields[1], content, (fields[9], fields[10]))
        at = (start + fields[6] + 3) & ~3


def test_the_archive_is_what_the_kernel_unpacks() -> None:
    made = build(BUSYBOX)
    assert made == build(BUSYBOX), "the same bytes each time"
    files, length = unpack(made)
    assert length == len(made)
    assert files["bin/busybox"] == (0o100755, BUSYBOX, (0, 0))
    assert files["bin/sh"] == (0o120777, b"busybox", (0, 0))
    assert files["dev/console"] == (0o20600, b"", (5, 1))
    assert files["dev"][0] == 0o40755
    assert files["init"][0] == 0o100755
    assert GREETING.encode() in files["init"][1]
