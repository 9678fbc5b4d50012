"""Guests that attack: each sees what it would see on a machine of its own, and neither the other
guest's memory nor the VMM's changes (*safety*)."""

from collections.abc import Callable

import pytest

from rvemu.devices.virtio.device import WORK_LIMIT, VirtioDevice
from rvemu.devices.virtio.mmio import Status
from rvemu.errors import RvemuError
from rvemu.guests import expected_output
from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.fields import MENVCFG, MSTATUS, PTE
from rvemu.hart.state import Shared
from rvemu.machine import Outcome, Reason
from rvemu.vmm import shadow
from rvemu.vmm.accounting import ANSWER_CLOCKS, EXIT_CLOCKS
from rvemu.vmm.host import ENTER_U, VMM_BASE, Host
from rvemu.vmm.monitor import MANY_EXITS
from rvemu.vmm.rounds import QUANTUM, run_in_turns
from rvemu.vmm.shadow import VIEW_ENTRIES
from rvemu.vmm.trap_and_emulate import TrapAndEmulate
from rvemu.vmm.virtual_machine import EMULATE, PARAVIRT, Run, VirtualMachine
from tests.assembler import (
    A0,
    A1,
    A2,
    A3,
    A4,
    A5,
    A6,
    A7,
    RA,
    S0,
    S1,
    T5,
    T6,
    ZERO,
    Assembler,
    encode,
)
from tests.vmm.programs import DIRECT, bundled, ram_of, virtual_machine, visible

BASE = 0x8000_0000
ROOT, MIDDLE, LAST = 0x8010_0000, 0x8010_1000, 0x8010_2000
WINDOW = 0x4000_0000
PAGE, MEGAPAGES = 0x8020_0000, 0x8030_0000  # ordinary memory, and a table of large pages
MEMORY = 4 << 20
CLASSIC = "trap-and-emulate"
BANK = 1 << 36  # where the first guest's memory is in the physical machine; others are beyond
_LEAF = 0xC7  # V, R, W, A, D
_TABLE = 1


class Attack(Assembler):
    """A guest that goes on after each trap, and adds up what it has read in s0 and causes in s1.
    It begins in M-mode; `paging` takes it to S-mode, on tables of its own."""

    def __init__(self) -> None:
        super().__init__(BASE)
        self.la(T5, "trap").csrw("mtvec", T5)
        self.csr_set("pmpaddr0", -1).csr_set("pmpcfg0", 0x1F)

    def put(self, address: int, value: int) -> "Attack":
        """Store a 64-bit value."""
        self.li(T5, address).li(T6, value).op("sd", rs1=T5, rs2=T6, imm=0)
        return self

    def touch(self, address: int) -> "Attack":
        """Try to load from an address, and to store to it."""
        self.li(A0, address).li(A1, 0).op("ld", rd=A1, rs1=A0, imm=0).op(
            "add", rd=S0, rs1=S0, rs2=A1
        )
        self.li(A2, 0x6666).op("sd", rs1=A0, rs2=A2, imm=0)
        return self

    def paging(self, entry: int) -> "Attack":
        """Go to S-mode, where one page of the window is what `entry` says, and the tables and the
        program are where they are."""
        self.put(ROOT + 8 * 2, BASE >> 2 | _LEAF | 8)  # a gigapage, executable
        self.put(ROOT + 8 * (WINDOW >> 30), MIDDLE >> 2 | _TABLE)
        self.put(MIDDLE, LAST >> 2 | _TABLE).put(LAST, entry)
        self.csr_set("satp", 8 << 60 | ROOT >> 12).op("sfence.vma")
        self.la(T5, "supervisor").csrw("mepc", T5)
        self.li(T5, 1 << 11).csrs("mstatus", T5).op("mret")
        return self.align(4).label("supervisor")  # type: ignore[return-value]

    def finished(self) -> bytes:
        """The guest's ELF: it ends in a loop. Its handler goes on after the instruction; S-mode's
        calls go to "firmware", if there is one, which ends at "return"."""
        self.label("end").jal(ZERO, "end").align(4).label("trap")
        self.csrr(T5, "mcause").op("slli", rd=S1, rs1=S1, shamt=3).op("add", rd=S1, rs1=S1, rs2=T5)
        self.csrr(T6, "mepc").op("addi", rd=T6, rs1=T6, imm=4).csrw("mepc", T6)
        if "firmware" in self.symbols:
            self.li(T6, 9).branch("beq", T5, T6, "firmware")
        self.label("return").op("mret")
        return self.elf()


