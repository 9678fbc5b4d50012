"""A debugger's breakpoints and watchpoints in virtual machines: they are met where and when a real
hart meets them, and elsewhere the guest runs directly."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gdbstub import Kind, Point
from rvemu.board import UART_BASE
from rvemu.debug.points import DebugPoints
from rvemu.guests import expected_output
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.state import PASS_NEXT, PASS_NEXT_WATCHED, STOP_BREAKPOINT, STOP_WATCHPOINT
from rvemu.lang import M64
from rvemu.vmm.host import VMM_BASE, Host
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import EMULATE, MODES, PARAVIRT, TRANSPARENT, VirtualMachine
from tests.assembler import A0, A1, A2, A3, A4, Assembler
from tests.vmm.privileged_programs import BASE, DATA, TABLES, WINDOW, PrivilegedProgram
from tests.vmm.programs import DIRECT, bundled, virtual_machine, visible

Met = tuple[int, int, int, int]


class Debugger:
    """Sets points in a guest, notes where it meets them, and lets it pass."""

    def __init__(self, machine: VirtualMachine, most: int = 1 << 30) -> None:
        self.machine = machine.machine
        self.met: list[Met] = []  # reason, pc, clock, and the watched address or 0
        self.most = most
        self.points = DebugPoints(self.machine.shared, [self.machine.hart.state])
        self.machine.hooks.point.append(self._on_point)

    def _on_point(self, number: int) -> None:
        h = self.machine.harts[number].state
        is_break = h.stop_reason == STOP_BREAKPOINT
        clock = int(h.clock_end - h.budget)
        self.met.append((int(h.stop_reason), int(h.pc), clock, 0 if is_break else h.watch_address))
        if len(self.met) >= self.most:
            self.machine.scheduler.end_by(self.machine.now)
        else:
            h.point_pass = PASS_NEXT if is_break else PASS_NEXT_WATCHED

    def set(
        self, breaks: Sequence[int] = (), watches: Sequence[tuple[Kind, int, int]] = ()
    ) -> None:
        self.points.clear()
        for address in breaks:
            self.points.insert(Point(1, Kind.SOFTWARE, address, 4))
        for kind, address, length in watches:
            self.points.insert(Point(1, kind, address, length))
        self.points.apply(exact=True)


def symbols(machine: VirtualMachine, *names: str) -> list[int]:
    return [machine.machine.symbol(name) for name in names]


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("seed", range(16))
def test_points_are_met_where_and_when_a_real_hart_meets_them(seed: int, mode: str) -> None:
    """Random programs in all their modes, with MPRV, with watchpoints on their page tables, or on
    words beside the entries that change; and breakpoints, some of them where the VMM is."""
    program = PrivilegedProgram(seed)
    tables = [(Kind.WRITE, TABLES, 0x8000)]
    if seed % 2:
        tables = [(Kind.ACCESS, TABLES + space * 0x4000 + 0x2FF8, 8) for space in (0, 1)]
    found = []
    for each in (EMULATE, mode):
        machine, _ = virtual_machine(each, program.elf, memory=4 << 20)
        debugger = Debugger(machine)
        machine.run(600)  # so that it has been where points will be
        debugger.set(
            [*range(BASE + 4 * seed, BASE + 0x2000, 44), *range(VMM_BASE, VMM_BASE + 0x100, 8)],
            [*tables, (Kind.READ, DATA + 0x100, 0x80), (Kind.ACCESS, WINDOW, 0x1800)],
        )
        machine.run(3_000)
        ram = machine.machine.board.ram
        found.append(
            (debugger.met, visible(machine.machine.hart.state), ram.read(ram.base, ram.size))
        )
    assert found[0][0]
    assert found[1] == found[0]


@pytest.mark.parametrize("mode", DIRECT)
def test_points_in_a_kernel_and_its_processes(mode: str) -> None:
    """And the watched console: what the VMM executes for the guest meets points as well."""
    path, sbi = bundled("tinyos")
    found = []
    for each in (EMULATE, mode):
        machine, output = virtual_machine(each, path, sbi=sbi)
        debugger = Debugger(machine)
        debugger.set(
            symbols(machine, "kernel_main", "user_trap", "user_main", "timer_tick"),
            [
                (Kind.WRITE, *symbols(machine, "tick_count"), 8),
                (Kind.ACCESS, *symbols(machine, "processes"), 16),
                (Kind.WRITE, UART_BASE, 1),
            ],
        )
        assert machine.run(100_000_000).passed
        found.append((debugger.met, bytes(output), visible(machine.machine.hart.state)))
    assert {reason for reason, *_ in found[0][0]} == {STOP_BREAKPOINT, STOP_WATCHPOINT}
    assert UART_BASE in {address for *_, address in found[0][0]}
    assert found[1] == found[0]


def tinyos(mode: str) -> tuple[Path, bool]:
    return bundled("tinyos-pv" if mode == PARAVIRT else "tinyos-s")


def test_points_in_a_paravirtual_kernel() -> None:
    """Which the model can't execute: it is met as often as it counts."""
    path, sbi = tinyos(PARAVIRT)
    machine, output = virtual_machine(PARAVIRT, path, sbi=sbi)
    debugger = Debugger(machine)
    (tick,), (count,) = symbols(machine, "timer_tick"), symbols(machine, "tick_count")
    debugger.set([tick, *symbols(machine, "user_main")], [(Kind.WRITE, count, 8)])
    assert machine.run(100_000_000).passed
    assert bytes(output) == expected_output("tinyos-s")
    stores = [met for met in debugger.met if met[0] == STOP_WATCHPOINT]
    assert {address for *_, address in stores} == {count}
    place = count - machine.machine.symbol("RAM_DISTANCE") & M64
    assert len(stores) == machine.machine.board.ram.read(place, 1)[0] > 3
    calls = [n for n, met in enumerate(debugger.met) if met[1] == tick]
    assert calls and all(debugger.met[n + 1] in stores for n in calls)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != EMULATE])
