"""Direct execution of a deprivileged guest: all of it, its kernel too, is in the hart's U-mode, and
the VMM at M-mode, to which all traps go. What modes differ in is the table that translates, and
what becomes of a trap."""

from rvemu.hart.fields import MSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.state import M_MODE, STOP_OWNED, Hart
from rvemu.vmm.host import ENTER_U, ENTER_U_FENCED
from rvemu.vmm.monitor import Monitor

_FS = MSTATUS.FS.mask


class Deprivileged(Monitor):
    """A mode whose guests run in U-mode."""

    #: Counters that guests read by themselves, as mcounteren has them.
    counters = 0

    def run_deprivileged(self, h: Hart, satp: int) -> bool:
        """Run the guest under a page table of the physical machine: whether it trapped. The
        physical hart's CSRs then say how; the guest's state is the virtual hart's again, and its pc
        is that of what trapped."""
        host = self.host
        p = host.hart
        host.become(M_MODE)
        host.load_registers(h)
        if host.resident is not self:
            # Cache-block operations trap, and so do counters that are not the guest's to read.
            host.resident = self
            p.mie = p.medeleg = p.senvcfg = 0
            p.mcounteren = p.scounteren = self.counters
            host.stale = True  # another guest's tables may have used the same ASIDs
        p.mepc = h.pc
        p.mscratch = satp
        status = MSTATUS.MPIE.mask | (h.mstatus & _FS)
        if (p.mstatus ^ status) & _FS:
            p.mstatus = status
            update_fp_fast(p)
        else:
            p.mstatus = status
        if p.satp != satp:
            self.accounting.switches += 1
        self._load_reservation(h, p)
        entry = ENTER_U_FENCED if host.stale else ENTER_U
        host.stale = False
        before = h.budget
        reason = host.enter(h, entry)
        self.accounting.entries += 1
        self.accounting.direct += before - h.budget
        host.save_registers(h)
        self._save_reservation(h, p)
        if (p.mstatus ^ h.mstatus) & _FS:
            h.mstatus = (h.mstatus & ~_FS) | (p.mstatus & _FS)
            update_fp_fast(h)
        if reason == STOP_OWNED:
            h.pc = p.mepc
            return True
        h.pc = p.pc
        self.paused(reason)
        return False

    def _load_reservation(self, h: Hart, p: Hart) -> None:
        """What lr has reserved, in the physical machine's addresses."""
        p.reservation_size = h.reservation_size
        if h.reservation_size:
            p.reservation_address = h.reservation_address + self.to_physical

    def _save_reservation(self, h: Hart, p: Hart) -> None:
        h.reservation_size = p.reservation_size
        if p.reservation_size:
            h.reservation_address = p.reservation_address - self.to_physical
