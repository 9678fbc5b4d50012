"""What a real gdb shows of the machine: registers, memory, harts, `monitor` commands."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rvemu.debug.process import Process
from rvemu.debug.target import DebugTarget
from rvemu.guests import find_guest
from rvemu.machine import Machine
from tests.debug.gdb import (
    Gdb,
    attached,
    needs_gdb,
    serve_guest,
    served,
    serving,
    wait_for,
)
from tests.debug.small import (
    ADDI_T0,
    BASE,
    COUNTING,
    DATA,
    ECALL,
    LOAD_T1,
    NOP,
    STORE_T0,
    WFI,
    jump,
    place,
    small_machine,
)
from tests.debug.test_points import sv39

pytestmark = needs_gdb

STORE_T1 = 0x0065_3023  # sd t1, 0(a0)


def test_every_csr_is_there_and_prints_its_fields() -> None:
    with served(small_machine("native")) as running, attached(running) as gdb:
        text = gdb.command("info registers csr")
        for name in ("mstatus", "misa", "satp", "hgatp", "vsstatus", "pmpaddr15", "mhpmcounter31",
                     "stimecmp", "henvcfg", "mvendorid", "tselect", "cycle", "mtinst"):  # fmt: skip
            assert re.search(rf"^{name} ", text, re.MULTILINE), name
        assert "unavailable" not in text and "rror" not in text
        assert "MODE=Bare" in gdb.command("info registers satp")
        gdb.command("set $mstatus = $mstatus | (1 << 11) | 2")
        assert "SIE" in gdb.command("info registers sstatus")
        assert "MPP=S" in gdb.command("p $mstatus")
        assert "Machine" in gdb.command("info registers priv")
        assert "V" not in gdb.command("info registers virt").split()[0]
        assert (
            "rror" in gdb.command("set $mvendorid = 1", error=True) or gdb.value("$mvendorid") == 0
        )


def test_a_lesser_hart_has_only_what_it_has() -> None:
    machine = Machine(memory=1 << 20, isa="rv64imac_zicsr")
    place(machine, COUNTING)
    machine.hart["pc"] = BASE
    with served(machine) as running, attached(running) as gdb:
        text = gdb.command("info all-registers")
        assert re.search(r"^mstatus ", text, re.MULTILINE)
        for name in ("ft0", "fcsr", "hgatp", "virt", "stimecmp"):
            assert not re.search(rf"^{name} ", text, re.MULTILINE), name


def test_registers_are_set() -> None:
    machine = small_machine("native")
    with served(machine) as running, attached(running) as gdb:
        gdb.command("set $t0 = 0xfedcba9876543210")
        gdb.command("set $pc = 0x80000008")
        gdb.command("set $priv = 1")
        assert (machine.hart["t0"], machine.hart.pc) == (0xFEDC_BA98_7654_3210, BASE + 8)
        assert machine.hart.mode == "S"
        gdb.command("set $priv = 2", error=True)
        assert machine.hart.mode == "S"
        gdb.command("set $pc = 0x80000001", error=True)
        assert machine.hart.pc == BASE + 8
        gdb.command("set $mstatus |= 8")
        gdb.command("set $satp = 0x8000000000080000")
        assert machine.hart["mstatus.MIE"] == 1 and machine.hart["satp.MODE"] == 8
        gdb.command("set $satp = 0L")
        assert machine.hart["satp"] == 0


def test_memory_by_translation_physical_and_devices() -> None:
    machine = small_machine("native")
    sv39(machine, {0x5000: BASE, 0x6000: DATA})
    machine.write_physical(DATA, b"datum!!!")
    machine.hart["pc"] = 0x5000
    with served(machine) as running, attached(running) as gdb:
        assert '"datum!!!"' in gdb.command("x/s 0x6000")
        assert "not mapped" in gdb.command("x/x 0x80002000", error=True) or "Cannot access" in (
            gdb.command("x/x 0x80002000", error=True)
        )
        gdb.command("monitor phys on")
        assert '"datum!!!"' in gdb.command("x/s 0x80002000")
        assert "Cannot" in gdb.command("x/wx 0x10000000", error=True)
        gdb.command("monitor devices on")
        assert "0x60" in gdb.command("x/bx 0x10000005")  # LSR: the transmitter is empty
        gdb.command("monitor devices off")
        gdb.command("monitor phys off")
        gdb.command("set {int}0x6000 = 0x31323334")
        assert machine.read_physical(DATA, 4) == b"4321"
        assert "0x0000000080000000 0x0000000080100000 rw" in gdb.command("info mem")


def test_writing_code_changes_what_runs() -> None:
    machine = small_machine("native")
    with served(machine) as running, attached(running) as gdb:
        for _ in range(4):
            gdb.go("stepi")
        gdb.command(f"set {{int}}{BASE:#x} = 0x00228293")  # addi t0, t0, 2
        gdb.go("stepi")
        assert machine.hart["t0"] == 3


def test_breakpoints_are_not_in_memory() -> None:
    with served(small_machine("native")) as running, attached(running) as gdb:
        gdb.command(f"break *{BASE + 8:#x}")
        gdb.command("set breakpoint always-inserted on")
        assert "0x00053303" in gdb.command(f"x/wx {BASE + 8:#x}")
        assert running.machine.read_physical(BASE + 8, 4) == b"\x03\x33\x05\x00"
        gdb.go("continue")
        assert gdb.pc() == BASE + 8


def test_steps_across_a_trap_mret_and_wfi(engine: str) -> None:
    """ecall -> handler: csrrw, mret -> wfi, which waits for the timer."""
    machine = small_machine(engine, [ECALL, WFI, NOP, jump(0)])
    handler = BASE + 0x100
    # csrr t0, mepc; addi t0, t0, 4; csrw mepc, t0; mret
    place(machine, [0x3410_22F3, 0x0042_8293, 0x3412_9073, 0x3020_0073], handler)
    machine.hart["mtvec"] = handler
    machine.hart["mie"] = 1 << 7
    machine.hart.mtimecmp = 500
    machine.hart["mstatus.MPP"] = 3
    with served(machine) as running, attached(running) as gdb:
        places = []
        for _ in range(7):
            gdb.go("stepi")
            places.append(gdb.pc() - BASE)
        assert places == [0x100, 0x104, 0x108, 0x10C, 4, 8, 12]
        assert machine.now >= 50_000  # the step of wfi took until the timer's interrupt
        gdb.go("stepi 3")
        assert gdb.pc() == BASE + 12


def test_steps_get_through_reservations_beside_other_harts(engine: str) -> None:
    """Other harts' turns between lr and sc would have no sc succeed, whoever steps."""
    # lr.d t1, (a0); addi t1, t1, 1; sc.d t2, t1, (a0); bnez t2, -12; j -16
    program = [0x1005_332F, 0x0013_0313, 0x1865_33AF, 0xFE03_9AE3, jump(-16)]
    machine = small_machine(engine, program, harts=2)
    machine.harts[1]["a0"] = DATA + 0x100
    with served(machine) as running, attached(running) as gdb:
        gdb.go("stepi 50")
        counts = [machine.read_physical(place, 1)[0] for place in (DATA, DATA + 0x100)]
        assert counts[0] == 10 and counts[1] >= 5