def host_memory_unmapped(a: Attack) -> None:
    """Physical addresses of the host's, and addresses that wrap around."""
    for address in (BANK, BANK * 2, BANK * 3, VMM_BASE - 8, BASE + MEMORY, BASE + MEMORY - 4):
        a.touch(address)
    for address in ((1 << 56) - 8, (1 << 64) - 8, (1 << 64) - 4, 1 << 63, (1 << 38) + BASE):
        a.touch(address)


def host_memory_in_tables(a: Attack) -> None:
    """Entries that name memory of the host's, and of no one."""
    a.paging(BANK >> 2 | _LEAF)
    for physical in (BANK, BANK * 2, BANK * 2 + 0x10_0000, (1 << 56) - 4096, BASE + MEMORY):
        a.put(LAST, physical >> 2 | _LEAF).op("sfence.vma").touch(WINDOW)


def tables_in_host_memory(a: Attack) -> None:
    """Tables that are not in the guest's memory, and roots that are not."""
    a.paging(BASE >> 2 | _LEAF)
    for physical in (BANK * 2, VMM_BASE + (60 << 20), (1 << 56) - 4096):
        a.put(MIDDLE, physical >> 2 | _TABLE).op("sfence.vma").touch(WINDOW)


def stale_entries(a: Attack) -> None:
    """A page is remapped after it was used, through the mapping of the tables themselves; and an
    entry is written in halves."""
    a.paging(PAGE >> 2 | _LEAF)
    a.touch(WINDOW)
    a.put(LAST + 8, LAST >> 2 | _LEAF).op("sfence.vma")  # the last table, in the window
    a.touch(WINDOW + 4096 + 64)
    a.li(A0, WINDOW + 4096).li(A1, (BANK * 2) >> 2 | _LEAF).op("sd", rs1=A0, rs2=A1, imm=0)
    a.op("sfence.vma").touch(WINDOW)
    a.li(A1, 1).op("sb", rs1=A0, rs2=A1, imm=4).op("sfence.vma").touch(WINDOW)
    a.li(A1, -1).op("sd", rs1=A0, rs2=A1, imm=-4).op("sfence.vma").touch(WINDOW)
    a.put(LAST, (BASE + 0x21_0000) >> 2 | _LEAF).op("sfence.vma").touch(WINDOW)


def accessed_and_dirty(a: Attack) -> None:
    """Entries without A and D, and without W, are stored to after they were loaded from."""
    for flags in (0x3, 0x43, 0x47, 0x7, 0x83):
        a.label(f"flags{flags}")
    a.paging(PAGE >> 2 | 0x43)
    for flags in (0x3, 0x43, 0x47, 0x7, 0x83, 0xC7):
        a.put(LAST, PAGE >> 2 | flags).op("sfence.vma").touch(WINDOW)


def protection_changed_under_mprv(a: Attack) -> None:
    """Firmware takes a page from S-mode, which has used it, while its own accesses are S-mode's."""
    a.jal(ZERO, "start").label("firmware").li(T5, MSTATUS.MPRV.mask).csrs("mstatus", T5)
    a.csr_set("pmpaddr1", -1).csr_set("pmpaddr0", PAGE >> 2 | 0x1FF).csr_set("pmpcfg0", 0x1F18)
    a.jal(ZERO, "return").label("start")
    a.paging(PAGE >> 2 | _LEAF)
    a.touch(WINDOW).op("ecall").touch(WINDOW)


def tables_that_protection_cuts(a: Attack) -> None:
    """PMP has a region inside of the last table, so that no TLB can hold it; an entry changes."""
    a.csr_set("pmpaddr1", -1).csr_set("pmpaddr0", (LAST + 0x800) >> 2).csr_set("pmpcfg0", 0x1F17)
    a.paging(PAGE >> 2 | _LEAF)
    a.touch(WINDOW)
    a.put(LAST, (PAGE + 4096) >> 2 | _LEAF).op("sfence.vma").touch(WINDOW)
    a.put(LAST, 0).op("sfence.vma").touch(WINDOW)


def accessed_bits_beside_tohost(a: Attack) -> None:
    """The hart sets A and D in a page that the host watches for stores."""
    a.symbols["tohost"] = LAST + 0x800
    a.csr_set("menvcfg", MENVCFG.ADUE.mask)
    a.paging(PAGE >> 2 | _LEAF & ~PTE.A.mask & ~PTE.D.mask)
    a.touch(WINDOW).touch(BANK)


