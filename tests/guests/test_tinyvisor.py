"""tinyvisor: a hypervisor among the guests prints the same on every machine."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from rvemu import guest_build, guests
from rvemu.machine import Machine, Reason

QEMU = shutil.which("qemu-system-riscv64")

if not guests.INSTALLED.is_dir() and not guest_build.available_toolchains():
    pytest.skip("no RISC-V compiler: install ziglang or a GCC", allow_module_level=True)


def run(name: str, engine: str = "native", isa: str | None = None) -> str:
    """What a guest prints on rvemu; it must end well."""
    printed = bytearray()
    options = {} if isa is None else {"isa": isa}
    machine = Machine(engine=engine, output=printed.extend, **options)
    machine.load(guests.find_guest(name))
    (limit,) = (g.max_instructions for g in guests.list_guests() if g.name == name)
    outcome = machine.run(limit)
    assert (outcome.reason, outcome.code) == (Reason.EXITED, 0), printed.decode()
    return printed.decode()


def expected(name: str) -> str:
    return guests.expected_output(name).decode()


@pytest.mark.parametrize("name", ["tinyvisor", "bench-int-vs", "bench-tlb-vs"])
def test_prints_what_it_must(name: str) -> None:
    assert run(name) == expected(name)


@pytest.mark.slow
def test_prints_the_same_on_the_reference_engine() -> None:
    assert run("tinyvisor", engine="reference") == expected("tinyvisor")


def test_needs_no_sstc() -> None:
    assert run("tinyvisor", isa="rv64gch_zicsr_zifencei_zicntr") == expected("tinyvisor")


@pytest.mark.skipif(QEMU is None, reason="there is no qemu-system-riscv64")
@pytest.mark.parametrize("sstc", ["true", "false"])
def test_prints_the_same_on_qemu(sstc: str) -> None:
    assert QEMU is not None
    command = [QEMU, "-M", "virt", "-cpu", f"rv64,h=true,sstc={sstc}", "-bios", "none"]
    command += ["-nographic", "-kernel", str(guests.find_guest("tinyvisor"))]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    assert done.stdout.decode() == expected("tinyvisor")
    assert done.returncode == 0


def test_a_hart_without_the_hypervisor_extension_is_told_so() -> None:
    printed = bytearray()
    machine = Machine(isa="rv64gc", output=printed.extend)
    machine.load(guests.find_guest("tinyvisor"))
    outcome = machine.run(1_000_000)
    assert (outcome.reason, outcome.code) == (Reason.EXITED, 1)
    assert printed.decode().endswith("[M] this hart lacks the hypervisor extension\n")


@pytest.mark.parametrize("vm", [1, 2])
def test_each_tinyos_prints_what_it_prints_alone(vm: int) -> None:
    lines = re.findall(rf"^\[vm {vm}\] (.*\n)", expected("tinyvisor"), re.MULTILINE)
    assert "".join(lines) == expected("tinyos-s")
