"""Source-level debugging of tinyos with a real gdb: from M-mode through S-mode paging into U-mode
processes."""

import re
from collections.abc import Iterator

import pytest

from tests.debug.gdb import Gdb, Served, attached, needs_gdb, serve_guest

pytestmark = needs_gdb


@pytest.fixture
def tinyos() -> Iterator[Served]:
    with serve_guest("tinyos") as running:
        yield running


@pytest.fixture
def gdb(tinyos: Served) -> Iterator[Gdb]:
    with attached(tinyos) as found:
        yield found


def test_from_boot_into_a_process(gdb: Gdb) -> None:
    """M-mode, S-mode without and with paging, U-mode: symbols, sources and lines in each."""
    assert "M-mode" in gdb.command("info threads")
    assert "csrw mie, zero" in gdb.command("list sbi_stub_entry.S:11,11")
    gdb.command("break *0x80200000")  # the kernel's entry, before paging
    gdb.go("continue")
    assert gdb.pc() == 0x8020_0000 and gdb.value("$priv") == 1 and gdb.value("$satp") == 0
    gdb.command("break kernel_main")  # not mapped yet
    gdb.go("continue")
    assert gdb.reason == "breakpoint-hit"
    assert "kernel_main" in gdb.command("bt") and gdb.value("$priv") == 1
    assert "MODE=Sv39" in gdb.command("info registers satp")
    gdb.command("break user_main")
    gdb.go("continue")
    assert "U-mode, ASID 1" in gdb.command("info threads") and gdb.value("$priv") == 0
    assert "init is in U-mode" in gdb.command("list user_main")
    assert gdb.value("answer") == 42  # the process's memory, by its own tables
    assert gdb.value("processes[0].pid") == 1  # and the kernel's, which U-mode may not read


def test_conditions_and_temporary_breakpoints(gdb: Gdb) -> None:
    gdb.command("break process_exit if code == 43")
    gdb.go("continue")
    assert gdb.value("code") == 43 and gdb.value("process->pid") == 3
    gdb.command("tbreak process_exit")
    gdb.go("continue")
    assert gdb.value("code") == 0
    assert "tbreak" not in gdb.command("info breakpoints")
    assert "hit 1 time" in gdb.command("info breakpoints")


def test_conditions_that_the_target_evaluates(gdb: Gdb) -> None:
    gdb.command("set breakpoint condition-evaluation target")
    gdb.command("break user_trap if frame->cause == 12")
    gdb.go("continue")
    assert gdb.value("frame->cause") == 12
    assert gdb.value("((struct process *)frame)->pid") > 1


def test_dprintf_in_the_target(gdb: Gdb) -> None:
    gdb.command("set dprintf-style agent")
    gdb.command('dprintf process_exit,"exit of %d\\n",process->pid')
    gdb.command("break power_off")
    assert "exit of 3" in gdb.go("continue")


def test_hardware_breakpoint(gdb: Gdb) -> None:
    gdb.command("hbreak process_fork")
    assert "process_fork" in gdb.go("continue")
    assert gdb.reason == "breakpoint-hit"


def test_watchpoints_say_the_old_and_the_new_value(gdb: Gdb) -> None:
    gdb.command("break process_init")
    gdb.go("continue")
    gdb.command("watch tick_count")
    text = gdb.go("continue")
    assert "Old value = 2" in text and "New value = 3" in text and "timer_tick" in text
    text = gdb.go("continue")
    assert "Old value = 3" in text and "New value = 4" in text


def test_read_and_access_watchpoints(gdb: Gdb) -> None:
    gdb.command("break process_init")
    gdb.go("continue")
    gdb.command("rwatch tick_count")
    assert "Value = 2" in gdb.go("continue")
    assert gdb.reason == "read-watchpoint-trigger"
    gdb.command("delete")
    gdb.command("awatch tick_count")
    assert "New value = 3" in gdb.go("continue")
    assert gdb.reason == "access-watchpoint-trigger"


def test_several_watchpoints_of_different_sizes(gdb: Gdb) -> None:
    gdb.command("break process_init")
    gdb.go("continue")
    gdb.command("watch last_pid")
    gdb.command("watch *(char *)&processes[0].state")
    gdb.command("watch processes[0].frame")  # 288 bytes
    seen = {re.search(r"watchpoint \d+: (.*)", gdb.go("continue"))[1] for _ in range(4)}  # type: ignore[index]
    assert {"last_pid", "processes[0].frame"} <= seen


def test_step_next_finish_until(gdb: Gdb) -> None:
    gdb.command("break schedule")
    gdb.go("continue")
    gdb.go("finish")
    assert "kernel_main" in gdb.command("info symbol $pc")
    line = gdb.command("info line")
    gdb.go("next")
    assert gdb.command("info line") != line
    gdb.command("delete")
    gdb.command("tbreak sys_fork")
    gdb.go("continue")
    assert "process_fork" in gdb.go("step")
    assert "Value returned" in gdb.go("finish")
    assert "sys_fork" in gdb.command("bt 1")
    gdb.command("tbreak processes_wake")
    gdb.go("continue")
    before = gdb.pc()
    gdb.go("until")
    assert gdb.pc() != before
    gdb.go("advance user_trap")
    assert "user_trap" in gdb.command("bt 1")