def tables_to_be_executed_alone(a: Attack) -> None:
    """PMP lets S-mode execute its last table, but not load from it: what it maps can't be found,
    neither to be loaded from nor to be executed."""
    a.csr_set("pmpaddr1", -1).csr_set("pmpaddr0", LAST >> 2 | 0x1FF).csr_set("pmpcfg0", 0x1F1C)
    a.csr_set("medeleg", 1 << Cause.INSTRUCTION_ACCESS_FAULT)
    a.paging(PAGE >> 2 | _LEAF | PTE.X.mask)
    a.touch(WINDOW).la(A0, "refused").csrw("stvec", A0).li(A0, WINDOW).op("jalr", rs1=A0)
    a.align(4).label("refused")


def dirty_bits_that_firmware_sets(a: Attack) -> None:
    """D is set by a store of firmware's, with MPRV, in a table that is known by then; and cleared
    again."""
    second, clean = WINDOW + 4096, (PAGE + 4096) >> 2 | _LEAF & ~PTE.D.mask
    a.jal(ZERO, "start").label("firmware").li(T5, MSTATUS.MPRV.mask).csrs("mstatus", T5)
    a.put(second, 1).jal(ZERO, "return").label("start")
    a.csr_set("menvcfg", MENVCFG.ADUE.mask).put(LAST + 8, clean)
    a.paging(PAGE >> 2 | _LEAF)
    a.touch(WINDOW).op("ecall").li(A0, second).op("ld", rd=A1, rs1=A0, imm=0)
    a.put(LAST + 8, clean).op("sfence.vma").touch(second)


def tables_that_are_code(a: Attack) -> None:
    """A table is executed, and changed."""
    a.put(LAST + 0x800, encode("jalr", rs1=RA))
    a.paging(PAGE >> 2 | _LEAF)
    a.touch(WINDOW).li(A0, LAST + 0x800).op("jalr", rd=RA, rs1=A0)
    a.put(LAST, (PAGE + 4096) >> 2 | _LEAF).op("sfence.vma").touch(WINDOW)
    a.put(LAST + 0x800, encode("jalr", rs1=RA) << 32)  # no instruction, and then the old one
    a.li(A0, LAST + 0x800).op("fence.i").op("jalr", rd=RA, rs1=A0)


def odd_address_spaces(a: Attack) -> None:
    """Values of satp that mean nothing, and roots in the host's memory, for M-mode to load by."""
    for mode, root in ((0, BANK), (1, ROOT), (7, ROOT), (8, BANK * 2), (9, ROOT), (10, ROOT)):
        for asid in (0, 0xFFFF):
            a.csr_set("satp", mode << 60 | asid << 44 | root >> 12).op("sfence.vma")
            a.csrr(A1, "satp").op("add", rd=S0, rs1=S0, rs2=A1)
            a.li(T5, MSTATUS.MPRV.mask | 1 << MSTATUS.MPP.low).csrs("mstatus", T5)
            a.touch(PAGE).touch(WINDOW)
            a.li(T5, MSTATUS.MPRV.mask).csrc("mstatus", T5)


def words_of_the_host(a: Attack) -> None:
    """Stores to `tohost` and beside it, of all sizes and alignments, and what they ask of the host:
    system calls with arguments outside of memory."""
    tohost, block = PAGE + 0x100, PAGE + 0x200
    a.symbols |= {"tohost": tohost, "fromhost": tohost + 64}
    for name, shift in (("sb", 1), ("sh", 2), ("sw", 4), ("sd", 4), ("sd", -4), ("sd", -7)):
        a.li(A0, tohost + shift).li(A1, -2).op(name, rs1=A0, rs2=A1, imm=0)
        a.put(tohost, 0)
    for buffer, length in ((BANK, 8), (BASE, 1 << 40), (BASE + MEMORY - 4, 8), (-8, 16), (PAGE, 8)):
        for n, value in enumerate((64, 1, buffer, length)):
            a.put(block + 8 * n, value)
        a.put(tohost, block).li(A0, block).op("ld", rd=A1, rs1=A0, imm=0)
        a.op("add", rd=S0, rs1=S0, rs2=A1).put(tohost + 64, 0)
    for command in (BANK, (1 << 48) - 8, 7 << 56, 1 << 56 | 9 << 48):
        a.put(tohost, command).put(tohost + 64, 0)
    a.touch(BANK)


