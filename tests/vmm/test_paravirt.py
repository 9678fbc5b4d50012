"""Mode paravirt: each hypercall, and what it refuses; traps, events and time."""

import pytest

from rvemu.engine import ENGINES
from rvemu.errors import RvemuError
from rvemu.guests import find_guest
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.lang import M64
from rvemu.monitor import Monitor
from rvemu.trace import CommitTrace
from rvemu.vmm import sbi
from rvemu.vmm.exits import Exit
from rvemu.vmm.frame_books import MOST_UPDATES
from rvemu.vmm.host import Host
from rvemu.vmm.hypercalls import EXTENSION, VERSION, Call
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import PARAVIRT, TRANSPARENT, VirtualMachine
from tests.assembler import A0, A1, A2, A6, A7, S0, S1, S11, SP, T0, T5, ZERO, Assembler
from tests.elf_builder import Elf, Load
from tests.vmm.paravirtual_programs import (
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
    UNPIN,
    WORD,
    A,
    D,
    Kernel,
    R,
    U,
    V,
    W,
    answers,
    entry,
    note,
    run,
    traps,
)
from tests.vmm.programs import visible

SUCCESS, NOT_SUPPORTED, INVALID, DENIED = 0, -2, -3, -4
ECALL_U, ILLEGAL, BREAKPOINT = 8, 2, 3
FETCH_FAULT, LOAD_FAULT, STORE_FAULT = 12, 13, 15
TIMER = 1 << 63 | 5
SPP, SPIE = 1 << 8, 1 << 5


def word(machine: VirtualMachine, name: str) -> int:
    """A word of the shared page."""
    return int.from_bytes(machine.machine.board.ram.read(SHARED + WORD[name], 8), "little")


# --- Who may begin -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_no_hypercalls_are_offered_in_other_modes(mode: str) -> None:
    p = Assembler(BASE).li(A0, EXTENSION).li(A6, 3).li(A7, sbi.BASE).op("ecall")
    p.op("addi", rd=S0, rs1=A1, imm=0)
    p.li(A6, Call.START).li(A7, EXTENSION).op("ecall").label("end").jal(ZERO, "end")
    machine = VirtualMachine(mode, memory=MEMORY, sbi=True)
    machine.load(p.elf())
    machine.run(1000)
    assert (machine.machine.hart["s0"], machine.machine.hart["a0"]) == (0, NOT_SUPPORTED & M64)


@pytest.mark.parametrize(
    "notes, complaint",
    [
        ([], "was not built to make hypercalls"),
        ([note(VERSION + 1)], f"wants version {VERSION + 1} of the hypercalls; there is {VERSION}"),
    ],
)
def test_a_guest_that_does_not_know_the_interface_is_refused(
    notes: list[bytes], complaint: str
) -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    loads = [Load(BASE, b"\x6f\0\0\0"), *(Load(0, data, type=4) for data in notes)]
    with pytest.raises(RvemuError, match=complaint) as refused:
        machine.load(Elf(loads).build())
    assert "\n" not in str(refused.value)


def test_a_kernel_that_does_not_begin_ends_with_a_line() -> None:
    p = Assembler(BASE).csrr(A0, "sstatus")
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, name="rash")
    machine.load(Elf([Load(BASE, p.assemble()), Load(0, note(), type=4)]).build())
    failure = machine.run(1000).failure
    assert failure.startswith("rash: the guest traps before it has said where to: illegal instr")
    assert "\n" not in failure


def test_hypercalls_before_the_first() -> None:
    """There is nothing but START, and firmware."""
    p = Assembler(BASE).li(S0, 0)
    for function in (*(c for c in Call if c != Call.START), 10, 99, M64):
        p.li(A6, function).li(A7, EXTENSION).op("ecall").op("add", rd=S0, rs1=S0, rs2=A0)
    p.label("end").jal(ZERO, "end")
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Elf([Load(BASE, p.assemble()), Load(0, note(), type=4)]).build())
    machine.run(1000)
    assert machine.machine.hart["s0"] == NOT_SUPPORTED * (len(Call) + 2) & M64