def test_others_run_at_full_speed_while_a_step_of_wfi_waits() -> None:
    machine = small_machine("native", [WFI, NOP, jump(-8)], harts=2)
    place(machine, COUNTING, BASE + 0x100)
    machine.harts[1]["pc"] = BASE + 0x100
    machine.hart["mie"] = 1 << 7
    machine.hart.mtimecmp = 200_000
    with served(machine) as running, attached(running) as gdb:
        gdb.go("stepi")
        assert gdb.pc() == BASE + 4 and machine.now >= 20_000_000
        assert machine.harts[1]["t0"] > 4_000_000
        gdb.go("stepi")
        assert gdb.pc() == BASE + 8


def test_a_hart_that_waits_goes_where_it_is_told(engine: str) -> None:
    """And does not wait there for an interrupt that may never come."""
    machine = small_machine(engine, [WFI, jump(-4)])
    place(machine, [ADDI_T0, jump(0)], BASE + 0x40)
    machine.run(10)
    with served(machine) as running, attached(running) as gdb:
        assert "waiting (WFI)" in gdb.command("info threads")
        gdb.command(f"tbreak *{BASE + 0x44:#x}")
        gdb.go(f"jump *{BASE + 0x40:#x}")
        assert gdb.pc() == BASE + 0x44 and gdb.value("$t0") == 1