def clocks_of_others(a: Attack) -> None:
    """Sets all that tells the time."""
    for name in ("mcycle", "minstret", "stimecmp", "mcountinhibit", "mtimecmp"):
        for value in (0, 1 << 63, (1 << 64) - 1, 5):
            if name == "mtimecmp":
                a.put(0x200_4000, value).put(0x200_BFF8, value)  # and mtime
            else:
                a.csr_set(name, value).csrr(A1, name).op("add", rd=S0, rs1=S0, rs2=A1)
            a.csrr(A1, "time").op("add", rd=S0, rs1=S0, rs2=A1)
    a.touch(BANK)


ATTACKS: dict[str, Callable[[Attack], None]] = {
    f.__name__: f
    for f in (
        host_memory_unmapped,
        host_memory_in_tables,
        tables_in_host_memory,
        stale_entries,
        accessed_and_dirty,
        protection_changed_under_mprv,
        tables_that_protection_cuts,
        accessed_bits_beside_tohost,
        tables_to_be_executed_alone,
        dirty_bits_that_firmware_sets,
        tables_that_are_code,
        odd_address_spaces,
        words_of_the_host,
        clocks_of_others,
    )
}


def guest(attack: Callable[[Attack], None]) -> bytes:
    a = Attack()
    attack(a)
    return a.finished()


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_sees_its_own_machine_alone(name: str, mode: str) -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    elf = guest(ATTACKS[name])
    before, _ = virtual_machine(mode, elf, host=host, memory=MEMORY)
    attacker, _ = virtual_machine(mode, elf, host=host, memory=MEMORY)
    after, _ = virtual_machine(mode, elf, host=host, memory=MEMORY)
    for victim in (before, after):
        ram = victim.machine.board.ram
        ram.write(ram.base, b"\x5a" * ram.size)
    kept = ram_of(before), ram_of(after)
    entry = host.words[(ENTER_U.address - VMM_BASE) // 8]
    alone, _ = virtual_machine(EMULATE, elf, memory=MEMORY)
    for machine in (attacker, alone):
        machine.run(20_000)
    assert (ram_of(before), ram_of(after)) == kept
    assert host.words[(ENTER_U.address - VMM_BASE) // 8] == entry
    assert visible(attacker.machine.hart.state) == visible(alone.machine.hart.state)
    assert ram_of(attacker) == ram_of(alone)
    assert attacker.machine.hart["s1"], "nothing was refused: that was no attack"
    assert attacker.machine.hart["pc"] == alone.machine.symbol("end")


def first_to_end(machines: list[VirtualMachine]) -> VirtualMachine:
    """Run guests in turns until one of them has ended, as it should: that one."""
    ended: list[VirtualMachine] = []

    def finished(machine: VirtualMachine, run: Run) -> None:
        assert run.passed, str(run)
        ended.append(machine)

    run_in_turns(machines, finished=finished, until=lambda: bool(ended))
    return ended[0]


def never_yields(a: Attack) -> None:
    """No interrupts, no exits, no end."""
    a.csrw("mie", ZERO).csr_set("stimecmp", -1)


def floods_with_exits(a: Attack) -> None:
    """Exits as fast as it can."""
    a.label("again").csrr(A0, "mstatus").csrw("mscratch", A0).jal(ZERO, "again")


def traps_for_ever(a: Attack) -> None:
    """A handler that traps itself."""
    a.li(T5, 0x4).csrw("mtvec", T5).word(0)


def sets_the_clock(a: Attack) -> None:
    """Has time go to its end, and back, and never give it a turn's."""
    a.csrw("mie", ZERO).put(0x200_BFF8, -1000).put(0x200_4000, 0).csr_set("mcycle", -1000)
    a.csr_set("minstret", -1000)


def maps_without_end(a: Attack) -> None:
    """Touches pages 2 MiB apart, each of which needs a table of its own in the VMM's memory, in one
    address space after the other."""
    a.paging(PAGE >> 2 | _LEAF)
    a.li(A0, BASE >> 2 | _LEAF).li(A1, MEGAPAGES).li(A2, MEGAPAGES + 4096)
    a.label("entries").op("sd", rs1=A1, rs2=A0, imm=0).op("addi", rd=A1, rs1=A1, imm=8)
    a.branch("bne", A1, A2, "entries")
    a.li(A0, MEGAPAGES >> 2 | _TABLE).li(A1, ROOT + 8 * 3).li(A2, ROOT + 8 * 256)
    a.label("tables").op("sd", rs1=A1, rs2=A0, imm=0).op("addi", rd=A1, rs1=A1, imm=8)
    a.branch("bne", A1, A2, "tables").li(A3, 8 << 60 | ROOT >> 12).li(A4, 1 << 44)
    a.label("spaces").csrw("satp", A3).op("sfence.vma").op("add", rd=A3, rs1=A3, rs2=A4)
    a.li(A0, 3 << 30).li(A1, 255 << 30).li(A2, 2 << 20)
    a.label("pages").op("ld", rd=A5, rs1=A0, imm=0).op("add", rd=A0, rs1=A0, rs2=A2)
    a.branch("bltu", A0, A1, "pages").jal(ZERO, "spaces")


def test_a_guest_that_uses_up_the_vmm_s_memory_uses_up_its_own() -> None:
    """The other one, which starts when the first has no frames left, has its share."""
    host = Host(parse_isa(DEFAULT_ISA))
    rogue, _ = virtual_machine(CLASSIC, guest(maps_without_end), host=host, memory=MEMORY)
    path, sbi = bundled("tinyos-s")
    victim, output = virtual_machine(CLASSIC, path, host=host, sbi=sbi)
    assert rogue.monitor is not None
    whole = len(rogue.monitor.frames)
    while len(rogue.monitor.frames) > 100:
        assert rogue.run(300).outcome == Outcome(Reason.BUDGET)
    assert first_to_end([rogue, victim]) is victim
    assert bytes(output) == expected_output("tinyos-s")
    rogue.monitor.forget()
    assert len(rogue.monitor.frames) == whole, "all that it took came back"


def test_what_the_vmm_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "MOST_ENTRIES", 1000)
    machine, _ = virtual_machine(CLASSIC, guest(maps_without_end), memory=MEMORY)
    assert isinstance(machine.monitor, TrapAndEmulate)
    shadows = machine.monitor.shadows
    for _ in range(40):
        machine.run(300)
        entries = [e for frame in shadows.frames.values() for e in frame.dependents.values()]
        assert sum(map(len, entries)) <= 3 * 1000
    assert machine.accounting.fills > 3000


def spaces_without_end(a: Attack) -> None:
    """Goes from one address space to the next, and does nothing there."""
    a.paging(PAGE >> 2 | _LEAF).li(A3, 8 << 60 | ROOT >> 12).li(A4, 1 << 44)
    a.label("spaces").csrw("satp", A3).op("add", rd=A3, rs1=A3, rs2=A4).jal(ZERO, "spaces")


def test_address_spaces_that_are_gone_are_not_remembered_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shadow, "MOST_ENTRIES", 1000)
    machine, _ = virtual_machine(CLASSIC, guest(spaces_without_end), memory=MEMORY)
    assert isinstance(machine.monitor, TrapAndEmulate)
    shadows = machine.monitor.shadows
    for _ in range(40):
        machine.run(30)
        words = [word for frame in shadows.frames.values() for word in frame.dependents.values()]
        views = {view for word in words for view, _ in word}
        assert len(views) <= 1000 // VIEW_ENTRIES
    assert machine.accounting.fills > 2 * 1000 // VIEW_ENTRIES


