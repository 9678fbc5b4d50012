"""The command `rvemu run --linux` with virtio devices: the modules that they need are loaded, and
work: a disk whose file system survives, a file over the network, a folder, randomness."""

import functools
import hashlib
import http.server
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvemu import slirp
from rvemu.errors import RvemuError
from rvemu.initramfs import GREETING
from rvemu.linux import Linux
from tests.linux import file_system

pytestmark = pytest.mark.slow


def boot(*options: str) -> str:
    """Boot until the machine is off; what was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "rvemu", "run", "--linux", *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
    assert done.returncode == 0, text[-2000:]
    for word in ("Oops", "Kernel panic", "WARNING:", "BUG:", "Unable to handle", "insmod:"):
        assert word not in text
    return text


def run(linux: Linux, script: str, *options: str, append: str = "") -> str:
    """Boot, run a script, power off; what was printed."""
    del linux  # it is there: nothing has to be fetched
    assert '"' not in script
    text = boot(*options, "--append", f'quiet {append} run="{script}"')
    assert GREETING in text
    return text


def test_without_devices_nothing_is_loaded(linux: Linux) -> None:
    text = run(linux, "echo \\<$(tail -n +2 /proc/modules)\\>; date +%F")
    assert "<>" in text
    assert "\n2024-01-01\n" in text, "a date that is the same in all runs"


def test_a_file_system_on_a_disk(linux: Linux, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    file_system.make(image, "64M")
    written = run(
        linux,
        "mount -t ext4 /dev/vda /mnt && mkdir /mnt/some && cd /mnt/some && "
        "for n in 1 2 3 4; do dd if=/bin/busybox of=file$n conv=fsync 2>/dev/null; done; "
        "for n in $(seq 200); do echo $n > small$n; done; rm file2; mv file3 moved; sync; "
        "sha256sum moved; cd /; umount /mnt",
        *("--drive", f"file={image},format=raw"),
    )
    sums = [line.split()[0] for line in written.splitlines() if line.endswith("  moved")]
    busybox = linux.kernel.with_name("busybox").read_bytes()
    assert sums == [hashlib.sha256(busybox).hexdigest()]
    file_system.check(image)
    for path, content in (("moved", busybox), ("file4", busybox), ("small200", b"200\n")):
        assert file_system.read(image, f"/some/{path}") == content


# A system's first process, which tells what it was given, and ends the machine.
FIRST_PROCESS = """\
#!/bin/busybox sh
b=/bin/busybox
echo "first: $$ $*"
$b grep " / " /proc/mounts | $b grep -o "ext4 r."
[ -d /sys/class ] && [ -b /dev/vda ] && [ ! -e /init ] && echo all there
$b poweroff -f
"""


def test_a_system_on_a_disk(linux: Linux, tmp_path: Path) -> None:
    """As `root=` on the kernel's command line says, it takes over."""
    tree = tmp_path / "tree"
    for folder in ("bin", "dev", "proc", "sys"):
        (tree / folder).mkdir(parents=True)
    shutil.copy(linux.kernel.with_name("busybox"), tree / "bin/busybox")
    (tree / "bin/first").write_text(FIRST_PROCESS)
    for program in (tree / "bin").iterdir():
        program.chmod(0o755)
    image = tmp_path / "disk.img"
    file_system.make(image, "16M", tree)
    drive = ("--drive", f"file={image},format=raw")
    text = boot(*drive, "--append", "quiet root=/dev/vda rw init=/bin/first -- -x y")
    assert "first: 1 -x y\next4 rw\nall there\n" in text
    assert GREETING not in text
    text = run(linux, "echo a shell", *drive, append="root=/dev/vda")
    assert "\nrvemu: root=/dev/vda: there is no /sbin/init\n" in text
    assert "\na shell\n" in text


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A folder, and the port on the host's loopback where it is served."""
    folder = tmp_path / "web"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield folder, server.server_port
        server.shutdown()
        thread.join()


def test_a_file_over_the_network(linux: Linux, web: tuple[Path, int]) -> None:
    try:
        slirp._find_library()
    except RvemuError as error:
        pytest.skip(str(error))
    folder, port = web
    content = random.Random(5).randbytes(100_000_000)
    (folder / "file").write_bytes(content)
    text = run(
        linux,
        f"wget -q -O /tmp/file http://10.0.2.2:{port}/file && sha256sum /tmp/file; "
        "cat /etc/resolv.conf; ip route",
        *("--netdev", "user"),
    )
    assert f"{hashlib.sha256(content).hexdigest()}  /tmp/file" in text
    assert "nameserver 10.0.2.3" in text
    assert "default via 10.0.2.2 dev eth0" in text


# What people do with files, and with folders of them.
CHANGES = """
    cd /mnt && echo one > one && echo two >> one && sed -i s/one/three/ one && chmod 741 one &&
    cp -r /etc etc && mv etc moved && mv one moved/first && cp -r moved gone && rm -r gone &&
    dd if=/bin/busybox of=copy bs=1M conv=fsync 2>/dev/null && truncate -s 100000 copy &&
    ln -s moved/first link && cat link && touch -d '2001-02-03 04:05:06' moved/first &&
    (sleep 0; ls /proc/self/fd >/dev/null) 3> open && rm open &&
    ! ln -s /etc/passwd out && ! mknod pipe p && ! mknod null c 1 3 && echo done
"""


def test_folders_and_random_numbers(linux: Linux, tmp_path: Path) -> None:
    given, changed = tmp_path / "given", tmp_path / "changed"
    given.mkdir()
    changed.mkdir()
    (given / "note").write_text("from the host\n")
    text = run(
        linux,
        "mount -t 9p -o trans=virtio,version=9p2000.L,ro share0 /root && cat /root/note; "
        "mount -t 9p -o trans=virtio,version=9p2000.L share1 /mnt; "
        f"{' '.join(CHANGES.split())}; head -c 1000 /dev/hwrng | wc -c",
        *("--share", str(given), "--share", f"{changed},writable=on", "--rng"),
    )
    assert "\nfrom the host\n" in text
    assert "\nthree\ntwo\n" in text
    assert "\ndone\n1000\n" in text
    assert sorted(path.name for path in changed.iterdir()) == ["copy", "link", "moved"]
    first = changed / "moved" / "first"
    assert (first.read_text(), first.stat().st_mode) == ("three\ntwo\n", 0o100741)
    assert first.stat().st_mtime == 981173106
    assert "interface" in (changed / "moved" / "udhcpc.script").read_text()
    busybox = linux.kernel.with_name("busybox").read_bytes()
    assert (changed / "copy").read_bytes() == busybox[:100_000]