def test_steps_hold_interrupts_unless_told() -> None:
    machine = small_machine("native")
    hart = machine.hart
    place(machine, [NOP, NOP], BASE + 0x100)
    hart["mtvec"], hart["mie"], hart["mstatus.MIE"] = BASE + 0x100, 8, 1
    hart.set_interrupt(3, True)
    with served(machine) as running, attached(running) as gdb:
        gdb.go("stepi")
        assert gdb.pc() == BASE + 4
        gdb.command("monitor step-interrupts on")
        gdb.go("stepi")
        assert gdb.pc() == BASE + 0x100


def test_a_watchpoint_shows_each_of_two_accesses_in_a_row(engine: str) -> None:
    """gdb steps the instruction that a RISC-V target stops for: that must be the access itself."""
    program = [ADDI_T0, STORE_T0, STORE_T1, LOAD_T1, LOAD_T1, jump(-20)]
    machine = small_machine(engine, program)
    machine.hart["t1"] = 7
    with served(machine) as running, attached(running) as gdb:
        gdb.command(f"watch *(long *){DATA:#x}")
        for before, after, place_of in ((0, 1, 8), (1, 7, 12)):
            text = gdb.go("continue")
            assert f"Old value = {before}\n" in text and f"New value = {after}\n" in text
            assert gdb.pc() == BASE + place_of
        gdb.command("delete")
        gdb.command(f"rwatch *(long *){DATA:#x}")
        for place_of in (16, 20):
            assert "Value = 7" in gdb.go("continue")
            assert gdb.pc() == BASE + place_of


def test_a_step_meets_a_watchpoint(engine: str) -> None:
    with served(small_machine(engine)) as running, attached(running) as gdb:
        gdb.command(f"awatch *(long *){DATA:#x}")
        gdb.go("stepi")
        assert gdb.reason == "end-stepping-range" and gdb.pc() == BASE + 4
        assert "New value = 1" in gdb.go("stepi")
        assert gdb.reason == "access-watchpoint-trigger" and gdb.pc() == BASE + 8
        assert "Value = 1" in gdb.go("stepi 3")
        assert gdb.reason == "access-watchpoint-trigger" and gdb.pc() == BASE + 12


def test_range_stepping_is_done_by_the_target() -> None:
    """`until` and `next` in code with lines; here the packet itself, through gdb."""
    machine = small_machine("native")
    with served(machine) as running, attached(running) as gdb:
        text = gdb.command("maint packet vCont?")
        assert ";r" in text and ";s" in text


def test_four_harts_are_threads() -> None:
    machine = small_machine("native", harts=4)
    machine.harts[3].mode = "S"
    with served(machine) as running, attached(running) as gdb:
        text = gdb.command("info threads")
        for n in range(4):
            assert f'"hart {n}"' in text
        assert "S-mode, ASID 0, running" in text and "M-mode, running" in text
        gdb.command("thread 3")
        gdb.command("set $t0 = 100")
        assert machine.harts[2]["t0"] == 100
        gdb.command("set scheduler-locking on")
        gdb.command(f"break *{BASE + 8:#x} thread 3")
        gdb.go("continue")
        assert gdb.stops[-1]["thread-id"] == "3" and machine.harts[2]["t0"] == 101
        gdb.command("delete")
        before = [int(hart.pc) for hart in machine.harts]
        gdb.go("stepi")
        after = [int(hart.pc) for hart in machine.harts]
        assert [n for n in range(4) if before[n] != after[n]] == [2]


def test_other_harts_go_on_while_one_steps() -> None:
    """A hart that waits for another can be stepped through the wait."""
    machine = small_machine("native", harts=2)
    with served(machine) as running, attached(running) as gdb:
        gdb.go("stepi 20")
        assert machine.harts[1]["t0"] >= 4


@contextmanager
def second_hart_runs() -> Iterator[tuple[Machine, Gdb]]:
    """In non-stop mode, while the first stands still."""
    machine = small_machine("native", harts=2)
    with (
        served(machine) as running,
        attached(running, "set non-stop on", "set mi-async on") as gdb,
    ):
        gdb.command("thread 2")
        gdb.command("continue &")
        yield machine, gdb


