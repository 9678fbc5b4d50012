"""The state of a hart after reset. Not part of the model."""

import ctypes

from rvemu.hart.csr_environment import initial_menvcfg
from rvemu.hart.csr_trap import write_mideleg
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import HSTATUS, MSTATUS, SSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.pmp import pmp_update
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import M_MODE, U_MODE, Hart
from rvemu.lang import M64, put

XLEN_64 = 2  # UXL, SXL, VSXL

# What outlives a reset: it belongs to the machine and its engine.
_KEPT = frozenset(
    [
        "shared_host",
        "interrupt_lines",
        "host_request",
        "trap_hooks",
        "owned_levels",
        "quirks",
        "mmu_hook",
        "page_slots",
        "page_bias",
        "page_addend",
        "lone_slots",
    ]
)
_CLEARED_ARRAYS = (
    *("x", "f", "pmpaddr", "pmpcfg", "mhpmcounter", "mhpmevent"),
    *("trap_counts", "tlb_fills"),
)


def reset(
    h: Hart,
    hartid: int,
    extensions: int,
    pmp_count: int = 16,
    physical_bits: int = 56,
    pc: int = 0,
) -> None:
    """Put a hart into its state after reset ("Reset", machine.adoc): in M-mode at `pc`, with
    interrupts and translation off, registers and counters zero.

    extensions: see rvemu.hart.extensions.parse_isa.
    pmp_count: PMP entries, 0 to 64.
    physical_bits: of physical addresses."""
    if not 0 <= pmp_count <= 64:
        raise ValueError(f"{pmp_count} PMP entries: must be 0 to 64")
    for field in h._fields_:
        name, kind = field[0], field[1]
        if name not in _KEPT and not issubclass(kind, ctypes.Array):
            setattr(h, name, 0)
    for name in _CLEARED_ARRAYS:
        array = getattr(h, name)
        ctypes.memset(ctypes.addressof(array), 0, ctypes.sizeof(array))
    h.hartid = hartid
    h.extensions = extensions
    h.extensions_built = extensions
    h.pmp_count = pmp_count
    h.physical_bits = physical_bits
    h.pc_align_mask = 0 if extensions & Ext.ZCA else 2
    h.pc = pc
    # No instruction is allowed yet: engines poll first.
    h.budget = -1
    h.retire_end = M64
    h.clock_end = M64
    h.clock_stop = M64
    h.mtimecmp = M64
    h.stimecmp = M64
    h.vstimecmp = M64
    h.menvcfg = initial_menvcfg(extensions)
    write_mideleg(h, 0)
    h.mstatus = _initial_mstatus(extensions)
    if extensions & Ext.H:
        h.hstatus = put(0, HSTATUS.VSXL, XLEN_64)
        h.vsstatus = put(0, SSTATUS.UXL, XLEN_64)
    pmp_update(h)
    set_privilege(h, M_MODE, 0)
    update_fp_fast(h)


def _initial_mstatus(extensions: int) -> int:
    status = put(0, MSTATUS.MPP, U_MODE if extensions & Ext.U else M_MODE)
    if extensions & Ext.U:
        status = put(status, MSTATUS.UXL, XLEN_64)
    if extensions & Ext.S:
        status = put(status, MSTATUS.SXL, XLEN_64)
    return status