def test_memory_is_where_it_is_until_there_are_tables() -> None:
    """And nothing else is anywhere."""
    kernel = Kernel().put(END - 8, 0x1234).load(END - 8)
    for address in (END, BASE - 8, 0x1000_0000, 0, 1 << 36, M64 - 7):
        kernel.load(address)
    machine = run(kernel)
    assert answers(machine)[1] == (0x1234, END - 8)
    assert [(cause, value) for cause, value, *_ in traps(machine)] == [
        (LOAD_FAULT, address) for address in (END, BASE - 8, 0x1000_0000, 0, 1 << 36, M64 - 7)
    ]


# --- Calls ---------------------------------------------------------------------------------------

# What a kernel with tables calls, and what it is told.
CALLS: list[tuple[int, int, int, int, int | None]] = [
    (Call.START, SHARED, 0, SUCCESS, 0),
    (Call.START, SHARED + 8, 0, DENIED, 0),
    (Call.START, END, 0, DENIED, 0),
    (Call.START, 0, 0, DENIED, 0),
    (Call.START, ROOT, 0, DENIED, 0),
    (Call.START, 1 << 63, 0, DENIED, 0),
    (Call.UPDATE, LISTS, 0, INVALID, 0),
    (Call.UPDATE, LISTS, MOST_UPDATES + 1, INVALID, 0),
    (Call.UPDATE, LISTS, M64, INVALID, 0),
    (Call.UPDATE, LISTS, 1 << 61, INVALID, 0),
    (Call.UPDATE, END - 23, 1, INVALID, 0),
    (Call.UPDATE, END - 24 * 3, 4, INVALID, 0),
    (Call.UPDATE, END, 1, INVALID, 0),
    (Call.UPDATE, BASE - 24, 2, INVALID, 0),
    (Call.UPDATE, M64 - 23, 1, INVALID, 0),
    (Call.UPDATE, END - 24, 1, DENIED, 0),  # zeros: address 0 is no entry
    (Call.SET_ROOTS, ROOT, ROOT, SUCCESS, 0),
    (Call.SET_ROOTS, ROOT, 0, INVALID, 0),
    (Call.SET_ROOTS, 0, ROOT, INVALID, 0),
    (Call.SET_ROOTS, ROOT, MIDDLE, DENIED, 0),
    (Call.SET_ROOTS, LAST, ROOT, DENIED, 0),
    (Call.SET_ROOTS, ROOT, PAGE, DENIED, 0),
    (Call.SET_ROOTS, ROOT | 8, ROOT, DENIED, 0),
    (Call.SET_ROOTS, ROOT, 1 << 36, DENIED, 0),
    (Call.YIELD, 0, 0, SUCCESS, 0),
    (Call.FLOATING_POINT, 3, 0, SUCCESS, 3),
    (Call.FLOATING_POINT, 0, 0, SUCCESS, 0),
    (Call.FLOATING_POINT, 4, 0, INVALID, 0),
    (Call.FLOATING_POINT, M64, 0, INVALID, 0),
    (Call.CONSOLE, RING, 0, SUCCESS, 0),
    (Call.CONSOLE, RING + 1, 0, DENIED, 0),
    (Call.CONSOLE, LAST, 0, DENIED, 0),
    (Call.CONSOLE, END, 0, DENIED, 0),
    (Call.BLOCK, RING, 0, NOT_SUPPORTED, 0),  # there is no disk
    (Call.NOTIFY, 0, 0, SUCCESS, 0),
    (Call.NOTIFY, 3, 0, SUCCESS, 0),
    (Call.NOTIFY, 4, 0, INVALID, 0),
    (Call.NOTIFY, M64, 0, INVALID, 0),
    (10, 0, 0, NOT_SUPPORTED, 0),
    (M64, 0, 0, NOT_SUPPORTED, 0),
]