def test_non_stop() -> None:
    with second_hart_runs() as (machine, gdb):
        wait_for(lambda: machine.harts[1]["t0"] > 1000)
        assert machine.harts[0]["t0"] == 0
        assert "(running)" in gdb.command("info threads")
        count = len(gdb.stops)
        gdb.command("interrupt")
        gdb.wait(count + 1)
        assert "(running)" not in gdb.command("info threads")


def test_non_stop_run_and_reset() -> None:
    with second_hart_runs() as (machine, gdb):
        gdb.command("monitor reset")  # of what runs: it goes on
        wait_for(lambda: machine.now > 0)
        gdb.command("kill")
        count = len(gdb.stops)
        gdb.command("run &")
        gdb.command("interrupt -a")
        gdb.wait(count + 2)
        assert "(running)" not in gdb.command("info threads")


def test_disconnect_and_reattach() -> None:
    machine = small_machine("native")
    with served(machine) as running:
        with attached(running) as gdb:
            gdb.command(f"break *{BASE + 4:#x}")
            gdb.go("continue")
            gdb.command("detach")
        seen = machine.hart["t0"]
        # It runs on, and no breakpoint is left.
        wait_for(lambda: machine.hart["t0"] > seen + 1000)
        with attached(running) as gdb:
            assert machine.hart["t0"] == gdb.value("$t0")
            gdb.command("disconnect")


def test_find_in_all_of_a_big_memory() -> None:
    machine = Machine(memory=512 << 20)
    machine.write_physical(0x9FFF_FFF0, b"needle")
    with served(machine) as running, attached(running) as gdb:
        text = gdb.command("find /b 0x80000000, +0x20000000, 'n', 'e', 'e', 'd', 'l', 'e'")
        assert "0x9ffffff0" in text and "1 pattern found" in text


def test_detach_and_attach_on_one_connection() -> None:
    """gdb stays connected; what it had switched on is off, or the guest would stop by itself."""
    machine = small_machine("native", [ECALL])
    machine.hart["mtvec"] = BASE
    with served(machine) as running, attached(running) as gdb:
        gdb.command(f"break *{BASE + 4:#x}")
        gdb.command("monitor stop-on trap")
        gdb.command("detach")
        seen = machine.now
        wait_for(lambda: machine.now > seen)
        gdb.go("attach 1")
        assert gdb.pc() == BASE
        gdb.go("stepi")
        assert "hart 0" in gdb.command("info threads")


def test_interrupt_from_gdb() -> None:
    with (
        served(small_machine("native")) as running,
        attached(running, "set mi-async on") as gdb,
    ):
        count = len(gdb.stops)
        gdb.command("continue &")
        time.sleep(0.1)
        gdb.command("interrupt")
        gdb.wait(count + 1)
        assert gdb.stops[-1].get("signal-name") == "SIGINT"


def test_load_into_the_guest() -> None:
    path = find_guest("hello")
    printed = bytearray()
    machine = Machine(memory=64 << 20, output=printed.extend)
    with served(machine) as running, attached(running, path=path) as gdb:
        assert "Loading section .text" in gdb.command("load")
        assert "exited normally" in gdb.go("continue")
        assert b"hello" in printed.lower()


def _monitor(gdb: Gdb, line: str) -> str:
    return gdb.command(f"monitor {line}")


