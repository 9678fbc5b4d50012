"""Breakpoints and watchpoints of the model, in both engines."""

import pytest

from rvemu.hart.decoded import release_all_decoded
from rvemu.hart.points import WATCH_READ, WATCH_WRITE
from rvemu.hart.state import PASS_NEXT, PASS_NEXT_WATCHED, STOP_BREAKPOINT, STOP_WATCHPOINT
from rvemu.hart.tlb import flush_all
from rvemu.machine import Machine
from tests.debug.small import (
    ADDI_T0,
    BASE,
    DATA,
    ECALL,
    LOAD_T1,
    STORE_T0,
    jump,
    place,
    small_machine,
)

LOOP = 4  # instructions in a round of small.COUNTING


class Watcher:
    """Sets points, notes where the hart stops for them, and lets it pass `passes` times."""

    def __init__(self, machine: Machine, passes: int = 0) -> None:
        self.machine = machine
        self.passes = passes
        self.met: list[tuple[int, int]] = []  # reason and pc
        machine.hooks.point.append(self._on_point)

    def _on_point(self, number: int) -> None:
        h = self.machine.harts[number].state
        self.met.append((h.stop_reason, h.pc))
        if len(self.met) <= self.passes:
            h.point_pass = PASS_NEXT if h.stop_reason == STOP_BREAKPOINT else PASS_NEXT_WATCHED
        else:
            self.machine.scheduler.end_by(self.machine.now)

    def break_at(self, *addresses: int) -> None:
        shared = self.machine.shared
        for n, address in enumerate(addresses):
            shared.breakpoints[n] = address
        shared.breakpoint_count = len(addresses)
        release_all_decoded(self.machine.hart.state)

    def watch(self, address: int, length: int, access: int) -> None:
        shared = self.machine.shared
        n = shared.watch_count
        shared.watch_first[n], shared.watch_last[n] = address, address + length - 1
        shared.watch_access[n] = access
        shared.watch_count = n + 1
        for hart in self.machine.harts:
            flush_all(hart.state)

    def run(self, budget: int = 1000) -> None:
        count = len(self.met) + 1 + self.passes
        self.machine.run(budget, until=lambda: len(self.met) >= count)


def test_breakpoint_stops_before_its_instruction(engine: str) -> None:
    machine = small_machine(engine)
    watcher = Watcher(machine)
    watcher.break_at(BASE + 8, BASE + 0x123450)
    watcher.run()
    assert watcher.met == [(STOP_BREAKPOINT, BASE + 8)]
    assert machine.hart.pc == BASE + 8
    assert machine.hart["t1"] == 0 and machine.hart["t0"] == 1
    assert machine.now == 2


def test_breakpoint_is_met_again_until_it_is_passed(engine: str) -> None:
    machine = small_machine(engine)
    watcher = Watcher(machine)
    watcher.break_at(BASE + 4)
    watcher.run()
    watcher.run()
    assert machine.now == 1 and len(watcher.met) == 2
    machine.hart.state.point_pass = PASS_NEXT
    watcher.run()
    assert machine.now == 1 + LOOP and len(watcher.met) == 3


def test_passing_ends_with_the_instruction(engine: str) -> None:
    """A jump to itself at a breakpoint meets it each time."""
    machine = small_machine(engine, [jump(0)])
    watcher = Watcher(machine, passes=5)
    watcher.break_at(BASE)
    watcher.run()
    assert len(watcher.met) == 6 and machine.now == 5


def test_breakpoint_set_after_its_instruction_ran(engine: str) -> None:
    machine = small_machine(engine)
    machine.run(100)
    watcher = Watcher(machine)
    watcher.break_at(BASE + 12)
    watcher.run()
    assert machine.hart.pc == BASE + 12
    watcher.break_at()
    machine.run(100)
    assert len(watcher.met) == 1