def test_elsewhere_the_guest_runs_directly(mode: str) -> None:
    """With points that it does not meet, not an instruction less than without."""
    path, sbi = tinyos(mode)
    counts = []
    for breaks in ([], range(0x8000_0000, 0x8000_0028, 4)):
        machine, _ = virtual_machine(mode, path, sbi=sbi)
        debugger = Debugger(machine)
        debugger.set(list(breaks), [(Kind.ACCESS, 0x7000_0000, 8)] if breaks else [])
        assert machine.run(100_000_000).passed
        assert not debugger.met
        accounting = machine.accounting
        counts.append((accounting.direct, accounting.entries, accounting.exits))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("mode", DIRECT)
def test_points_of_one_guest_are_not_another_s(mode: str) -> None:
    """Two guests of the same addresses, in turns on one hart; and points that are taken out again
    are met no more."""
    path, sbi = bundled("tinyos-s")
    host = Host(parse_isa(DEFAULT_ISA))
    machines = [virtual_machine(mode, path, sbi=sbi, host=host)[0] for _ in range(3)]
    debuggers = [Debugger(machine) for machine in machines]
    trap, processes = symbols(machines[0], "user_trap", "processes")
    debuggers[0].set([trap])
    debuggers[1].set([], [(Kind.ACCESS, processes, 16)])
    run_in_turns(machines, limit=1_500_000)
    met = [len(debugger.met) for debugger in debuggers]
    assert met[0] > 10 and met[1] > 10
    assert met[2] == 0
    for debugger in debuggers:
        debugger.set()
    machines[0].run(1)
    assert host.shared.pool_used <= 2  # what was decoded to look for points is decoded anew
    assert all(run.passed for run in run_in_turns(machines))
    assert [len(debugger.met) for debugger in debuggers] == met


