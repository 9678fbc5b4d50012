"""Hardware-assisted virtualization: the guest's kernel runs in VS-mode, its processes in VU-mode.

The hart translates in two stages: the guest's own tables, then the VMM's G-stage table, which maps
guest-physical memory as it is first touched. What the guest's M-mode has delegated to its S-mode is
delegated on to VS-mode (`hedeleg`, `hideleg`): its system calls, page faults and timer interrupts
do not exit. What exits comes to HS-mode, where the VMM is.

The extension virtualizes S and U, and no M. A guest's own M-mode software, if it has any, runs
deprivileged, by trap-and-emulate.
"""

from collections.abc import Sequence

from rvemu.hart.csr_translation import write_satp
from rvemu.hart.csr_trap import VS_INTERRUPTS, write_hedeleg, write_medeleg
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import HGATP, HSTATUS, MENVCFG, MIP, MSTATUS, SSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.pmp import pmp_page_permissions
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import M_MODE, S_MODE, STOP_OWNED, STOP_WFI, Hart, Shared
from rvemu.hart.walk import WRITE_TABLE
from rvemu.lang import M64, get, put
from rvemu.vmm.control import ControlStructure
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import CLOCK_OFFSET, ENTER_V, ENTER_V_FENCED, Host, OutOfFrames
from rvemu.vmm.monitor import PAGE_MASK
from rvemu.vmm.page_tables import EXECUTE, READ, WRITE, PageTable
from rvemu.vmm.trap_and_emulate import TrapAndEmulate

# The fields of the guest's sstatus; in the virtual hart they are mstatus's.
_STATUS = (
    SSTATUS.SIE.mask
    | SSTATUS.SPIE.mask
    | SSTATUS.SPP.mask
    | SSTATUS.FS.mask
    | SSTATUS.SUM.mask
    | SSTATUS.MXR.mask
)
_FS = MSTATUS.FS.mask

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

_GUEST_PAGE_FAULTS = {
    Cause.INSTRUCTION_GUEST_PAGE_FAULT: EXECUTE,
    Cause.LOAD_GUEST_PAGE_FAULT: READ,
    Cause.STORE_GUEST_PAGE_FAULT: WRITE,
}


