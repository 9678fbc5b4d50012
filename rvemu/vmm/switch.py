"""World switches: giving the physical hart a guest's state, and taking it back. In the model's
language (docs/model.md), since this happens at every exit: `Host.bind` makes native code of it.

p: the physical hart. v: the virtual one. distance: from a guest-physical address to the physical
one."""

from typing import NamedTuple

from rvemu.clock import CLOCKS_PER_TICK
from rvemu.hart.csr_translation import write_satp
from rvemu.hart.csr_trap import VS_INTERRUPTS, write_hedeleg, write_medeleg
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import COUNTINHIBIT, HSTATUS, MENVCFG, MIP, MSTATUS, SSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import M_MODE, PASS_NONE, S_MODE, Hart
from rvemu.lang import M64, U1, U64, get, i64, put, u64

# What the hart must have for the VMM, whatever its guests have.
NEEDED = Ext.H | Ext.S | Ext.U | Ext.SV39 | Ext.ZICSR

# The hart's clock is the guest's, and this many ticks more: so that the way into a guest, which
# comes before the guest's first instruction, has a time as well.
EPOCH = 1 << 40
CLOCK_OFFSET = EPOCH * CLOCKS_PER_TICK

_FS = MSTATUS.FS.mask


class Entry(NamedTuple):
    """A way into a guest: instructions in the VMM's memory, the last of which is an xRET."""

    address: int
    code: tuple[int, ...]

    @property
    def length(self) -> int:
        """Instructions until the guest's first."""
        return len(self.code)


# --- Registers and time ----------------------------------------------------------------------


def _load_registers(p: Hart, v: Hart, distance: U64) -> None:
    for n in range(33):
        p.x[n] = v.x[n]
    for n in range(32):
        p.f[n] = v.f[n]
    if p.extensions != v.extensions | NEEDED:
        p.extensions = v.extensions | NEEDED
        p.pc_align_mask = v.pc_align_mask
    p.extensions_built = v.extensions_built | NEEDED
    if p.fflags != v.fflags or p.frm != v.frm:
        p.fflags = v.fflags
        p.frm = v.frm
        update_fp_fast(p)
    p.reservation_size = v.reservation_size
    p.reservation_address = u64(v.reservation_address + distance)


def _save_registers(p: Hart, v: Hart, distance: U64) -> None:
    for n in range(33):
        v.x[n] = p.x[n]
    for n in range(32):
        v.f[n] = p.f[n]
    if p.fflags != v.fflags or p.frm != v.frm:
        v.fflags = p.fflags
        v.frm = p.frm
        update_fp_fast(v)
    v.reservation_size = p.reservation_size
    v.reservation_address = u64(p.reservation_address - distance)


def _begin(p: Hart, v: Hart, entry: U64, length: U64) -> None:
    """Have the hart go into the guest, by `length` instructions at `entry`, and stop when the
    guest's budget is used up."""
    p.pc = entry
    p.point_pass = PASS_NONE
    before = u64(v.clock_end - v.budget + CLOCK_OFFSET)
    p.budget = -1
    p.clock_end = u64(before - length - 1)
    p.retire_end = u64(v.retire_end - v.budget - length - 1)
    p.clock_stop = u64(before + v.budget + 1)
    p.shared.time_offset = u64(v.shared.time_offset - EPOCH)


def _end(p: Hart, v: Hart, trapped: U1) -> U64:
    """Let the guest's clock and count of instructions go on; an instruction that trapped to the VMM
    is not in them. Returns how many the guest has attempted."""
    before = u64(v.clock_end - v.budget + CLOCK_OFFSET)
    attempted = u64(p.clock_end - p.budget - before - trapped)
    v.budget = i64(v.budget - attempted)
    v.retire_end = u64(p.retire_end - p.budget + v.budget)
    return attempted


# --- U-mode ----------------------------------------------------------------------------------


def enter_user(p: Hart, v: Hart, distance: U64, satp: U64, entry: U64, length: U64) -> None:
    """Load a guest that runs deprivileged, under a page table of the VMM's."""
    if p.priv != M_MODE or p.v:
        set_privilege(p, M_MODE, 0)
    _load_registers(p, v, distance)
    p.mepc = v.pc
    p.mscratch = satp
    fs_changed = (p.mstatus ^ v.mstatus) & _FS
    p.mstatus = MSTATUS.MPIE.mask | (v.mstatus & (_FS | MSTATUS.TW.mask))
    if fs_changed:
        update_fp_fast(p)
    _begin(p, v, entry, length)


def leave_user(p: Hart, v: Hart, distance: U64) -> U64:
    """Take its state back; how many instructions it has attempted."""
    trapped: U1 = p.priv == M_MODE
    attempted = _end(p, v, trapped)
    _save_registers(p, v, distance)
    v.pc = p.mepc if trapped else p.pc
    if (p.mstatus ^ v.mstatus) & _FS:
        v.mstatus = (v.mstatus & ~_FS) | (p.mstatus & _FS)
        update_fp_fast(v)
    return attempted


# --- VS- and VU-mode -------------------------------------------------------------------------

# The fields of the guest's sstatus; in the virtual hart they are mstatus's.
_STATUS = (
    SSTATUS.SIE.mask
    | SSTATUS.SPIE.mask
    | SSTATUS.SPP.mask
    | SSTATUS.FS.mask
    | SSTATUS.SUM.mask
    | SSTATUS.MXR.mask
)

