"""What mtinst and htinst tell about the instruction that trapped.

Source: "Transformed Instruction or Pseudoinstruction for mtinst or htinst" (hypervisor.adoc).
"""

from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import Ext
from rvemu.hart.state import Hart
from rvemu.lang import U5, U32, U64, sext, u32, u64

# Exceptions of explicit accesses, which have a transformed instruction (norm:H_trap_xtinst_val).
_EXPLICIT = (
    (1 << Cause.LOAD_ADDRESS_MISALIGNED)
    | (1 << Cause.LOAD_ACCESS_FAULT)
    | (1 << Cause.STORE_ADDRESS_MISALIGNED)
    | (1 << Cause.STORE_ACCESS_FAULT)
    | (1 << Cause.LOAD_PAGE_FAULT)
    | (1 << Cause.STORE_PAGE_FAULT)
    | (1 << Cause.LOAD_GUEST_PAGE_FAULT)
    | (1 << Cause.STORE_GUEST_PAGE_FAULT)
)

# Major opcodes, bits 6:0.
_LOAD, _STORE, _AMO, _SYSTEM = 0x03, 0x23, 0x2F, 0x73
_FLOATING = 4  # the bit that makes LOAD-FP of LOAD, and STORE-FP of STORE

# What stays of an instruction: of loads rd, funct3, opcode; of stores rs2, funct3, opcode; of
# others all but rs1.
_LOAD_FIELDS = 0x0000_7FFF
_STORE_FIELDS = 0x01F0_707F
_OTHER_FIELDS = 0xFFF0_7FFF

_STACK_POINTER = 2


def trap_instruction(h: Hart) -> U64:
    """htinst or mtinst for the exception in `trap_*`: the pseudoinstruction where there is one,
    else the transformed instruction where one is defined, else 0."""
    if h.trap_instruction:
        return u64(h.trap_instruction)
    if not h.extensions & Ext.H or not (_EXPLICIT >> (h.trap_cause & 63)) & 1:
        return 0
    if h.insn & 3 == 3:
        return _transformed(h, h.insn)
    expanded = _expanded(h.insn)
    if expanded == 0:
        return 0
    return _transformed(h, expanded) & ~2  # bit 1 tells that it was compressed


def _transformed(h: Hart, insn: U32) -> U64:
    """A 32-bit instruction without its immediate, and with the distance from its address to the
    part that faulted in place of rs1; 0 if it is not an access."""
    base: U64 = h.x[(insn >> 15) & 31]
    opcode = insn & 0x7F
    integer_opcode = opcode & ~_FLOATING
    if integer_opcode == _LOAD:
        address = base + sext(insn >> 20, 12)
        return (insn & _LOAD_FIELDS) | _offset(h, u64(address))
    if integer_opcode == _STORE:
        address = base + sext(((insn >> 25) << 5) | ((insn >> 7) & 31), 12)
        return (insn & _STORE_FIELDS) | _offset(h, u64(address))
    if opcode == _AMO:
        return (insn & _OTHER_FIELDS) | _offset(h, base)
    if opcode == _SYSTEM:  # HLV, HLVX, HSV
        return (insn & _OTHER_FIELDS) | _offset(h, base)
    return 0


def _offset(h: Hart, address: U64) -> U32:
    """The field Addr. Offset, in place (norm:H_tinst_addr_offset)."""
    return (u64(h.trap_value - address) & 31) << 15


def _expanded(insn: U32) -> U32:
    """The 32-bit form of a compressed load or store; 0 for another instruction."""
    quadrant = insn & 3
    kind = (insn >> 13) & 7
    width = kind & 3  # 1: fld, fsd; 2: lw, sw; 3: ld, sd
    if width == 0 or quadrant == 1:
        return 0
    low_register = 8 + ((insn >> 2) & 7)
    base = 8 + ((insn >> 7) & 7)
    if quadrant == 0:
        offset = ((insn >> 10) & 7) << 3
        if width == 2:
            offset = offset | (((insn >> 6) & 1) << 2) | (((insn >> 5) & 1) << 6)
        else:
            offset = offset | (((insn >> 5) & 3) << 6)
        if kind < 4:
            return _load(width, low_register, base, offset)
        return _store(width, low_register, base, offset)
    if kind < 4:
        offset = ((insn >> 12) & 1) << 5
        if width == 2:
            offset = offset | (((insn >> 4) & 7) << 2) | (((insn >> 2) & 3) << 6)
        else:
            offset = offset | (((insn >> 5) & 3) << 3) | (((insn >> 2) & 7) << 6)
        return _load(width, (insn >> 7) & 31, _STACK_POINTER, offset)
    if width == 2:
        offset = (((insn >> 9) & 15) << 2) | (((insn >> 7) & 3) << 6)
    else:
        offset = (((insn >> 10) & 7) << 3) | (((insn >> 7) & 7) << 6)
    return _store(width, (insn >> 2) & 31, _STACK_POINTER, offset)


def _load(width: U32, rd: U5, base: U5, offset: U64) -> U32:
    """An encoded load: width 1 fld, 2 lw, 3 ld."""
    if width == 1:
        return u32((offset << 20) | (base << 15) | (3 << 12) | (rd << 7) | _LOAD | _FLOATING)
    return u32((offset << 20) | (base << 15) | (width << 12) | (rd << 7) | _LOAD)


def _store(width: U32, source: U5, base: U5, offset: U64) -> U32:
    """An encoded store: width 1 fsd, 2 sw, 3 sd."""
    high = (offset >> 5) << 25
    low = (offset & 31) << 7
    if width == 1:
        return u32(high | (source << 20) | (base << 15) | (3 << 12) | low | _STORE | _FLOATING)
    return u32(high | (source << 20) | (base << 15) | (width << 12) | low | _STORE)