def test_what_calls_answer() -> None:
    kernel = Kernel().paging()
    for function, a0, a1, _, _ in CALLS:
        kernel.call(function, a0, a1)
    found = answers(run(kernel))
    assert [error for error, _ in found[:3]] == [0, 0, 0]
    for (function, a0, a1, error, value), answer in zip(CALLS, found[3:], strict=True):
        assert answer == (error, value), f"call {function} ({a0:#x}, {a1:#x})"


def test_an_update_says_how_many_were_made() -> None:
    kernel = Kernel().update((PIN, LAST, 0), (PIN, LAST, 0), (PIN, MIDDLE, 1))
    kernel.update((PIN, MIDDLE, 1), (SET, MIDDLE, entry(LAST, V))).update((UNPIN, LAST, 0))
    kernel.update((SET, MIDDLE, 0), (UNPIN, LAST, 0), (UNPIN, LAST, 0), (UNPIN, MIDDLE, 0))
    assert answers(run(kernel))[1:] == [(DENIED, 1), (SUCCESS, 2), (DENIED, 0), (DENIED, 2)]


@pytest.mark.parametrize("traced", [False, True])
def test_a_list_that_changes_itself(traced: bool) -> None:
    """It is in a table: what its first record stores makes another one of the second."""
    kernel = Kernel().put(PAGE + 8, PAGE + 24).put(PAGE + 16, UNPIN).put(PAGE + 32, OTHER)
    kernel.update((PIN, PAGE, 0), (PIN, OTHER, 0)).call(Call.UPDATE, PAGE, 2)
    kernel.update((UNPIN, OTHER, 0))
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.trace = (lambda _: None) if traced else None
    machine.run(5000)
    assert answers(machine)[1:] == [(SUCCESS, 2), (SUCCESS, 2), (DENIED, 0)]
    assert machine.accounting.updates == 4


def test_refusals_are_seen_by_those_who_look_on() -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    kernel = Kernel().update((PIN, END, 0)).update((PIN, PAGE, 0), (SET, OTHER, 0))
    machine.load(kernel.update((SET, PAGE, entry(END, V | R))).elf())
    seen: list[Exit] = []
    machine.trace = seen.append
    machine.run(1000)
    for why in (
        f"refused: {END:#x} is no frame of the guest's memory",
        f"refused: {OTHER:#x} is no entry of a table",
        f"refused: entry {entry(END, V | R):#x} leads out of the guest's memory",
    ):
        assert any(why in str(e) for e in seen), why


def test_firmware_answers_as_in_other_modes() -> None:
    kernel = Kernel().li(A0, EXTENSION).li(A6, 3).li(A7, sbi.BASE).op("ecall")
    kernel.op("addi", rd=S0, rs1=A1, imm=0)
    kernel.li(A6, 0).li(A7, 0x1234).op("ecall").op("addi", rd=S1, rs1=A0, imm=0)
    hart = run(kernel).machine.hart
    assert (hart["s0"], hart["s1"]) == (1, NOT_SUPPORTED & M64)


# --- Tables --------------------------------------------------------------------------------------


def test_the_kernel_s_tables_translate() -> None:
    window = BASE + 0x30_0000  # in memory that the tables map elsewhere
    kernel = (
        Kernel()
        .put(PAGE + 0x5000, 0x77)
        .paging(
            (PIN, OTHER, 2),
            (SET, OTHER + 8 * (BASE >> 30), entry(MIDDLE, V)),
            (SET, OTHER + 8 * 5, entry(MIDDLE, V)),
        )
    )
    kernel.load((5 << 30) + 0x20_5000).call(Call.SET_ROOTS, OTHER, ROOT)
    kernel.load((5 << 30) + 0x20_5000).load(window)
    machine = run(kernel)
    assert [value for value, _ in answers(machine)[-3:]] == [0, 0x77, 0]
    assert [cause for cause, *_ in traps(machine)] == [LOAD_FAULT]


