"""What the fences of address translation do to the TLBs (sfence.vma in supervisor.adoc, "Hypervisor
Memory-Management Fence Instructions" in hypervisor.adoc). Whether they may be executed is decided
by the instructions.

Entries know no ASID and no VMID, so a fence for one acts on all: a fence may always drop more than
it must. A fence of an address that is not canonical finds no entry (norm:sfence_vma_invalid_va).
"""

from rvemu.hart.state import Hart
from rvemu.hart.tlb import flush_address, flush_supervisor, flush_virtual
from rvemu.lang import U1, U64


def fence_supervisor(h: Hart, by_address: U1, address: U64) -> None:
    """sfence.vma and sinval.vma at V=0. by_address: rs1 is not x0, and `address` is its value."""
    if by_address:
        flush_address(h, False, address)
    else:
        flush_supervisor(h)


def fence_virtual(h: Hart, by_address: U1, address: U64) -> None:
    """hfence.vvma and hinval.vvma, and sfence.vma and sinval.vma at V=1; `address` is virtual."""
    if by_address:
        flush_address(h, True, address)
    else:
        flush_virtual(h)


def fence_guest(h: Hart) -> None:
    """hfence.gvma and hinval.gvma. Entries do not remember the guest-physical address that they
    went through, so any of them may depend on the one named (norm:hfence-gvma_op)."""
    flush_virtual(h)
