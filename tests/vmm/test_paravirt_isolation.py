"""Guests that attack by hypercalls, and others on the same host: each has what it has alone."""

import random
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from rvemu.drives import DriveOptions, open_drive
from rvemu.guests import expected_output
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.lang import M64
from rvemu.vmm import rounds
from rvemu.vmm.accounting import EXIT_CLOCKS
from rvemu.vmm.frame_books import AT_ONCE
from rvemu.vmm.host import Host
from rvemu.vmm.hypercalls import EXTENSION, Call
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.virtual_machine import PARAVIRT, VirtualMachine
from tests.assembler import A0, A1, A6, A7, S8, S9, S10, S11, T5, ZERO
from tests.vmm.audit import check_tables, entry_code
from tests.vmm.paravirtual_programs import (
    ANSWERS,
    BASE,
    END,
    LAST,
    LISTS,
    MEMORY,
    MIDDLE,
    OTHER,
    PAGE,
    PIN,
    RING,
    ROOT,
    RWX,
    SET,
    SHARED,
    TRAPS,
    UNPIN,
    WORD,
    Kernel,
    R,
    V,
    X,
    entry,
    traps,
)
from tests.vmm.programs import DIRECT, Output, bundled, virtual_machine, visible

VICTIM, ATTACK = "tinyos-pv", "hypercall-attack"
ROOM = 16 << 20
DISK = 65536


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests have many turns, though they are small."""
    monkeypatch.setattr(rounds, "QUANTUM", 20_000)


def guest(name: str, mode: str, host: Host | None = None) -> tuple[VirtualMachine, Output]:
    path, _ = bundled(name)
    return virtual_machine(mode, path, sbi=True, memory=ROOM, host=host)


def outcome(machine: VirtualMachine, output: bytearray) -> tuple[bytes, dict, int]:
    """All that there is to see of a guest that has ended: output, hart, memory. (But for the time
    at which it was last entered: that a turn begins is an entry.)"""
    ram = machine.machine.board.ram
    memory = bytearray(ram.read(ram.base, ram.size))
    time = machine.machine.symbol("pv_shared") % (1 << 30) + WORD["time"]  # RAM is at a gigabyte
    memory[time : time + 8] = bytes(8)
    return bytes(output), visible(machine.machine.hart.state), hash(bytes(memory))


@cache
def alone(name: str, mode: str, bank: int = 0) -> tuple[bytes, dict, int]:
    """bank: how many there are before it. (A paravirtual guest knows physical addresses.)"""
    host = Host(parse_isa(DEFAULT_ISA))
    for _ in range(bank):
        VirtualMachine(PARAVIRT, host, memory=ROOM)
    machine, output = guest(name, mode, host)
    assert machine.run(100_000_000).passed
    return outcome(machine, output)


def tables_of(machine: VirtualMachine) -> int:
    """How many entries its tables have, which keep the rules."""
    monitor = machine.monitor
    assert isinstance(monitor, Paravirt)
    return check_tables(monitor, [root for root in monitor.paging.roots.frames if root])


def test_no_hypercall_gives_what_is_not_the_guest_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "QUANTUM", 200_000)  # 40 exits
    image = tmp_path / "disk.img"
    image.write_bytes(b"x" * DISK + bytes(DISK) + b"y" * DISK)
    drive = open_drive(DriveOptions(str(image), offset=DISK, size=DISK))
    host = Host(parse_isa(DEFAULT_ISA))
    before = guest(VICTIM, PARAVIRT, host)
    path, _ = bundled(ATTACK)
    attacker, output = virtual_machine(PARAVIRT, path, memory=ROOM, host=host)
    after = guest(VICTIM, PARAVIRT, host)
    attacker.plug(drive)
    code = entry_code(host)
    seen: list[int] = []
    attacker.machine.hooks.between.append(lambda: seen.append(tables_of(attacker)))
    runs = rounds.run_in_turns([before[0], attacker, after[0]])
    assert all(run.passed for run in runs), output.decode()
    assert output.endswith(b" attempts, 0 successes\n")
    assert output.count(b": refused\n") > 150
    assert outcome(*before) == alone(VICTIM, PARAVIRT, 0)
    assert outcome(*after) == alone(VICTIM, PARAVIRT, 2)
    assert entry_code(host) == code
    assert max(seen) > 100
    assert tables_of(before[0]) == tables_of(after[0]) > 0
    drive.close()
    content = image.read_bytes()
    assert (content[:DISK], content[2 * DISK :]) == (b"x" * DISK, b"y" * DISK)


def test_where_no_hypercalls_are_it_attacks_nothing() -> None:
    assert alone(ATTACK, "hardware")[0] == expected_output(ATTACK)


def test_guests_of_all_modes_share_a_host() -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    modes = (PARAVIRT, *DIRECT, PARAVIRT, PARAVIRT)
    names = (VICTIM, VICTIM, VICTIM, "pager", "timeslice")
    guests = [guest(name, mode, host) for name, mode in zip(names, modes, strict=True)]
    runs = rounds.run_in_turns([machine for machine, _ in guests], [1, 2, 3, 2, 1])
    assert all(run.passed for run in runs)
    for bank, (machine, output) in enumerate(guests):
        assert outcome(machine, output) == alone(names[bank], modes[bank], bank)


# --- Guests that keep the CPU --------------------------------------------------------------------


def never_yields(kernel: Kernel) -> None:
    """No hypercall, no end."""


def floods_with_hypercalls(kernel: Kernel) -> None:
    kernel.label("again").call(Call.NOTIFY, 0).li(S10, ANSWERS).jal(ZERO, "again")


def floods_with_traps(kernel: Kernel) -> None:
    kernel.label("again").word(0).li(S9, TRAPS).jal(ZERO, "again")


def traps_where_its_handler_is(kernel: Kernel) -> None:
    kernel.shared("entry", 8).op("ebreak")


def returns_to_nowhere(kernel: Kernel) -> None:
    kernel.la(T5, "again").op("sd", rs1=S8, rs2=T5, imm=WORD["entry"]).label("again")
    kernel.shared("epc", 0).shared("status", 1 << 8)
    kernel.li(A6, Call.RETURN).li(A7, EXTENSION).op("ecall")


@pytest.mark.parametrize("victim_mode", [PARAVIRT, *DIRECT])
@pytest.mark.parametrize(
    "attack",
    [
        never_yields,
        floods_with_hypercalls,
        floods_with_traps,
        traps_where_its_handler_is,
        returns_to_nowhere,
    ],
)
def test_a_guest_that_keeps_the_cpu_loses_it(
    attack: Callable[[Kernel], None], victim_mode: str
) -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    kernel = Kernel()
    attack(kernel)
    rogue = VirtualMachine(PARAVIRT, host, memory=MEMORY)
    rogue.load(kernel.elf())
    victim, output = guest(VICTIM, victim_mode, host)
    ended: list[VirtualMachine] = []
    runs = rounds.run_in_turns(
        [rogue, victim], [1, 40], None, lambda m, _: ended.append(m), lambda: bool(ended)
    )
    assert ended == [victim]
    assert runs[1].passed
    assert outcome(victim, output) == alone(VICTIM, victim_mode, 1)
    assert rogue.cost >= 20_000, "it had its turns as well"


def test_who_has_tables_checked_pays_for_it() -> None:
    """Two hundred tables a call, each of 512 entries: one call is worth many turns."""
    kernel = Kernel()
    kernel.update(*[(PIN, PAGE, 0), (UNPIN, PAGE, 0)] * 200)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.run(5000)
    assert traps(machine) == []
    assert machine.cost > 400 * 512 // AT_ONCE * EXIT_CLOCKS


def test_who_prints_pays_for_it() -> None:
    """As for stores to a UART."""
    kernel = Kernel().call(Call.CONSOLE, RING)
    kernel.put(RING + 3072 + 8, 2048 << 32).call(Call.NOTIFY, 1)
    output = bytearray()
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=output.extend)
    machine.load(kernel.elf())
    machine.run(5000)
    assert len(output) == 2048
    assert machine.cost > 2048 * EXIT_CLOCKS


def test_who_has_a_table_refused_pays_too() -> None:
    kernel = Kernel().put(PAGE + 4088, 1)  # the last entry is not right
    kernel.update((PIN, PAGE, 0))
    for _ in range(99):
        kernel.li(A0, LISTS).li(A1, 1).li(A6, Call.UPDATE).li(A7, EXTENSION).op("ecall")
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.run(20_000)
    assert machine.cost > 100 * 512 // AT_ONCE * EXIT_CLOCKS


# --- Anything ------------------------------------------------------------------------------------

_VALUES = (
    *(0, 1, 2, 3, 4, 5, 9, 511, 512, 4096, M64, M64 - 7, 1 << 36, 1 << 55, 1 << 63),
    *(BASE, END, END - 4096, SHARED, RING, LISTS, ROOT, MIDDLE, LAST, OTHER, PAGE, PAGE + 4096),
)


def anything(seed: int) -> Kernel:
    """A kernel that calls, stores and loads at random, with and without tables."""
    choose = random.Random(seed)

    def value() -> int:
        if choose.random() < 0.1:
            return choose.getrandbits(64)
        return choose.choice(_VALUES)

    def an_entry() -> int:
        return entry(value() & -4096, choose.choice((V, V | R, RWX, RWX & ~X, 0x3FF)))

    def update() -> tuple[int, int, int]:
        what = choose.choice((SET, SET, SET, PIN, UNPIN))
        if what == SET:
            frame = choose.choice((ROOT, MIDDLE, LAST, OTHER, PAGE))
            return what, frame + 8 * choose.randrange(512), an_entry()
        return what, choose.choice((ROOT, MIDDLE, LAST, OTHER, PAGE, value())), choose.randrange(6)

    kernel = Kernel().la(S11, "end")
    if choose.random() < 0.7:
        kernel.paging()
    for _ in range(60):
        kind = choose.randrange(6)
        if kind == 0:
            kernel.update(*(update() for _ in range(choose.randrange(1, 5))))
        elif kind == 1:
            kernel.put(value() & -8, choose.choice((value(), an_entry())))
        elif kind == 2:
            kernel.load(value() & -8)
        elif kind == 3:
            kernel.shared(choose.choice(("enabled", "wanted", "events", "sp", "status")), value())
        else:
            calls = [call for call in Call if call not in (Call.RETURN, Call.WAIT)]
            kernel.call(choose.choice(calls), value(), value())
    return kernel


@pytest.mark.parametrize("seed", range(20))
def test_any_hypercalls_keep_the_rules(seed: int) -> None:
    """Whatever becomes of the guest: its tables are right, and nothing else has changed."""
    host = Host(parse_isa(DEFAULT_ISA))
    machines = [
        VirtualMachine(PARAVIRT, host, memory=MEMORY, output=lambda _: None) for _ in range(3)
    ]
    for victim in (machines[0], machines[2]):
        victim.machine.board.ram.write(BASE, b"\x5a" * MEMORY)
    code = entry_code(host)
    rogue = machines[1]
    rogue.load(anything(seed).elf())
    for _ in range(10):
        rogue.run(2_000)
        tables_of(rogue)
    assert entry_code(host) == code
    for victim in (machines[0], machines[2]):
        assert victim.machine.board.ram.read(BASE, MEMORY) == b"\x5a" * MEMORY


@pytest.mark.parametrize("seed", range(4))
def test_who_looks_on_sees_what_happens_to_others_too(seed: int) -> None:
    """What is answered in native code does what is done where exits are traced, and what Python
    does with the reference engine."""
    elf, found = anything(seed).elf(), []
    for engine, traced in (("native", False), ("native", True), ("reference", False)):
        machine = VirtualMachine(PARAVIRT, memory=MEMORY, engine=engine, output=lambda _: None)
        machine.load(elf)
        machine.trace = (lambda _: None) if traced else None
        machine.run(5_000)
        ram = machine.machine.board.ram
        state = visible(machine.machine.hart.state), hash(ram.read(BASE, MEMORY))
        found.append((state, machine.accounting.exits, machine.accounting.updates))
    assert found[0] == found[1] == found[2]
