"""Debugging through a hypervisor with a real gdb: tinyvisor in HS-mode, in its machines the kernel
of tinyos in VS-mode, and that one's processes in VU-mode. gdb knows the symbols of both."""

import re
from collections.abc import Iterator

import pytest

from rvemu.guests import find_guest
from tests.debug.gdb import Gdb, Served, attached, needs_gdb, serve_guest

pytestmark = needs_gdb

VMID = "($hgatp >> 44 & 0x3fff)"
ECALL_FROM_VS = 10


@pytest.fixture
def tinyvisor() -> Iterator[Served]:
    with serve_guest("tinyvisor") as running:
        yield running


@pytest.fixture
def gdb(tinyvisor: Served) -> Iterator[Gdb]:
    with attached(tinyvisor) as found:
        found.command(f"add-symbol-file {find_guest('tinyos-s')} -o 0")
        yield found


def where(gdb: Gdb) -> tuple[int, int]:
    """The privilege mode and V."""
    return gdb.value("$priv"), gdb.value("$virt")


def address(gdb: Gdb, expression: str) -> int:
    return gdb.value(f"(unsigned long)({expression})") & (1 << 64) - 1


def names(gdb: Gdb) -> list[str]:
    """The functions of a backtrace, innermost first."""
    return re.findall(r"^#\d+ .*?(\w+) \(", gdb.command("bt"), re.MULTILINE)


def leave_guest(gdb: Gdb) -> None:
    """Run to where a kernel's system call to its firmware has arrived in the hypervisor."""
    gdb.command("monitor stop-on vm-exit")
    for _ in range(20):
        text = gdb.go("continue")
        if gdb.value("$scause") == ECALL_FROM_VS:
            break
    assert "stopped by a trap" in text and "ecall" in text
    gdb.command("monitor stop-on off")


def test_a_guest_kernel_in_vs_mode(gdb: Gdb) -> None:
    """Symbols, lines, steps, `finish` and memory, by the guest's own addresses."""
    gdb.command("break kernel_main")  # of a guest that is not loaded yet
    gdb.go("continue")
    assert gdb.reason == "breakpoint-hit" and where(gdb) == (1, 1)
    assert "VS-mode, VMID 1, ASID 0" in gdb.command("info threads")
    assert names(gdb)[:2] == ["kernel_main", "high"]
    assert "printf" in gdb.go("step")
    gdb.go("next")
    gdb.go("finish")
    assert "kernel_main" in gdb.command("bt 1")
    gdb.command("delete")
    gdb.command("tbreak process_fork")
    gdb.go("continue")
    found = names(gdb)
    assert found[:2] == ["process_fork", "sys_fork"]
    assert "fork" in found and found[-2:] == ["user_main", "__user_start"]  # in VU-mode
    assert "Value returned" in gdb.go("finish")
    assert gdb.value("processes[1].pid") == 2
    gdb.command("set var processes[1].exit_code = 99")
    assert gdb.value("child->exit_code") == 99
    assert 0 < gdb.value("pages_free()") < 1024  # called in the guest
    assert where(gdb) == (1, 1)


def test_a_process_of_a_guest_in_vu_mode(gdb: Gdb, tinyvisor: Served) -> None:
    gdb.command("break user_main")
    gdb.go("continue")
    assert where(gdb) == (0, 1)
    assert "VU-mode, VMID 1, ASID 1" in gdb.command("info threads")
    assert gdb.value("answer") == 42
    assert gdb.value("processes[0].pid") == 1  # which VU-mode may not read
    assert "say" in gdb.go("step")
    gdb.go("finish")
    assert "user_main" in gdb.command("bt 1") and where(gdb) == (0, 1)
    gdb.go("next")  # through many system calls, exits, and the other machines' turns
    assert "user_main" in gdb.command("bt 1") and where(gdb) == (0, 1)
    # By both stages, and in physical memory: the same bytes.
    walk = gdb.command(f"monitor walk {address(gdb, '&answer'):#x}")
    physical = re.search(r"=> physical (0x[0-9a-f]+)", walk)
    assert physical is not None and "VU-mode" in walk and walk.count("G stage") == 4
    assert tinyvisor.machine.read_physical(int(physical[1], 0), 8) == (42).to_bytes(8, "little")


