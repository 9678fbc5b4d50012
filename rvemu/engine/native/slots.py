"""Decoded instructions: filling slots, and entering pages. Model code, compiled with the handlers.

Each page of memory that is executed has a row of slots, one for every two bytes. A slot is 16
bytes: the host address of its handler, then rd, rs1, rs2, rs3 (a byte each) and the immediate (32
bits). A slot that is not yet decoded has the handler that decodes it. After the last slot of a page
comes one whose handler goes on in the next page.

An instruction that can't have a slot in its page's row, because it lies in two pages or in a page
whose permissions differ from one byte to the next, is decoded into the hart's *lone slots* each
time it is executed. So is one at a breakpoint: there the handler is that of an instruction in two
pages, and whether the hart is to stop is asked each time. Slots are of physical pages and
breakpoints are virtual addresses, so what is asked for is the breakpoints of every virtual page
through which the page was entered.
"""

from rvemu.hart.access import fetch, fetch_instruction
from rvemu.hart.counters import set_budget
from rvemu.hart.decoded import PAGE_MARK, SLOT_BYTES, decode_page
from rvemu.hart.points import has_breakpoint, stop_at_breakpoint
from rvemu.hart.regions import physical_address
from rvemu.hart.state import (
    BREAKPOINTS,
    FETCH_DECODED,
    FETCH_ENTRIES,
    FETCH_TAG,
    PAGE_MASK,
    STOP_BUDGET,
    STOP_FLUSH,
    STOP_NONE,
    Hart,
)
from rvemu.isa.decoder import decode
from rvemu.lang import (
    U1,
    U16,
    U32,
    U64,
    cold,
    host_load16,
    host_load32,
    host_load64,
    host_store8,
    host_store32,
    host_store64,
    u64,
)

SLOT_RD, SLOT_RS1, SLOT_RS2, SLOT_RS3, SLOT_IMM = 8, 9, 10, 11, 12


def handler_address(index: U16, length: U64) -> U64:
    """The host address of an instruction's first handler. Only native code has handlers: the
    handlers' module says how this is emitted."""
    raise NotImplementedError(f"handler of instruction {index}, {length} bytes")


@cold
def enter_page(h: Hart) -> U1:
    """Make the page at h.pc executable, unless it is: its fetch entry then names its slots. 1 if
    its instructions must be executed alone."""
    stop_at_breakpoint(h)
    host = fetch(h, h.pc)
    i = h.ftlb_base + ((h.pc >> 12) & (FETCH_ENTRIES - 1)) * 4
    if h.ftlb[i + FETCH_TAG] != h.pc & PAGE_MASK:
        return 1
    slots = decode_page(h, physical_address(h, host))
    if slots == 0:
        h.stop_reason = STOP_FLUSH
    elif h.shared.breakpoint_count != 0:
        mark_breakpoints(h, slots)
    h.ftlb[i + FETCH_DECODED] = slots
    return 0


def mark_breakpoints(h: Hart, slots: U64) -> None:
    """Have the instructions at breakpoints of the virtual page at h.pc be executed alone."""
    for n in range(min(h.shared.breakpoint_count, BREAKPOINTS)):
        address = h.shared.breakpoints[n & (BREAKPOINTS - 1)]
        if (address ^ h.pc) & PAGE_MASK == 0:
            host_store64(u64(slots + (address & 0xFFE) * (SLOT_BYTES // 2)), h.shared.straddling)
            host_store64(u64(slots + PAGE_MARK), 1)


def fill_slot(h: Hart, slot: U64, raw: U32) -> None:
    """Decode an instruction into a slot."""
    index = decode(h, raw)
    host_store8(u64(slot + SLOT_RD), h.decoded_rd)
    host_store8(u64(slot + SLOT_RS1), h.decoded_rs1)
    host_store8(u64(slot + SLOT_RS2), h.decoded_rs2)
    host_store8(u64(slot + SLOT_RS3), h.decoded_rs3)
    host_store32(u64(slot + SLOT_IMM), h.decoded_imm)
    host_store64(slot, handler_address(index, h.insn_length))


@cold
def decode_in_page(h: Hart, slot: U64) -> None:
    """Decode the instruction at h.pc into its slot of the current page."""
    if host_load64(u64(h.page_slots + PAGE_MARK)) != 0 and has_breakpoint(h, h.pc, 0xFFF):
        host_store64(slot, h.shared.straddling)
        return
    address = u64(h.pc + h.page_addend)
    raw = host_load16(address)
    if raw & 3 != 3:
        fill_slot(h, slot, raw)
    elif h.pc & 0xFFF == 0xFFE:
        host_store64(slot, h.shared.straddling)
    else:
        fill_slot(h, slot, host_load32(address))


@cold
def decode_alone(h: Hart) -> None:
    """Decode the instruction at h.pc into the lone slots; after it, execution goes on by pc."""
    stop_at_breakpoint(h)
    decode_next(h)


def decode_next(h: Hart) -> None:
    """The same, wherever breakpoints are."""
    h.insn = fetch_instruction(h, h.pc)
    decode_insn(h)


def decode_insn(h: Hart) -> None:
    """Decode h.insn into the lone slots."""
    slot = h.lone_slots
    fill_slot(h, slot, h.insn)
    for n in (1, 2):
        host_store64(u64(slot + n * SLOT_BYTES), h.shared.page_end)
    h.page_slots = 0
    h.page_bias = h.pc - (slot >> 3)


# --- Single steps ----------------------------------------------------------------------------


def begin_step(h: Hart) -> None:
    """Have the engine return after one instruction: with its budget used up, and a reason to stop
    that any other takes the place of."""
    set_budget(h, 0)
    h.stop_reason = STOP_BUDGET


def end_step(h: Hart) -> None:
    """The instruction has been executed, or has to be started over after a stop."""
    if h.stop_reason == STOP_BUDGET:
        h.stop_reason = STOP_NONE


def load_insn(h: Hart, length: U64) -> None:
    """Set h.insn to the current instruction's bits, for the slow handlers. (A lone instruction's
    are set when it is decoded.)"""
    if h.page_slots != 0:
        if length == 2:
            h.insn = host_load16(u64(h.pc + h.page_addend))
        else:
            h.insn = host_load32(u64(h.pc + h.page_addend))