# Guest state: CSRs of the virtual hart, and of the physical one while the guest runs. The first
# ones are banked; scounteren and senvcfg serve both levels, and the VMM has no use for its own.
_BANKED = (
    ("stvec", "vstvec"),
    ("sscratch", "vsscratch"),
    ("sepc", "vsepc"),
    ("scause", "vscause"),
    ("stval", "vstval"),
    ("stimecmp", "vstimecmp"),
    ("scounteren", "scounteren"),
    ("senvcfg", "senvcfg"),
)
_S_INTERRUPTS = MIP.SSIP.mask | MIP.STIP.mask | MIP.SEIP.mask

# hstatus: what of S-mode's privileges the guest's M-mode has trapped; and wfi, so that the VMM, and
# not the hart, waits.
_TRAPPED = MSTATUS.TVM.mask | MSTATUS.TSR.mask  # at the bits of VTVM and VTSR
assert (HSTATUS.VTVM.mask | HSTATUS.VTSR.mask) == _TRAPPED


def take_hart(p: Hart, hgatp: U64) -> None:
    """Make the hart ready for a guest in VS-mode, after it has run another."""
    write_satp(p, 0)  # HS-mode is not translated
    p.hgatp = hgatp
    p.mcounteren = 0xFFFF_FFFF  # hcounteren decides


def load_virtual(p: Hart, v: Hart, distance: U64) -> U1:
    """Load a guest that runs in VS- and VU-mode; whether what is translated must be fenced."""
    if p.priv != S_MODE or p.v:
        set_privilege(p, S_MODE, 0)
    _load_registers(p, v, distance)
    delegated = v.mideleg & _S_INTERRUPTS
    environment: U64 = v.menvcfg
    if not delegated & MIP.STIP.mask:
        # An interrupt for the guest's M-mode, which the hart does not deliver: writes of stimecmp
        # exit, so that the VMM does.
        environment = environment & ~MENVCFG.STCE.mask
    fenced: U1 = 0
    if p.vsatp != v.satp or p.henvcfg != environment:
        fenced = 1
    if (p.vsstatus ^ v.mstatus) & SSTATUS.MXR.mask:
        fenced = 1
    p.vsatp = v.satp
    p.henvcfg = environment
    p.vsstatus = (p.vsstatus & ~_STATUS) | (v.mstatus & _STATUS)
    for virtual, physical in _BANKED:
        setattr(p, physical, getattr(v, virtual))
    # Controls.
    write_medeleg(p, M64)  # all that can be: that depends on the guest's misa
    write_hedeleg(p, v.medeleg)
    p.hideleg = delegated << 1
    p.mie = (v.mie & delegated) << 1
    pending: U64 = v.mip | v.interrupt_lines
    if get(v.menvcfg, MENVCFG.STCE):
        pending = pending & ~MIP.STIP.mask  # vstimecmp's
    p.hvip = (pending & delegated) << 1
    p.hcounteren = v.mcounteren
    p.mcountinhibit = v.mcountinhibit
    p.mcycle_offset = v.mcycle_offset
    if not v.mcountinhibit & COUNTINHIBIT.CY.mask:  # else it is no offset, but mcycle
        p.mcycle_offset = u64(v.mcycle_offset - CLOCK_OFFSET)
    p.minstret_offset = v.minstret_offset
    trapped = HSTATUS.SPV.mask | HSTATUS.VTW.mask | (v.mstatus & _TRAPPED)
    p.hstatus = put(trapped, HSTATUS.VSXL, 2)
    p.sepc = v.pc
    # TW may be that of a guest which was deprivileged: waits are VTW's here.
    cleared = MSTATUS.SPP.mask | MSTATUS.SPIE.mask | MSTATUS.MXR.mask | MSTATUS.TW.mask
    p.mstatus = put(p.mstatus & ~cleared, MSTATUS.SPP, v.priv) | _FS
    return fenced


def enter_virtual(p: Hart, v: Hart, entry: U64, length: U64) -> None:
    """Have the hart go into the guest that was loaded."""
    _begin(p, v, entry, length)


def leave_virtual(p: Hart, v: Hart, distance: U64) -> U64:
    """Take its state back; how many instructions it has attempted."""
    attempted = _end(p, v, p.v == 0)
    _save_registers(p, v, distance)
    for virtual, physical in _BANKED:
        setattr(v, virtual, getattr(p, physical))
    fs_changed = (p.vsstatus ^ v.mstatus) & _FS
    v.mstatus = (v.mstatus & ~_STATUS) | (p.vsstatus & _STATUS)
    v.satp = p.vsatp
    delegated = v.mideleg & _S_INTERRUPTS
    v.mie = (v.mie & ~delegated) | ((p.mie & VS_INTERRUPTS) >> 1 & delegated)
    soft = delegated & MIP.SSIP.mask
    v.mip = (v.mip & ~soft) | (p.hvip >> 1 & soft)
    if p.v:
        v.pc = p.pc
        set_privilege(v, p.priv, 0)
    else:
        v.pc = p.sepc
        set_privilege(v, get(p.mstatus, MSTATUS.SPP), 0)
    if fs_changed:
        update_fp_fast(v)
    return attempted