def test_kernel_and_processes_have_tables_of_their_own() -> None:
    """A process finds a page that its kernel does not, and the other way round."""
    kernel = (
        Kernel()
        .put(PAGE, 0x99)
        .paging(
            (PIN, OTHER, 2),
            (SET, OTHER + 8 * (BASE >> 30), entry(MIDDLE, V)),
            (SET, OTHER + 8 * 5, entry(MIDDLE, V)),
        )
    )
    kernel.call(Call.SET_ROOTS, ROOT, OTHER).load((5 << 30) + 0x20_0000)
    kernel.to_user().li(A1, (5 << 30) + 0x20_0000).op("ld", rd=S0, rs1=A1, imm=0)
    machine = run(kernel)
    assert machine.machine.hart["s0"] == 0x99
    assert machine.machine.hart.mode == "U"
    assert [cause for cause, *_ in traps(machine)] == [LOAD_FAULT]


def test_a_page_that_loses_w_loses_it_at_once() -> None:
    """It was stored to before, so that the hart knew a translation; then it becomes a table."""
    at = BASE + 0x1F_F000
    kernel = Kernel().paging((SET, LAST + 8 * 511, entry(PAGE, RWX)))
    kernel.put(at, 1).update((SET, LAST + 8 * 511, entry(PAGE, V | R | A | D))).put(at, 2)
    kernel.update((SET, MIDDLE + 8, 0), (PIN, PAGE, 0))  # refused: it is no empty table
    kernel.put(at, 3).load(at)
    machine = run(kernel)
    assert [(cause, value) for cause, value, *_ in traps(machine)] == [(STORE_FAULT, at)] * 2
    assert answers(machine)[-1] == (1, at)


def test_an_entry_that_is_replaced_is_replaced_at_once() -> None:
    at = BASE + 0x1F_F000
    kernel = Kernel().put(PAGE, 1).put(PAGE + 0x1000, 2)
    kernel.paging((SET, LAST + 8 * 511, entry(PAGE, RWX)))
    kernel.load(at).update((SET, LAST + 8 * 511, entry(PAGE + 0x1000, RWX))).load(at)
    kernel.update((SET, MIDDLE, 0))  # its own program: not there any more
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.run(20_000)
    ram = machine.machine.board.ram
    found = [int.from_bytes(ram.read(0x8012_0000 + 16 * n, 8), "little") for n in (4, 6)]
    assert found == [1, 2]
    # From then on it traps for ever where its handler was, and time goes on.
    assert word(machine, "cause") == FETCH_FAULT
    assert machine.machine.now >= 20_000


def test_a_and_d_are_set_in_tables() -> None:
    at, where = BASE + 0x1F_F000, LAST + 8 * 511
    kernel = Kernel().paging((SET, where, entry(PAGE, V | R | W)))
    kernel.load(where).load(at).load(where).put(at, 1).load(where)
    found = [value & 0xFF for value, _ in answers(run(kernel))[-4:]]
    made = V | R | W | U
    assert [found[0], found[2], found[3]] == [made, made | A, made | A | D]


def test_code_in_a_page_that_becomes_a_table() -> None:
    """Its bytes are entries then, and what was decoded of them goes when they change."""
    shift_twice, shift_once = 0x8D82_050A, 0x8D82_0506  # c.slli a0, 2 or 1; c.jr s11
    kernel = Kernel().put(PAGE, shift_twice).li(S0, 1)
    for n, update in enumerate(((PIN, PAGE, 0), (SET, PAGE, shift_once), (UNPIN, PAGE, 0))):
        kernel.op("addi", rd=A0, rs1=S0, imm=0).la(S11, f"ran{n}").li(T0, PAGE)
        kernel.op("jalr", rd=ZERO, rs1=T0, imm=0).label(f"ran{n}")
        kernel.op("addi", rd=S0, rs1=A0, imm=0).update(update)
    machine = run(kernel)
    assert machine.machine.hart["s0"] == 1 << 2 << 2 << 1


