"""Exceptions: each function writes to the hart what its trap needs, and returns what to raise.

    raise page_fault(h, LOAD, address, h.data_v)

`rvemu.hart.traps.take_trap` delivers what is written here. Sources: "Machine Trap Value", "Trap
Cause Codes" (machine.adoc) and "Hypervisor and Virtual Supervisor CSRs" (hypervisor.adoc).
"""

from enum import IntEnum
from typing import Annotated

from rvemu.hart.state import M_MODE, S_MODE, Hart
from rvemu.lang import STOP, TRAP, U1, U64, Range, Static, Stop, Trap


class Cause(IntEnum):
    """Exception codes of mcause."""

    INSTRUCTION_ADDRESS_MISALIGNED = 0
    INSTRUCTION_ACCESS_FAULT = 1
    ILLEGAL_INSTRUCTION = 2
    BREAKPOINT = 3
    LOAD_ADDRESS_MISALIGNED = 4
    LOAD_ACCESS_FAULT = 5
    STORE_ADDRESS_MISALIGNED = 6
    STORE_ACCESS_FAULT = 7
    ECALL_FROM_U = 8  # and from VU
    ECALL_FROM_S = 9  # from HS where there is H
    ECALL_FROM_VS = 10
    ECALL_FROM_M = 11
    INSTRUCTION_PAGE_FAULT = 12
    LOAD_PAGE_FAULT = 13
    STORE_PAGE_FAULT = 15
    INSTRUCTION_GUEST_PAGE_FAULT = 20
    LOAD_GUEST_PAGE_FAULT = 21
    VIRTUAL_INSTRUCTION = 22
    STORE_GUEST_PAGE_FAULT = 23


# Kinds of access. (An atomic's fault is a store's.)
LOAD, STORE, FETCH = 0, 1, 2
Access = Annotated[int, Range(0, 2)]

# Causes, by kind of access.
_MISALIGNED = (
    int(Cause.LOAD_ADDRESS_MISALIGNED),
    int(Cause.STORE_ADDRESS_MISALIGNED),
    int(Cause.INSTRUCTION_ADDRESS_MISALIGNED),
)
_ACCESS_FAULT = (
    int(Cause.LOAD_ACCESS_FAULT),
    int(Cause.STORE_ACCESS_FAULT),
    int(Cause.INSTRUCTION_ACCESS_FAULT),
)
_PAGE_FAULT = (
    int(Cause.LOAD_PAGE_FAULT),
    int(Cause.STORE_PAGE_FAULT),
    int(Cause.INSTRUCTION_PAGE_FAULT),
)
_GUEST_PAGE_FAULT = (
    int(Cause.LOAD_GUEST_PAGE_FAULT),
    int(Cause.STORE_GUEST_PAGE_FAULT),
    int(Cause.INSTRUCTION_GUEST_PAGE_FAULT),
)


def _exception(h: Hart, cause: U64, value: U64, gva: U1) -> None:
    """Write a trap without a guest-physical address."""
    h.trap_cause = cause
    h.trap_value = value
    h.trap_gva = gva
    h.trap_guest_address = 0
    h.trap_instruction = 0


def illegal_instruction(h: Hart) -> Trap:
    """The current instruction, whose bits are `h.insn`, does not exist or may not be executed."""
    _exception(h, Cause.ILLEGAL_INSTRUCTION, h.insn, 0)
    return TRAP


def virtual_instruction(h: Hart) -> Trap:
    """The current instruction would be allowed in HS-mode, and is not at V=1."""
    _exception(h, Cause.VIRTUAL_INSTRUCTION, h.insn, 0)
    return TRAP


def breakpoint(h: Hart, address: U64) -> Trap:
    """ebreak. xtval is its address, as riscv-tests and debuggers expect."""
    _exception(h, Cause.BREAKPOINT, address, h.v)
    return TRAP


def environment_call(h: Hart) -> Trap:
    """ecall: the cause says from where. xtval is 0."""
    cause: U64 = Cause.ECALL_FROM_U
    if h.priv == M_MODE:
        cause = Cause.ECALL_FROM_M
    elif h.priv == S_MODE:
        cause = Cause.ECALL_FROM_S
        if h.v:
            cause = Cause.ECALL_FROM_VS
    _exception(h, cause, 0, 0)
    return TRAP


def instruction_address_misaligned(h: Hart, target: U64) -> Trap:
    """A jump to a target that is not aligned. xtval is the target, mepc the jump's own address."""
    _exception(h, Cause.INSTRUCTION_ADDRESS_MISALIGNED, target, h.v)
    return TRAP


def address_misaligned(h: Hart, access: Access, address: U64, gva: U1) -> Trap:
    """An access that must be aligned, and is not.

    gva: whether `address` is a guest virtual address, that is the V that the access was made
    with: h.v for a fetch, h.data_v for a load or store, 1 for HLV and HSV."""
    _exception(h, _MISALIGNED[access], address, gva)
    return TRAP


def access_fault(h: Hart, access: Access, address: U64, gva: U1) -> Trap:
    """Physical memory refuses the access (PMP, or nothing is there). `address` is virtual where
    translation is on; gva as in `address_misaligned`."""
    _exception(h, _ACCESS_FAULT[access], address, gva)
    return TRAP


def page_fault(h: Hart, access: Access, address: U64, gva: U1) -> Trap:
    """The page table that `address` goes through first refuses the access: satp's, or vsatp's.
    gva as in `address_misaligned`."""
    _exception(h, _PAGE_FAULT[access], address, gva)
    return TRAP


def guest_page_fault(
    h: Hart, access: Access, address: U64, guest_physical: U64, instruction: U64
) -> Trap:
    """The page table of hgatp refuses the access.

    address: the guest virtual address of the original access.
    guest_physical: in bytes; htval and mtval2 will hold it shifted right by 2.
    instruction: for an implicit access (of VS-stage tables) the pseudoinstruction, else 0: then
    htinst and mtinst get the transformed instruction."""
    _exception(h, _GUEST_PAGE_FAULT[access], address, 1)
    h.trap_guest_address = guest_physical
    h.trap_instruction = instruction
    return TRAP


def stop(h: Hart, reason: Static[int]) -> Stop:
    """Return to the host for one of the STOP_ reasons; the instruction starts over afterwards."""
    h.stop_reason = reason
    h.restart = 1
    return STOP