class Hardware(TrapAndEmulate):
    """Runs a guest in VS- and VU-mode."""

    name = "hardware"

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(host, shared, harts)
        # Whose state the hart holds while this guest is in VS-mode. (Else, the monitor's own.)
        self._assisted = object()
        self._table = PageTable(host, 3, wide=True)
        self.hgatp = put(self._table.register(), HGATP.VMID, host.banks)

    def forget(self) -> None:
        super().forget()
        self._table.clear()

    def control_structure(self) -> ControlStructure:
        """As it was at the last exit. (Of the guest that the hart has run last.)"""
        p = self.host.hart
        mode = "VS" if p.priv != S_MODE or p.mstatus & MSTATUS.SPP.mask else "VU"
        return ControlStructure.of(p, int(p.sepc), mode)

    # --- Direct execution --------------------------------------------------------------------

    def advance(self, h: Hart) -> None:
        if h.priv == M_MODE or h.data_priv != h.priv or h.trap_hooks & 1:
            # M-mode; or somebody wants to see traps that the hart would take by itself.
            if self.host.resident is self._assisted:
                self.host.resident = None
            super().advance(h)
            return
        host = self.host
        p = host.hart
        host.become(S_MODE)
        fenced = self._load(h, p) or host.stale
        host.stale = False
        self._load_reservation(h, p)
        before = h.budget
        reason = host.enter(h, ENTER_V_FENCED if fenced else ENTER_V)
        self.accounting.entries += 1
        self.accounting.direct += before - h.budget
        self._save(h, p)
        self._save_reservation(h, p)
        if reason == STOP_OWNED:
            self._exit(h, p)
        elif reason == STOP_WFI:
            self.note(ExitReason.WFI, h.pc, "the virtual hart waits")
            h.stop_reason = STOP_WFI
        else:
            self.paused(reason)

    def _load(self, h: Hart, p: Hart) -> bool:
        """Give the guest's state to the hart; whether translations must be fenced."""
        host = self.host
        host.load_registers(h)
        fenced = False
        if host.resident is not self._assisted:
            host.resident = self._assisted
            fenced = True
            write_satp(p, 0)  # HS-mode is not translated
            p.hgatp = self.hgatp
            write_medeleg(p, M64)
            p.mcounteren = 7
        if p.vsatp != h.satp:
            p.vsatp = h.satp
            fenced = True
        if (p.vsstatus ^ h.mstatus) & SSTATUS.MXR.mask:
            fenced = True
        p.vsstatus = (p.vsstatus & ~_STATUS) | (h.mstatus & _STATUS)
        for virtual, physical in _BANKED:
            setattr(p, physical, getattr(h, virtual))
        # Controls.
        write_hedeleg(p, h.medeleg)
        delegated = h.mideleg & _S_INTERRUPTS
        p.hideleg = delegated << 1
        p.mie = (h.mie & delegated) << 1
        pending = h.mip | h.interrupt_lines
        if h.menvcfg & MENVCFG.STCE.mask:
            pending &= ~MIP.STIP.mask  # vstimecmp's
        p.hvip = (pending & delegated) << 1
        p.hcounteren = h.mcounteren
        p.mcountinhibit = h.mcountinhibit
        p.mcycle_offset = (h.mcycle_offset - CLOCK_OFFSET) & M64
        p.minstret_offset = h.minstret_offset
        if p.henvcfg != h.menvcfg:
            p.henvcfg = h.menvcfg
            fenced = True
        p.hstatus = (
            HSTATUS.SPV.mask | HSTATUS.VTW.mask | (h.mstatus & _TRAPPED) | put(0, HSTATUS.VSXL, 2)
        )
        p.sepc = h.pc
        status = p.mstatus & ~(MSTATUS.SPP.mask | MSTATUS.SPIE.mask | MSTATUS.MXR.mask | _FS)
        p.mstatus = put(status, MSTATUS.SPP, h.priv) | _FS
        return fenced

    def _save(self, h: Hart, p: Hart) -> None:
        """Take the guest's state from the hart."""
        self.host.save_registers(h)
        for virtual, physical in _BANKED:
            setattr(h, virtual, getattr(p, physical))
        fs_changed = (p.vsstatus ^ h.mstatus) & _FS
        h.mstatus = (h.mstatus & ~_STATUS) | (p.vsstatus & _STATUS)
        h.satp = p.vsatp
        delegated = h.mideleg & _S_INTERRUPTS
        h.mie = (h.mie & ~delegated) | ((p.mie & VS_INTERRUPTS) >> 1 & delegated)
        soft = delegated & MIP.SSIP.mask
        h.mip = (h.mip & ~soft) | (p.hvip >> 1 & soft)
        if p.v:
            h.pc = p.pc
            set_privilege(h, p.priv, 0)
        else:
            h.pc = p.sepc
            set_privilege(h, get(p.mstatus, MSTATUS.SPP), 0)
        if fs_changed:
            update_fp_fast(h)

    # --- Exits -------------------------------------------------------------------------------

    def _exit(self, h: Hart, p: Hart) -> None:
        cause, value = int(p.scause), int(p.stval)
        if cause in _GUEST_PAGE_FAULTS:
            self._g_stage_fault(h, int(p.htval) << 2, cause, int(p.htinst))
        elif cause in (Cause.ILLEGAL_INSTRUCTION, Cause.VIRTUAL_INSTRUCTION):
            self._emulate(h, value)
        elif cause in (Cause.ECALL_FROM_U, Cause.ECALL_FROM_VS):
            self._call(h)
        else:
            self.note(ExitReason.GUEST_FAULT, value, "delivered to the guest")
            self.interpret()

    def _g_stage_fault(self, h: Hart, address: int, cause: int, instruction: int) -> None:
        """A guest-physical address is not mapped for what the guest wants of it. instruction:
        htinst, which tells when it is the hart that wants to set A or D in the guest's tables."""
        page = address & PAGE_MASK
        needed = _GUEST_PAGE_FAULTS[Cause(cause)]
        if instruction == WRITE_TABLE:
            needed = WRITE
        granted = 0
        if self.in_ram(page):
            granted = pmp_page_permissions(h, page, S_MODE) << 1 & (READ | WRITE | EXECUTE)
            if self.shadows.protected(page) or not granted & READ:
                granted &= ~WRITE
        if granted & needed != needed:
            self.note(ExitReason.MMIO, address, "executed by the model, on virtual devices")
            self.interpret()
            return
        self.note(ExitReason.G_STAGE_FAULT, address, "mapped")
        self.accounting.g_stage_pages += 1
        try:
            self._table.map(page, page + self.to_physical, granted)
        except OutOfFrames:
            self.forget()