def test_back_to_no_tables() -> None:
    """The linear map knows what are tables now, though its own entries are older."""
    kernel = Kernel().put(OTHER, 0).paging((PIN, OTHER, 0))
    kernel.call(Call.SET_ROOTS, 0, 0).put(OTHER, 5).put(PAGE, 6).load(PAGE)
    kernel.update((UNPIN, OTHER, 0)).put(OTHER, 7).load(OTHER)
    machine = run(kernel)
    assert [(cause, value) for cause, value, *_ in traps(machine)] == [(STORE_FAULT, OTHER)]
    assert [value for value, _ in (answers(machine)[-3], answers(machine)[-1])] == [6, 7]


def test_the_last_frame_of_the_memory() -> None:
    last = END - 0x1000
    kernel = Kernel().call(Call.CONSOLE, last).update((PIN, last - 0x1000, 0))
    kernel.update((SET, last - 8, entry(last, V | R | W))).call(Call.NOTIFY, 1)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.load(kernel.elf())
    machine.machine.board.ram.write(last, bytes(0x1000))  # where the device tree is
    machine.run(5000)
    assert answers(machine) == [(0, 0), (0, 0), (0, 1), (0, 1), (0, 0)]


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_tables_of_all_depths(levels: int) -> None:
    kernel = Kernel().paging()
    top = ROOT
    for level in range(3, levels):
        frame = OTHER + 0x1000 * (level - 3)
        kernel.update((PIN, frame, level), (SET, frame, entry(top, V)))
        top = frame
    kernel.call(Call.SET_ROOTS, top, top).put(PAGE, 0x55).load(PAGE)
    kernel.call(Call.SET_ROOTS, top, ROOT)
    machine = run(kernel)
    assert answers(machine)[-2:] == [
        (0x55, PAGE),
        (SUCCESS, 0) if levels == 3 else (DENIED, 0),  # not as many levels
    ]
    assert machine.machine.hart["satp"] == (5 + levels) << 60 | top >> 12


# --- Traps ---------------------------------------------------------------------------------------


def test_a_process_traps_into_its_kernel() -> None:
    kernel = Kernel().paging().to_user().li(SP, 0x1000)
    kernel.li(A6, 7).li(A7, EXTENSION).op("ecall")  # a system call, whatever is in a7
    kernel.label("illegal").csrr(A0, "sstatus").op("ebreak").li(A7, 0).op("ecall")
    machine = run(kernel)
    hart = machine.machine.hart
    assert [(cause, status) for cause, _, _, status in traps(machine)] == [
        (cause, SPIE) for cause in (ECALL_U, ILLEGAL, BREAKPOINT, ECALL_U)
    ]
    assert traps(machine)[1][2] == machine.machine.symbol("illegal")
    assert (hart["sp"], hart["a6"], hart["a7"]) == (0x1000, 7, 0)
    assert hart.mode == "U"


def test_the_stack_is_the_kernel_s_when_it_comes_from_a_process() -> None:
    kernel = Kernel().paging().li(SP, 0x1230).op("ebreak").to_user().li(SP, 0x4560)
    kernel.la(T5, "look").op("ecall")
    # The process's handler is where it looks at sp.
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    kernel.label("look")
    machine.load(kernel.elf())
    seen: list[tuple[int, int]] = []
    trap = machine.machine.symbol("trap")
    machine.machine.hooks.after.append(
        lambda _: (
            machine.machine.hart.pc == trap
            and seen.append((machine.machine.hart["sp"], word(machine, "sp")))
        )
    )
    machine.run(5000)
    assert seen == [(0x1230, 0x1230), (BASE + 0x8_0000, 0x4560)]