def test_breakpoint_stays_when_its_instruction_is_written(engine: str) -> None:
    machine = small_machine(engine)
    watcher = Watcher(machine)
    watcher.break_at(BASE + 8)
    watcher.run()
    place(machine, [LOAD_T1], BASE + 8)
    machine.hart.state.point_pass = PASS_NEXT
    watcher.run()
    assert len(watcher.met) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_breakpoint_at_an_instruction_in_two_pages(engine: str, compressed: bool) -> None:
    machine = small_machine(engine)
    place(machine, [ADDI_T0, jump(-4)], BASE + 0xFFE)
    if compressed:
        machine.write_physical(BASE + 0xFFE, bytes.fromhex("01000100"))  # two c.nop
    machine.hart["pc"] = BASE + 0xFFE
    watcher = Watcher(machine)
    watcher.break_at(BASE + 0xFFE)
    watcher.run()
    assert machine.hart.pc == BASE + 0xFFE and machine.now == 0
    machine.hart.state.point_pass = PASS_NEXT
    machine.run(1)
    assert machine.hart.pc == BASE + (0x1000 if compressed else 0x1002)


def sv39(machine: Machine, pages: dict[int, int]) -> None:
    """Map virtual pages of 4 KiB below 2 MiB, and enter S-mode."""
    root, middle, leaf = BASE + 0x10000, BASE + 0x11000, BASE + 0x12000

    def entry(table: int, index: int, value: int) -> None:
        machine.write_physical(table + 8 * index, value.to_bytes(8, "little"))

    entry(root, 0, middle >> 2 | 1)
    entry(middle, 0, leaf >> 2 | 1)
    for virtual, physical in pages.items():
        entry(leaf, virtual >> 12, physical >> 2 | 0xCF)
    machine.hart["pmpaddr0"] = (1 << 54) - 1
    machine.hart["pmpcfg0"] = 0x1F
    machine.hart["satp"] = 8 << 60 | root >> 12
    machine.hart.mode = "S"


def test_breakpoints_are_virtual(engine: str) -> None:
    """One physical page at two addresses, decoded at the first before it is entered at the second,
    where the breakpoint is."""
    machine = small_machine(engine, [ADDI_T0, ADDI_T0, jump(0x1000 - 8)])
    sv39(machine, {0x5000: BASE, 0x6000: BASE, 0x7000: BASE})
    machine.hart["pc"] = 0x5000
    watcher = Watcher(machine)
    watcher.break_at(0x6004)
    watcher.run()
    assert machine.hart.pc == 0x6004 and machine.hart["t0"] == 3
    # A store empties the slot, and it is decoded again at the first address.
    place(machine, [ADDI_T0, ADDI_T0])
    machine.hart["pc"] = 0x5000
    watcher.run()
    assert machine.hart.pc == 0x6004 and machine.hart["t0"] == 6


def test_a_breakpoint_comes_before_a_fetch_that_faults(engine: str) -> None:
    """gdb has the functions that it calls return to a breakpoint on the stack."""
    machine = small_machine(engine)
    sv39(machine, {0x5000: BASE})
    machine.hart["pc"] = 0x9000
    machine.hart["mtvec"] = BASE
    watcher = Watcher(machine)
    watcher.break_at(0x9000)
    watcher.run(2)
    assert watcher.met == [(STOP_BREAKPOINT, 0x9000)] and machine.now == 0
    machine.hart.state.point_pass = PASS_NEXT
    machine.run(1)
    assert machine.hart["mcause"] == 12


def test_no_interrupt_comes_before_an_instruction_that_is_passed(engine: str) -> None:
    machine = small_machine(engine)
    place(machine, [ADDI_T0], BASE + 0x100)
    hart = machine.hart
    hart["mtvec"] = BASE + 0x100
    hart["mie"] = 1 << 3
    hart["mstatus.MIE"] = 1
    hart.set_interrupt(3, True)
    hart.state.point_pass = PASS_NEXT
    machine.run(1)
    assert hart["t0"] == 1 and hart.pc == BASE + 4
    machine.run(1)
    assert hart["mepc"] == BASE + 4 and hart.pc == BASE + 0x104