def test_a_bank_is_not_larger_than_the_distance_to_the_next() -> None:
    """More memory than that is refused; this machine need not have it for the test."""
    shared = Shared()
    shared.region_size[0] = BANK + 4096
    with pytest.raises(RvemuError, match="there may be 64"):
        Host(parse_isa(DEFAULT_ISA)).add_bank(shared)


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize(
    ("attack", "exits"),
    [
        (never_yields, False),
        (sets_the_clock, False),
        (floods_with_exits, True),
        (traps_for_ever, True),
    ],
)
def test_a_guest_that_keeps_the_cpu_loses_it(
    attack: Callable[[Attack], None], exits: bool, mode: str
) -> None:
    """And one that gives the VMM work does it in its own time."""
    host = Host(parse_isa(DEFAULT_ISA))
    path, sbi = bundled("tinyos-s")
    rogue, _ = virtual_machine(mode, guest(attack), host=host, memory=MEMORY)
    victim, output = virtual_machine(mode, path, host=host, sbi=sbi)
    assert first_to_end([rogue, victim]) is victim
    assert bytes(output) == expected_output("tinyos-s")
    overdrawn = EXIT_CLOCKS * MANY_EXITS if exits else 0
    assert 0 <= rogue.cost - victim.cost <= QUANTUM + overdrawn