@pytest.mark.parametrize("raw", [0x30200073, 0x10200073, 0x12000073, 0x10500073, 0x18029073, 0])
def test_a_privileged_instruction_is_the_kernel_s_own_mistake(raw: int) -> None:
    """mret, sret, sfence.vma, wfi, csrw satp; and one that is none."""
    kernel = Kernel().label("it").word(raw)
    machine = run(kernel)
    assert [(cause, epc, status) for cause, _, epc, status in traps(machine)] == [
        (ILLEGAL, machine.machine.symbol("it"), SPP)
    ]


@pytest.mark.parametrize("device", [0x1000_0000, 0x0C00_0000, 0x0200_BFF8, 0x0010_0000])
def test_a_device_is_not_there(device: int) -> None:
    kernel = Kernel().load(device).put(device, 0x5555)
    machine = run(kernel)
    assert [(cause, value) for cause, value, *_ in traps(machine)] == [
        (LOAD_FAULT, device),
        (STORE_FAULT, device),
    ]


def test_time_and_no_other_counter() -> None:
    kernel = Kernel().csrr(S0, "time").csrr(A0, "cycle").csrr(A0, "instret")
    machine = run(kernel)
    assert [cause for cause, *_ in traps(machine)] == [ILLEGAL] * 2
    assert machine.machine.hart["s0"] == 0  # some hundred instructions: no tick yet


@pytest.mark.parametrize("epc", [1, BASE + 1, END, (1 << 38) + 3, 1 << 63, M64, 0])
def test_a_return_to_anywhere(epc: int) -> None:
    """The host does not mind: bit 0 is 0, as in sepc, and what is not there can't be fetched."""
    kernel = Kernel().la(S11, "end").shared("epc", epc).shared("status", M64)
    kernel.li(A6, Call.RETURN).li(A7, EXTENSION).op("ecall")
    if epc == BASE + 1:
        machine = VirtualMachine(PARAVIRT, memory=MEMORY)
        machine.load(kernel.elf())
        machine.run(5000)  # it begins again and again
        assert machine.machine.hart["pc"] % 2 == 0
        return
    machine = run(kernel)
    assert [(cause, value) for cause, value, *_ in traps(machine)] == [(FETCH_FAULT, epc & ~1)]


def test_a_kernel_that_can_not_be_entered_traps_for_ever() -> None:
    """That takes its own time, and the turn ends."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Kernel().shared("entry", M64).op("ebreak").elf())
    machine.run(10_000)
    assert machine.machine.now == 10_000
    assert word(machine, "cause") == FETCH_FAULT


def test_floating_point_is_off_and_on() -> None:
    kernel = Kernel().op("fadd.d", fd=1, fs1=1, fs2=1)
    kernel.call(Call.FLOATING_POINT, 1).op("fadd.d", fd=1, fs1=1, fs2=1).op("ebreak")
    kernel.call(Call.FLOATING_POINT, 0).op("fadd.d", fd=1, fs1=1, fs2=1)
    machine = run(kernel)
    assert [(cause, status) for cause, _, _, status in traps(machine)] == [
        (ILLEGAL, SPP),
        (BREAKPOINT, SPP | 3 << 13),  # dirty
        (ILLEGAL, SPP),
    ]


def test_there_is_no_floating_point_where_there_is_none() -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, isa="rv64imac_zicsr_zifencei")
    kernel = Kernel().call(Call.FLOATING_POINT, 1).shared("status", SPP | 3 << 13)
    kernel.la(T5, "on").li(A2, SHARED).op("sd", rs1=A2, rs2=T5, imm=WORD["epc"])
    kernel.li(A6, Call.RETURN).li(A7, EXTENSION).op("ecall").label("on").op("ebreak")
    machine.load(kernel.elf())
    machine.run(5000)
    assert answers(machine)[1] == (SUCCESS, 0)
    assert [(cause, status & 3 << 13) for cause, _, _, status in traps(machine)] == [
        (BREAKPOINT, 0)
    ]


def test_both_engines_do_the_same() -> None:
    """What the VMM does at exits is native code in one of them."""
    states = []
    for engine in ENGINES:
        kernel = set_timer(Kernel(), 3).op("ebreak").call(Call.WAIT).call(Call.FLOATING_POINT, 1)
        at = LAST + 8 * 0x170
        kernel.paging().update((SET, at, 0), (SET, at, entry(PAGE, RWX)))
        kernel.update((SET, at, entry(ROOT, RWX))).update((SET, at, 0))
        kernel.to_user().op("ebreak").op("ecall")
        machine = VirtualMachine(PARAVIRT, memory=MEMORY, engine=engine)
        machine.load(kernel.elf())
        machine.run(3000)
        ram = machine.machine.board.ram
        state = visible(machine.machine.hart.state)
        states.append((state, ram.read(BASE, MEMORY), machine.accounting.exits))
        assert len(traps(machine)) > 3
        assert machine.accounting.updates > 400
    assert states[0] == states[1]


# --- Time and events -----------------------------------------------------------------------------


def set_timer(kernel: Kernel, ticks: int) -> Kernel:
    """Have the timer's event come so many ticks from now."""
    kernel.csrr(A0, "time").op("addi", rd=A0, rs1=A0, imm=ticks)
    kernel.li(A6, 0).li(A7, sbi.TIME).op("ecall")
    return kernel