def test_watchpoints_in_a_guest(gdb: Gdb) -> None:
    """In VU-mode on a page that is first to be copied, and in VS-mode."""
    gdb.command(f"break own_memory if {VMID} == 2")
    gdb.go("continue")
    assert gdb.reason == "breakpoint-hit" and "VMID 2" in gdb.command("info threads")
    gdb.command("watch answer")
    text = gdb.go("continue")
    assert "Old value = 42" in text and "New value = 43" in text and where(gdb) == (0, 1)
    assert re.findall(r"(\w+) \(", gdb.command("bt 2"))[:2] == ["own_memory", "run"]
    gdb.command("delete")
    gdb.command("rwatch answer")
    assert "Value = 43" in gdb.go("continue")
    assert gdb.reason == "read-watchpoint-trigger"
    gdb.command("delete")
    # Each machine has one at this address. (With `watch`, gdb says nothing where it finds the value
    # that it has last seen, if in the other machine.)
    gdb.command(f"awatch tick_count if {VMID} == 2")
    gdb.go("continue")
    assert gdb.reason == "access-watchpoint-trigger" and where(gdb) == (1, 1)
    assert "VMID 2" in gdb.command("info threads") and "tick" in gdb.command("bt 1")


def test_one_of_two_guests_at_the_same_addresses(gdb: Gdb) -> None:
    """A breakpoint is for all address spaces: a condition chooses the machine, in gdb or in the
    target."""
    gdb.command("set breakpoint condition-evaluation target")
    gdb.command(f"break process_exit if {VMID} == 2")
    for _ in range(2):
        gdb.go("continue")
        assert "VS-mode, VMID 2" in gdb.command("info threads")
    assert "hit 2 times" in gdb.command("info breakpoints")


def test_steps_out_of_a_guest_and_into_it(gdb: Gdb) -> None:
    """A step of an ecall in VS-mode ends in the hypervisor, one of its sret in the guest."""
    gdb.command("tbreak kernel_main")
    gdb.go("continue")
    leave_guest(gdb)
    assert where(gdb) == (1, 0) and "vcpu_exit" in gdb.command("info symbol $pc")
    call = address(gdb, "$sepc")
    listing = gdb.command("x/60i vcpu_run")
    sret = re.search(r"(0x[0-9a-f]+) <[^>]*>:\s+sret", listing)
    assert sret is not None
    gdb.command(f"tbreak *{sret[1]}")
    gdb.go("continue")
    assert "SPV" in gdb.command("p $hstatus") and where(gdb) == (1, 0)
    assert gdb.value("loaded->number") == 1  # the hypervisor's memory
    target = address(gdb, "$sepc")
    gdb.go("stepi")
    assert where(gdb) == (1, 1) and gdb.pc() == target == call + 4
    assert "VS-mode, VMID 1" in gdb.command("info threads")
    gdb.command(f"tbreak *{call:#x} if {VMID} == 1")
    gdb.go("continue")
    assert "ecall" in gdb.command("x/i $pc")
    gdb.go("stepi")
    assert where(gdb) == (1, 0) and gdb.pc() == address(gdb, "&vcpu_exit")
    assert (gdb.value("$scause"), address(gdb, "$sepc")) == (ECALL_FROM_VS, call)
    gdb.command("tbreak handle_exit")  # by source, in the hypervisor
    assert "slice_end" in gdb.go("continue")
    assert names(gdb) == ["handle_exit", "run", "main"]
    assert gdb.value("vm->vcpu.frame.cause") == ECALL_FROM_VS
    assert address(gdb, "vm->vcpu.frame.epc") == call


def test_a_guests_memory_from_the_hypervisor(gdb: Gdb) -> None:
    """`monitor guest on` in HS-mode: memory and page walks are the guest's, by both stages."""
    gdb.command("tbreak process_fork")
    gdb.go("continue")
    leave_guest(gdb)
    assert where(gdb) == (1, 0)
    place = address(gdb, "&processes[0].pid")
    gdb.command("p processes[0].pid", error=True)  # not an address of the hypervisor's
    assert "REFUSED" in gdb.command(f"monitor walk {place:#x}")
    assert "the guest's" in gdb.command("monitor guest on")
    assert gdb.value("processes[0].pid") == 1
    walk = gdb.command(f"monitor walk {place:#x}")
    assert "vsatp: Sv39" in walk and "hgatp: Sv39x4" in walk and "REFUSED" not in walk
    assert "in VS-mode" in walk
    assert "usage" in gdb.command("monitor walk") and "no access" in (
        gdb.command("monitor walk 0 look")
    )
    gdb.command("monitor guest off")
    assert gdb.value("loaded->number") == 1
