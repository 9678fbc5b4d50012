"""Debian's kernel boots to a shell and powers off: on one hart and on several, with our firmware
and with OpenSBI; and each boot repeats exactly."""

import hashlib
import time
from pathlib import Path

import pytest

from rvemu import Machine, Outcome, Reason
from rvemu.firmware import find_firmware
from rvemu.initramfs import GREETING
from rvemu.linux import COMMAND_LINE, MEMORY, Linux

pytestmark = pytest.mark.slow

OPENSBI = [
    Path("/usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin"),
    Path("/usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.elf"),
]

# Much more than a boot needs: beyond it the machine hangs.
LIMIT = 20_000_000_000


class Boot:
    """A boot of Linux that runs a command and powers off."""

    def __init__(self, linux: Linux, firmware: Path, harts: int, command: str) -> None:
        self.output = bytearray()
        self.machine = Machine(
            memory=MEMORY,
            harts=harts,
            bootargs=f'{COMMAND_LINE} run="{command}"',
            output=self.output.extend,
        )
        self.machine.boot(linux.kernel, firmware=firmware, initrd=linux.initrd)
        started = time.perf_counter()
        self.outcome = self.machine.run(LIMIT)
        self.seconds = time.perf_counter() - started

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace")

    def check(self) -> None:
        assert self.outcome == Outcome(Reason.EXITED, 0), self.text[-2000:]
        assert GREETING in self.text
        assert "reboot: Power down" in self.text
        for word in ("Oops", "Kernel panic", "WARNING:", "BUG:", "rcu: INFO", "Unable to handle"):
            assert word not in self.text


@pytest.mark.parametrize("harts", [1, 4])
def test_boot_with_our_firmware_repeats_exactly(linux: Linux, harts: int) -> None:
    first = Boot(linux, find_firmware(), harts, "nproc; cat /proc/cpuinfo; free -m")
    first.check()
    assert f"\n{harts}\r\n" in first.text, "all harts are up"
    assert "mmu\t\t: sv57" in first.text
    assert "random: crng init done" in first.text, "programs need not wait for random numbers"
    second = Boot(linux, find_firmware(), harts, "nproc; cat /proc/cpuinfo; free -m")
    assert second.output == first.output
    assert second.machine.now == first.machine.now
    for one, other in zip(first.machine.harts, second.machine.harts, strict=True):
        assert (one.instret, one.pc) == (other.instret, other.pc)


@pytest.mark.parametrize("harts", [1, 4])
def test_boot_with_opensbi(linux: Linux, harts: int) -> None:
    firmware = next((path for path in OPENSBI if path.is_file()), None)
    if firmware is None:
        pytest.skip("OpenSBI is not installed")
    boot = Boot(linux, firmware, harts, "nproc")
    boot.check()
    assert f"\n{harts}\r\n" in boot.text
    banner = " ".join(boot.text.split())
    for line in (
        "OpenSBI v",
        "Platform Name : riscv-virtio,rvemu",
        f"Platform HART Count : {harts}",
        "Platform IPI Device : aclint-mswi",
        "Platform Timer Device : aclint-mtimer @ 10000000Hz",
        "Platform Console Device : uart8250",
        "Domain0 Next Address : 0x0000000080200000",
        "Domain0 Next Mode : S-mode",
        "Boot HART Domain : root",
        "Boot HART PMP Count : 16",
    ):
        assert line in banner
    assert "Platform Reboot Device : ---" not in banner
    assert "Platform Shutdown Device : ---" not in banner


def test_processes_files_and_faults(linux: Linux) -> None:
    """A little of what a system does: processes, pipes, files, signals, floating point."""
    command = (
        "seq 1 2000 | sha256sum; for i in 1 2 3 4 5 6 7 8; do (echo $i; sleep 0.01) & done | sort; "
        "wait; dd if=/dev/zero bs=64k count=64 2>/dev/null | md5sum; "
        "awk 'BEGIN { for (i = 1; i < 1000; i++) s += 1 / i; print s }'; "
        "sh -c 'kill -SEGV $$'; echo status $?"
    )
    boot = Boot(linux, find_firmware(), 2, command.replace('"', ""))
    boot.check()
    numbers = "".join(f"{n}\n" for n in range(1, 2001)).encode()
    assert hashlib.sha256(numbers).hexdigest() in boot.text
    assert hashlib.md5(bytes(4 << 20)).hexdigest() in boot.text
    assert "1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n7\r\n8\r\n" in boot.text
    total = sum(1 / n for n in range(1, 1000))
    assert f"\n{total:.6g}\r\n" in boot.text
    assert "status 139" in boot.text


def test_both_engines_begin_alike(linux: Linux) -> None:
    """The first instructions of a kernel: traps, translation switched on, the first output."""
    machines = []
    for engine in ("native", "reference"):
        machine = Machine(
            memory=256 << 20,
            engine=engine,
            bootargs="console=ttyS0 earlycon",
            output=bytearray().extend,
        )
        machine.boot(linux.kernel, firmware=find_firmware(), initrd=linux.initrd)
        machines.append(machine)
    native, reference = machines
    for _ in range(15):
        for machine in machines:
            machine.run(200_000)
        for name in (*(f"x{n}" for n in range(32)), "pc", "satp", "mstatus", "sepc", "scause"):
            assert native.hart[name] == reference.hart[name], (native.now, name)
    assert bytes(native.board.ram.view) == bytes(reference.board.ram.view)
    assert native.hart["satp"] >> 60 == 10, "it runs with Sv57"