def test_wait_ends_with_the_timer() -> None:
    kernel = set_timer(Kernel(), 100).call(Call.WAIT).csrr(S0, "time")
    kernel.load(SHARED + WORD["timer"]).load(SHARED + WORD["time"]).call(Call.WAIT)
    machine = run(kernel)
    assert machine.machine.hart["s0"] == 100
    assert [value for value, _ in answers(machine)[-3:]] == [1, 100, SUCCESS]
    assert traps(machine) == []  # it was not enabled


def test_the_timer_interrupts_a_process() -> None:
    kernel = set_timer(Kernel().paging(), 50).to_user().label("spin").jal(ZERO, "spin")
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.run(20_000)
    # Again and again, since its handler sets no other time.
    assert traps(machine)[0][0] == TIMER
    assert traps(machine)[0][2:] == (machine.machine.symbol("spin"), SPIE)
    assert len(traps(machine)) > 2


def test_the_timer_interrupts_a_kernel_that_allows_it() -> None:
    """The event is pending when the kernel says so; a hypercall later it comes."""
    kernel = set_timer(Kernel(), 1).call(Call.WAIT).shared("enabled", 0)
    kernel.la(T5, "first").shared("enabled", 1).label("first").li(A0, M64).li(A6, 0)
    kernel.call(Call.NOTIFY).label("after")
    kernel.shared("enabled", 0)
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(kernel.elf())
    machine.run(600)
    first = traps(machine)[0]
    assert first[0] == TIMER
    assert first[3] == SPP | SPIE


def test_a_trap_disables_events_and_a_return_restores_that() -> None:
    kernel = Kernel().shared("enabled", 1).op("ebreak").load(SHARED + WORD["enabled"])
    kernel.shared("enabled", 0).op("ebreak").load(SHARED + WORD["enabled"])
    machine = run(kernel)
    assert [value for value, _ in answers(machine)[-2:]] == [1, 0]
    assert [status for *_, status in traps(machine)] == [SPP | SPIE, SPP]


def test_a_wait_that_nothing_ends_is_told() -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Kernel().call(Call.WAIT).elf())
    run = machine.run()
    assert "waits" in str(run)


# --- The machine ---------------------------------------------------------------------------------


