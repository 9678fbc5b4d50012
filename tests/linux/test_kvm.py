"""Linux's own hypervisor, KVM, runs a guest on the emulated hart's H extension: in VS-mode, with
addresses translated in two stages."""

import subprocess
from pathlib import Path

import pytest

from rvemu.guest_build import available_toolchains
from rvemu.linux import Linux
from tests.linux.guest import Guest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "kvm" / "run_guest.c"


def build(folder: Path) -> None:
    """The program that asks KVM for a virtual machine, for Linux: zig brings what that needs."""
    zig = next((t for t in available_toolchains() if t.is_zig), None)
    if zig is None:
        pytest.skip("a program for Linux needs zig: `pip install ziglang`")
    made = str(folder / "run_guest")
    command = [*zig.command, "-target", "riscv64-linux-musl", "-static", "-Os", "-o", made]
    subprocess.run([*command, str(PROGRAM)], check=True)


def test_kvm_runs_a_guest(linux: Linux, tmp_path: Path) -> None:
    del linux  # it is there
    build(tmp_path)
    commands = (
        "insmod /lib/modules/irqbypass.ko",
        "insmod /lib/modules/kvm.ko",
        "mount -t 9p -o trans=virtio,version=9p2000.L,ro share0 /root",
        "/root/run_guest",
    )
    append = f'quiet run="{"; ".join(commands)}"'
    with Guest("--share", str(tmp_path), "--append", append) as guest:
        guest.expect("in VS-mode\ntranslated in two stages\nguest: ended\n")