@pytest.mark.parametrize("mode", DIRECT)
def test_a_stop_changes_nothing(mode: str) -> None:
    """The guest stands before its instruction until it is let go, and is met once."""
    loop = Assembler(BASE).label("loop").op("addi", rd=10, rs1=10, imm=1).jal(0, "loop")
    machine, _ = virtual_machine(mode, loop.elf())
    debugger = Debugger(machine, most=0)
    debugger.set([BASE + 4])
    for _ in range(3):
        machine.machine.run(100, until=lambda: bool(debugger.met))
        hart = machine.machine.hart
        assert (hart.pc, hart["a0"], machine.machine.now) == (BASE + 4, 1, 1)
    debugger.most = 11
    debugger.met.clear()
    hart.state.point_pass = PASS_NEXT
    machine.machine.run(100, until=lambda: len(debugger.met) >= 11)
    assert (hart.pc, hart["a0"], machine.machine.now) == (BASE + 4, 12, 23)


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_watchpoint_set_where_the_guest_has_been(mode: str) -> None:
    p = Assembler(BASE).li(A0, DATA)
    p.label("loop").op("sd", rs1=A0, rs2=A1, imm=0).op("addi", rd=A1, rs1=A1, imm=1).jal(0, "loop")
    machine, _ = virtual_machine(mode, p.elf())
    machine.run(1000)
    debugger = Debugger(machine)
    debugger.set([], [(Kind.WRITE, DATA, 1)])
    machine.run(30)
    assert len(debugger.met) == 10


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_breakpoint_where_data_and_code_have_different_modes(mode: str) -> None:
    """MPRV is on: trap-and-emulate executes nothing directly."""
    p = Assembler(BASE).li(A3, 0).csr_set("mstatus", 1 << 17)
    p.label("loop").op("addi", rd=A3, rs1=A3, imm=1).jal(0, "loop")
    machine, _ = virtual_machine(mode, p.elf())
    debugger = Debugger(machine)
    debugger.set([p.symbols["loop"]])
    machine.run(100)
    assert len(debugger.met) == machine.machine.hart["a3"] > 40


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_watched_page_table(mode: str) -> None:
    """Not the entry that changes, but a word of the same page: the change counts as ever."""
    pages = [DATA, DATA + 0x1000]
    entries = [page >> 2 | 0xCF for page in pages]  # all but U and G
    p = Assembler(BASE)

    def store(address: int, value: int) -> None:
        p.li(A0, address).li(A1, value).op("sd", rs1=A0, rs2=A1, imm=0)

    store(TABLES + 8 * 2, BASE >> 2 | 0xCF)
    store(TABLES + 8 * (WINDOW >> 30), TABLES + 0x1000 >> 2 | 1)
    store(TABLES + 0x1000, TABLES + 0x2000 >> 2 | 1)
    for n, (page, entry) in enumerate(zip(pages, entries, strict=True)):
        store(page, n + 1)
        store(TABLES + 0x2000, entry)
    for name, value in (
        ("pmpaddr0", (1 << 54) - 1),
        ("pmpcfg0", 0x1F),
        ("satp", 8 << 60 | TABLES >> 12),
        ("mstatus", 1 << 11),
    ):
        p.csr_set(name, value)
    p.la(A0, "supervisor").csrw("mepc", A0).op("mret")
    p.label("supervisor").li(A2, WINDOW).op("ld", rd=A3, rs1=A2, imm=0)
    store(TABLES + 0x2000, entries[0])
    p.op("sfence.vma").op("ld", rd=A4, rs1=A2, imm=0).label("end").jal(0, "end")
    machine, _ = virtual_machine(mode, p.elf())
    debugger = Debugger(machine)
    debugger.set([], [(Kind.ACCESS, TABLES + 0x2008, 8)])
    machine.run(500)
    hart = machine.machine.hart
    assert (hart["a3"], hart["a4"], hart.mode) == (2, 1, "S")
    assert not debugger.met