def test_another_guest_may_be_loaded() -> None:
    """Nothing is left of what the first one had: tables, roots, the shared page."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    for _ in range(2):
        machine.load(Kernel().paging().put(PAGE, 5).elf())
        machine.run(20_000)
        assert [error for error, _ in answers(machine)] == [SUCCESS] * 3
        assert traps(machine) == []
        machine.machine.board.ram.write(BASE, bytes(MEMORY))


def test_a_table_that_the_host_stores_to_ends_the_guest() -> None:
    """It was checked, and is not what was checked any more."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, name="it")
    machine.load(Kernel().paging().elf())
    machine.run(20_000)
    machine.machine.write_physical(PAGE, bytes(8))
    assert not machine.run(100).failure
    machine.machine.write_physical(LAST + 8, (1 << 36 >> 2 | RWX).to_bytes(8, "little"))
    assert machine.run(100).failure.startswith(f"it: the host has stored to {LAST:#x}")


def test_translations_are_not_traced() -> None:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Kernel().elf())
    machine.machine.hooks.translation.append(lambda *_: None)
    with pytest.raises(RvemuError, match="can't be traced"):
        machine.run(100)


def test_traps_are_traced() -> None:
    """As the virtual hart takes them."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Kernel().op("ebreak").paging().to_user().op("ecall").elf())
    seen: list[int] = []
    machine.machine.hooks.trap.append(lambda *_: seen.append(machine.machine.hart["scause"]))
    machine.run(20_000)
    assert seen == [BREAKPOINT, ECALL_U]
    assert len(traps(machine)) == 2


def test_instructions_of_a_kernel_with_tables_can_be_seen() -> None:
    """Its pages are a process's, in tables that have physical addresses."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY)
    machine.load(Kernel().paging().label("here").put(PAGE, 0x77).elf())
    lines: list[str] = []
    CommitTrace(machine.machine, lines.append)
    machine.run(5000)
    assert any("@here" in line and "0 S " in line for line in lines)
    assert any("sd" in line and f"{PAGE:#x}" in line for line in lines)
    assert "<end>: 0000006f  j" in Monitor(machine.machine).execute("disas end 1")


def test_a_small_share_of_the_vmm_s_memory_is_enough() -> None:
    """The linear map is dropped where no table is left, and made again as it is needed."""
    machine = VirtualMachine(PARAVIRT, memory=16 << 20)
    assert isinstance(machine.monitor, Paravirt)
    frames = machine.monitor.frames
    while len(frames) > 4:
        frames.take_page()
    kernel = Kernel()
    for n in range(8):
        kernel.put(BASE + (n << 21) + 0x8_0000, n).load(BASE + (n << 21) + 0x8_0000)
    machine.load(kernel.elf())
    machine.run(20_000)
    assert [value for value, _ in answers(machine)[1:]] == list(range(8))


def test_who_yields_gives_the_turn_away() -> None:
    """While others have their turns, as many as it."""
    host = Host(parse_isa(DEFAULT_ISA))
    kernels = Kernel().label("a").call(Call.YIELD).jal(ZERO, "a"), Kernel()
    machines = []
    for kernel in kernels:
        machine = VirtualMachine(PARAVIRT, host, memory=MEMORY)
        machine.load(kernel.elf())
        machines.append(machine)
    polite, other = machines
    rounds: list[int] = []
    run_in_turns(machines, until=lambda: bool(rounds.append(polite.machine.now)) or len(rounds) > 9)
    assert rounds[-1] < 1000  # some instructions for each turn
    assert other.machine.now > 1_000_000


def test_a_yield_alone_is_nothing() -> None:
    assert answers(run(Kernel().call(Call.YIELD)))[1:] == [(SUCCESS, 0)]


def test_typing_does_not_disturb_a_kernel_that_reads_nothing() -> None:
    machine = VirtualMachine(PARAVIRT, output=lambda _: None)
    machine.load(find_guest("tinyos-pv"))
    machine.machine.board.uart.receive(b"hello")
    assert machine.run(100_000_000).passed