def test_stepping_over_a_page_fault_and_a_system_call(gdb: Gdb) -> None:
    """In a user program: `next` over a store that faults, and over calls of the kernel."""
    gdb.command("break demand_paging")
    gdb.go("continue")
    assert gdb.value("$priv") == 0
    modes = []
    assert "REFUSED" in gdb.command("monitor walk 0x1000000 store")
    for _ in range(3):
        gdb.go("next")
        modes.append((gdb.value("$priv"), "demand_paging" in gdb.command("bt 1")))
    assert (0, True) in modes
    assert "REFUSED" not in gdb.command("monitor walk 0x1000000 store")


def test_call_of_a_function_of_the_guest(gdb: Gdb) -> None:
    gdb.command("break process_fork")
    gdb.go("continue")
    free = gdb.value("pages_free()")
    assert 0 < free < 1024
    assert gdb.value("ticks()") == gdb.value("tick_count")
    gdb.command("call processes_wake()")
    assert gdb.value("pages_free()") == free


def test_backtrace_through_a_trap(gdb: Gdb) -> None:
    gdb.command("break process_fork")
    gdb.go("continue")
    above, below = gdb.command("bt").split("<signal handler called>")
    names = re.findall(r"#\d+ .*?(\w+) \(", above)
    assert names[:2] == ["process_fork", "sys_fork"] and names[-1] == "user_trap"
    names = re.findall(r"#\d+ .*?(\w+) \(", below)  # in U-mode
    assert names[0] == "fork" and names[-2:] == ["user_main", "__user_start"]


def test_backtrace_where_a_trap_handler_saves_the_registers(gdb: Gdb) -> None:
    gdb.command("break *user_trap_entry if $scause == 8")
    gdb.go("continue")
    for _ in range(4):
        names = re.findall(r"^#\d+ .*?(\w+) \(", gdb.command("bt"), re.MULTILINE)
        assert names[0] == "user_trap_entry" and names[-2:] == ["user_main", "__user_start"]
        gdb.go("stepi 10")


def test_backtrace_through_a_page_fault(gdb: Gdb) -> None:
    """Up to the instruction that faulted, with the registers that it had."""
    gdb.command("break user_trap if frame->cause == 15")
    gdb.go("continue")
    frames = gdb.command("bt").splitlines()
    trap = next(n for n, line in enumerate(frames) if "<signal handler called>" in line)
    assert "__user_start" in frames[-1]
    gdb.command(f"frame {trap + 1}")
    assert gdb.pc() == gdb.value("$sepc")
    gdb.command("delete")
    gdb.command("break *$pc")
    sp = gdb.value("$sp")
    gdb.go("continue")
    assert gdb.value("$priv") == 0 and gdb.value("$sp") == sp


def test_backtraces_end_where_nobody_has_called(gdb: Gdb) -> None:
    """In the firmware, in the kernel and in a process: assembly that was entered, not called."""
    for place, names in (
        ("stub_setup", ["stub_setup", "_start"]),
        ("kernel_main", ["kernel_main", "high"]),
        ("user_main", ["user_main", "__user_start"]),
        ("write", ["write", "say", "user_main", "__user_start"]),
    ):
        gdb.command(f"tbreak {place}")
        gdb.go("continue")
        text = gdb.command("bt")
        assert re.findall(r"^#\d+ .*?(\w+) \(", text, re.MULTILINE) == names
        assert all(line.startswith("#") for line in text.split("\n") if line), text


def test_variables_and_registers_can_be_changed(gdb: Gdb) -> None:
    gdb.command("break process_fork")
    gdb.go("continue")
    gdb.command("set var processes[0].exit_code = 99")
    assert gdb.value("parent->exit_code") == 99
    gdb.command("set $s5 = 0x123456789abcdef0")
    assert gdb.value("$s5") == 0x1234_5678_9ABC_DEF0
    gdb.command("set $sscratch = 0x55")
    assert gdb.value("$sscratch") == 0x55
    gdb.command("set $fa0.double = 1.5")
    assert "1.5" in gdb.command("p $fa0.double")
    gdb.command("delete")
    gdb.command("break user_trap")
    gdb.go("continue")
    assert gdb.value("$priv") == 1


def test_read_only_memory_of_the_guest_can_be_written(gdb: Gdb) -> None:
    """A page without W is no obstacle for a debugger, and what it writes is executed."""
    gdb.command("break process_fork")
    gdb.go("continue")
    at = gdb.value("(unsigned long)&process_reap")
    gdb.command(f"set {{short}}{at:#x} = 0x8082")  # ret
    assert gdb.value("process_reap(0, 0, 0)") == 0


def test_the_guest_ends(gdb: Gdb, tinyos: Served) -> None:
    text = gdb.go("continue")
    assert "exited normally" in text
    assert not tinyos.target.threads()
    assert "there is no thread" in gdb.command("monitor harts")
    gdb.command("break kernel_main")
    gdb.go("run")
    assert "kernel_main" in gdb.command("bt 1")