@pytest.mark.parametrize(
    ("access", "instruction"), [(WATCH_WRITE, STORE_T0), (WATCH_READ, LOAD_T1)]
)
def test_watchpoint_stops_before_the_access(engine: str, access: int, instruction: int) -> None:
    machine = small_machine(engine)
    machine.run(2 * LOOP)  # the TLB holds the page
    machine.hart["t1"] = 77
    watcher = Watcher(machine)
    watcher.watch(DATA + 4, 1, access)
    watcher.run()
    place_of = BASE + 4 if instruction == STORE_T0 else BASE + 8
    assert watcher.met == [(STOP_WATCHPOINT, place_of)]
    assert machine.hart.state.watch_address == DATA + 4
    before = 2 if access == WATCH_WRITE else 3
    assert machine.read_physical(DATA, 1)[0] == before
    assert machine.hart["t1"] == 77
    machine.hart.state.point_pass = PASS_NEXT_WATCHED
    machine.run(1)
    assert machine.hart.pc == place_of + 4
    assert machine.read_physical(DATA, 1)[0] == 3
    assert machine.hart["t1"] == (77 if access == WATCH_WRITE else 3)


def test_watchpoint_leaves_other_bytes_alone(engine: str) -> None:
    machine = small_machine(engine)
    watcher = Watcher(machine)
    watcher.watch(DATA + 8, 8, WATCH_READ | WATCH_WRITE)
    watcher.watch(DATA - 8, 8, WATCH_READ | WATCH_WRITE)
    machine.run(10 * LOOP)
    assert not watcher.met and machine.hart["t1"] == 10


@pytest.mark.parametrize(
    ("instruction", "access", "meets"),
    [
        (0x0055_332F, WATCH_READ, True),  # amoadd.d t1, t0, (a0)
        (0x0055_332F, WATCH_WRITE, True),
        (0x1005_332F, WATCH_READ, True),  # lr.d t1, (a0)
        (0x1005_332F, WATCH_WRITE, False),
        (0x1855_332F, WATCH_READ, True),  # sc.d t1, t0, (a0), without a reservation
        (0x1855_332F, WATCH_WRITE, True),
        (0x0045_200F, WATCH_WRITE, True),  # cbo.zero (a0)
    ],
)
def test_watchpoint_of_other_accesses(
    engine: str, instruction: int, access: int, meets: bool
) -> None:
    machine = small_machine(engine, [instruction, jump(0)])
    watcher = Watcher(machine)
    watcher.watch(DATA, 8, access)
    machine.run(1, until=lambda: bool(watcher.met))
    assert bool(watcher.met) == meets


def test_watchpoint_of_an_access_in_two_pages(engine: str) -> None:
    machine = small_machine(engine)
    machine.hart["a0"] = DATA + 0xFFC
    watcher = Watcher(machine)
    watcher.watch(DATA + 0x1000, 1, WATCH_WRITE)
    watcher.run()
    assert watcher.met == [(STOP_WATCHPOINT, BASE + 4)]
    assert machine.hart.state.watch_address == DATA + 0x1000


def test_a_watched_access_that_faults_is_a_trap(engine: str) -> None:
    machine = small_machine(engine)
    sv39(machine, {0x5000: BASE})
    machine.hart["pc"] = 0x5000
    machine.hart["a0"] = 0x9000
    machine.hart["mtvec"] = BASE
    watcher = Watcher(machine)
    watcher.watch(0x9000, 8, WATCH_WRITE)
    watcher.run(2)
    assert not watcher.met and machine.hart["mcause"] == 15


def test_a_held_hart_does_not_run(engine: str) -> None:
    machine = small_machine(engine, harts=2)
    machine.scheduler.held = {0}
    machine.run(40)
    assert machine.harts[0].pc == BASE and machine.harts[0]["t0"] == 0
    assert machine.harts[1]["t0"] == 10
    machine.scheduler.held = set()
    machine.run(50_000)
    assert machine.harts[0]["t0"] > 1000


def test_passing_a_breakpoint_ends_with_a_trap(engine: str) -> None:
    machine = small_machine(engine, [ECALL])
    machine.hart["mtvec"] = BASE
    watcher = Watcher(machine, passes=3)
    watcher.break_at(BASE)
    watcher.run()
    assert len(watcher.met) == 4 and machine.now == 3