@pytest.mark.parametrize("mode", DIRECT)
def test_a_guest_that_prints_for_ever_does_so_in_its_own_time(mode: str) -> None:
    """Firmware prints thousands of bytes for one call: that is as much work as device accesses."""
    code = Assembler(BASE).li(A7, 0x4442434E).li(A6, 0).label("again")
    code.li(A0, 1 << 20).li(A1, BASE).li(A2, 0).op("ecall").jal(ZERO, "again")
    host = Host(parse_isa(DEFAULT_ISA))
    path, _ = bundled("tinyos-s")
    rogue, printed = virtual_machine(mode, code.elf(), host=host, sbi=True, memory=MEMORY)
    victim, output = virtual_machine(mode, path, host=host, sbi=True)
    assert first_to_end([rogue, victim]) is victim
    assert bytes(output) == expected_output("tinyos-s")
    assert 0 < EXIT_CLOCKS * len(printed) < victim.cost + QUANTUM + EXIT_CLOCKS * 4096


class Endless(VirtioDevice):
    """A device whose driver has it write new requests into its own ring."""

    name = "endless"
    queue_sizes = (8,)

    def handle(self, index: int) -> bool:
        del index
        self.moved += WORK_LIMIT
        return True


@pytest.mark.parametrize("mode", DIRECT)
def test_a_device_without_end_works_in_its_guest_s_own_time(mode: str) -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    path, sbi = bundled("tinyos-s")
    device = Endless()
    code = guest(never_yields)
    rogue, _ = virtual_machine(mode, code, host=host, memory=MEMORY, devices=[device])
    slot = rogue.machine.board.virtio[0]
    slot.status, slot.queues[0].ready = Status.DRIVER_OK, True
    slot.serve(0)
    victim, output = virtual_machine(mode, path, host=host, sbi=sbi)
    assert first_to_end([rogue, victim]) is victim
    assert bytes(output) == expected_output("tinyos-s")
    most = victim.cost + QUANTUM + EXIT_CLOCKS * (WORK_LIMIT >> 16)
    assert 0 < EXIT_CLOCKS * (device.moved >> 16) < most


@pytest.mark.parametrize("mode, answered", [(CLASSIC, 70_000), (PARAVIRT, 20_000)])
def test_exits_count_for_what_they_cost(mode: str, answered: int) -> None:
    """Those that are answered at once cost little, those that come to Python as much as an access
    to a device."""
    path, sbi = bundled("syscalls")
    machine, _ = virtual_machine(mode, path, sbi=sbi)
    assert machine.run().passed
    accounting = machine.accounting
    assert accounting.answered > answered > 300 * (accounting.total - accounting.answered)
    work = machine.cost - machine.machine.now
    rest = accounting.total - accounting.answered + machine.machine.host_work
    assert work == ANSWER_CLOCKS * accounting.answered + EXIT_CLOCKS * rest


@pytest.mark.parametrize("mode", DIRECT)
def test_shares_are_kept(mode: str) -> None:
    host = Host(parse_isa(DEFAULT_ISA))
    machines = [
        virtual_machine(mode, guest(never_yields), host=host, memory=MEMORY)[0] for _ in range(2)
    ]
    times: list[list[int]] = []
    for machine in machines:
        machine.machine.hooks.between.append(
            lambda: times.append([m.machine.now for m in machines])
        )
    run_in_turns(machines, [1, 3], 60_000_000)
    middle = times[len(times) // 2]
    assert 2 < (middle[1] + 1) / (middle[0] + 1) < 4


@pytest.mark.parametrize("mode", DIRECT)
def test_a_guest_without_an_answer_ends_alone(mode: str) -> None:
    """An unhandled exit names itself; the other guest goes on."""
    host = Host(parse_isa(DEFAULT_ISA))
    path, _ = bundled("tinyos-s")
    broken, _ = virtual_machine(mode, guest(never_yields), host=host, sbi=True, name="broken")
    broken.machine.hart["medeleg"] = 0
    victim, output = virtual_machine(mode, path, host=host, sbi=True)
    runs = run_in_turns([broken, victim])
    assert runs[0].outcome is None
    assert runs[0].failure.startswith("broken: the guest traps into firmware")
    assert runs[1].passed
    assert bytes(output) == expected_output("tinyos-s")