def test_monitor_commands() -> None:
    machine = small_machine("native", harts=2)
    sv39(machine, {0x5000: BASE, 0x6000: DATA})
    machine.hart["pc"] = 0x5000
    with served(machine) as running, attached(running) as gdb:
        text = _monitor(gdb, "help")
        for word in ("phys on|off", "stop-on", "walk", "csr NAME", "tlb", "pmp", "harts"):
            assert word in text
        assert "MODE" in _monitor(gdb, "csr satp")
        assert "no CSR" in _monitor(gdb, "csr nonsense")
        assert "level 0" in _monitor(gdb, "walk 0x6000") and "REFUSED" in _monitor(gdb, "walk 0")
        assert "satp.MODE = 0x8" in _monitor(gdb, "csr satp.MODE")
        assert "fetch at 0x5000" in _monitor(gdb, "walk $pc fetch")
        assert "NAPOT" in _monitor(gdb, "pmp")
        assert "hart 1: M-mode" in _monitor(gdb, "harts")
        assert "UART" in _monitor(gdb, "devices") or "uart" in _monitor(gdb, "devices")
        gdb.go("stepi 3")
        assert "pages of data" in _monitor(gdb, "tlb")
        assert "use gdb's own" in _monitor(gdb, "continue")
        assert "usage" in _monitor(gdb, "phys maybe") and "off" in _monitor(gdb, "settings")
        assert "no command" in _monitor(gdb, "nonsense")
        assert _monitor(gdb, "help stop-on").count("\n") == 1
        assert _monitor(gdb, "help w").startswith("walk, w")
        for line in ("reset now", "settings all", "tlb 1"):
            assert "takes no arguments" in _monitor(gdb, line)
        assert machine.now > 0  # not reset
        gdb.command("thread 2")
        assert "*" in re.search(r".*hart 1.*", _monitor(gdb, "harts"))[0]  # type: ignore[index]


def test_monitor_traps_and_stops(engine: str) -> None:
    machine = small_machine(engine, [ECALL, jump(-4)])
    place(machine, [0x3410_22F3, 0x0042_8293, 0x3412_9073, 0x3020_0073], BASE + 0x100)
    machine.hart["mtvec"] = BASE + 0x100
    machine.hart.mode = "U"
    machine.hart["pmpaddr0"] = (1 << 54) - 1
    machine.hart["pmpcfg0"] = 0x1F
    with served(machine) as running, attached(running) as gdb:
        assert "stops on: trap" in _monitor(gdb, "stop-on trap")
        text = gdb.go("continue")
        assert "stopped by a trap" in text and gdb.pc() == BASE + 0x100
        _monitor(gdb, "stop-on off")
        _monitor(gdb, "stop-on mode")
        assert "M->U" in gdb.go("continue")
        assert machine.hart.mode == "U" and gdb.pc() == BASE + 4
        _monitor(gdb, "stop-on mode off")
        _monitor(gdb, "traps on")
        gdb.command(f"tbreak *{BASE + 0x10C:#x}")
        assert "ecall" in gdb.go("continue").lower() or "environment" in gdb.go("stepi").lower()
        _monitor(gdb, "traps off")
        assert "nothing to stop on" in _monitor(gdb, "stop-on nonsense")


def test_what_a_debugger_switched_on_ends_when_it_leaves() -> None:
    """A guest that only traps runs on when gdb is gone, though that had it stop at traps."""
    machine = small_machine("native", [ECALL])
    machine.hart["mtvec"] = BASE
    with served(machine) as running:
        with attached(running) as gdb:
            _monitor(gdb, "stop-on trap")
            _monitor(gdb, "phys on")
            gdb.go("continue")
        time.sleep(0.2)
        before = machine.now
        wait_for(lambda: machine.now > before)
        assert not running.target.processes[0].memory.physical and not machine.hooks.trap


def test_a_guest_that_is_traced_can_be_interrupted() -> None:
    machine = small_machine("native", [ECALL])
    machine.hart["mtvec"] = BASE
    with served(machine) as running, attached(running, "set mi-async on") as gdb:
        for line in ("traps on", "trace on"):
            _monitor(gdb, line)
            count, before = len(gdb.stops), machine.now
            text = gdb.command("continue &")
            wait_for(lambda: machine.now > before)  # noqa: B023 - called at once
            # What it has printed may come with any of these, or while the stop is waited for.
            text += gdb.command("interrupt") + gdb.wait(count + 1)
            assert "ecall" in text.lower()


def test_monitor_trace_and_reset(tmp_path: Path) -> None:
    with serve_guest("hello") as running, attached(running) as gdb:
        start = gdb.pc()
        _monitor(gdb, f"trace {tmp_path}/trace.txt")
        gdb.go("stepi 5")
        _monitor(gdb, "trace off")
        assert len((tmp_path / "trace.txt").read_text().splitlines()) == 5
        _monitor(gdb, "reset")
        gdb.command("maintenance flush register-cache")
        assert gdb.pc() == start


def test_kill_and_run_again() -> None:
    with serve_guest("hello") as running, attached(running) as gdb:
        gdb.command("break main")
        gdb.go("continue")
        gdb.command("kill")
        gdb.go("run")
        assert "main" in gdb.command("bt 1")


@pytest.mark.parametrize("loss", ["continue", "stop"])
def test_a_gdb_that_vanishes(loss: str) -> None:
    machine = small_machine("native")
    with serving(DebugTarget(Process(machine)), on_loss=loss) as running:
        gdb = Gdb()
        gdb.attach(running)
        gdb.command(f"break *{BASE + 4:#x}")
        gdb.go("continue")
        gdb.vanish()
        time.sleep(0.3)
        before = machine.hart["t0"]
        if loss == "continue":
            wait_for(lambda: machine.hart["t0"] > before)
        else:
            time.sleep(0.2)
            assert machine.hart["t0"] == before


def test_what_cannot_be_is_an_error_and_no_harm() -> None:
    with served(small_machine("native")) as running, attached(running) as gdb:
        gdb.command("x/x 0x10", error=True)
        gdb.command("set {int}0x10 = 1", error=True)
        gdb.command("maint packet p ffff")
        gdb.command("maint packet m 0,ffffffffffffffff")
        gdb.command("maint packet Z2,0,0")
        gdb.command("maint packet Z0,80000001,4")
        gdb.command("maint packet Z9,0,0")
        gdb.command("maint packet c80000001")
        gdb.command("maint packet s7fffffff")
        gdb.go("stepi")
        assert running.machine.hart["t0"] == 1


def test_stop_on_an_exit_of_a_guest() -> None:
    """At V=1: a trap that the guest takes itself is none."""
    machine = small_machine("native", [ECALL])
    hart = machine.hart
    place(machine, [ECALL], BASE + 0x100)
    hart["medeleg"] = hart["hedeleg"] = 1 << 8  # ecall from VU-mode
    hart["vstvec"], hart["mtvec"] = BASE + 0x100, BASE + 0x200
    hart["pmpaddr0"], hart["pmpcfg0"] = (1 << 54) - 1, 0x1F
    hart.mode = "VU"
    with served(machine) as running, attached(running) as gdb:
        _monitor(gdb, "stop-on vm-exit")
        assert "stopped by a trap" in gdb.go("continue")
        assert hart["mcause"] == 10 and gdb.pc() == BASE + 0x200 and hart["vscause"] == 8


def test_a_guest_at_v1_is_seen_through_both_stages() -> None:
    """VS-mode with both stages on: memory, breakpoints and `info threads`; and from HS-mode with
    `monitor guest`."""
    machine = small_machine("native")
    sv39(machine, {0x5000: BASE, 0x6000: DATA})
    hart = machine.hart
    hart["vsatp"], hart["satp"] = hart["satp"], 0
    root = BASE + 0x14000  # Sv39x4: four pages, aligned
    for index in range(4):
        entry = index << 28 | 0xDF
        machine.write_physical(root + 8 * index, entry.to_bytes(8, "little"))
    hart["hgatp"] = 8 << 60 | 7 << 44 | root >> 12
    hart["pc"] = 0x5000
    hart["a0"] = 0x6000
    hart["mtvec"] = BASE
    machine.write_physical(DATA + 8, b"inside\0")
    hart.mode = "VS"
    with served(machine) as running, attached(running) as gdb:
        assert "VS-mode, VMID 7" in gdb.command("info threads") and gdb.value("$virt") == 1
        assert '"inside"' in gdb.command("x/s 0x6008")
        gdb.command("break *0x5008")
        gdb.go("continue")
        assert gdb.pc() == 0x5008 and gdb.value("*(long *)0x6000") == 1
        gdb.command("delete")
        gdb.command("watch *(long *)0x6000")
        assert "New value = 2" in gdb.go("continue")
        assert "G stage" in _monitor(gdb, "walk 0x6000")
        gdb.command("set $virt = 0")
        gdb.command("x/s 0x6008", error=True)
        _monitor(gdb, "guest on")
        assert '"inside"' in gdb.command("x/s 0x6008")
