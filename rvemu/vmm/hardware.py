"""Hardware-assisted virtualization: the guest's kernel runs in VS-mode, its processes in VU-mode.

The hart translates in two stages: the guest's own tables, then the VMM's G-stage table, which maps
guest-physical memory as it is first touched. What the guest's M-mode has delegated to its S-mode is
delegated on to VS-mode (`hedeleg`, `hideleg`): its system calls, page faults and timer interrupts
do not exit. What exits comes to HS-mode, where the VMM is.

The extension virtualizes S and U, and no M. A guest's own M-mode software, if it has any, runs
deprivileged, by trap-and-emulate.
"""

from collections.abc import Sequence

from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import HGATP, MSTATUS
from rvemu.hart.pmp import pmp_permissions
from rvemu.hart.state import M_MODE, S_MODE, Hart, Shared
from rvemu.hart.walk import READ_TABLE, WRITE_TABLE
from rvemu.lang import put
from rvemu.memory import PAGE_SIZE
from rvemu.vmm.answers import Answers
from rvemu.vmm.assisted_loop import run_assisted
from rvemu.vmm.control import ControlStructure
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import ENTER_V, ENTER_V_FENCED, Host, OutOfFrames
from rvemu.vmm.monitor import PAGE_MASK
from rvemu.vmm.page_tables import BLOCK, EXECUTE, READ, WRITE, PageTable
from rvemu.vmm.switch import Entry, enter_virtual, leave_virtual, load_virtual, take_hart
from rvemu.vmm.trap_and_emulate import TrapAndEmulate

_GUEST_PAGE_FAULTS = {
    Cause.INSTRUCTION_GUEST_PAGE_FAULT: EXECUTE,
    Cause.LOAD_GUEST_PAGE_FAULT: READ,
    Cause.STORE_GUEST_PAGE_FAULT: WRITE,
}
_TABLE_ACCESSES = {READ_TABLE: READ, WRITE_TABLE: WRITE}


class Hardware(TrapAndEmulate):
    """Runs a guest in VS- and VU-mode."""

    name = "hardware"
    machine_only = True

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(host, shared, harts)
        p = host.hart
        self._take_hart = host.bind(take_hart, p)
        self._load = [host.bind(load_virtual, p, v) for v in harts]
        self._enter = [host.bind(enter_virtual, p, v) for v in harts]
        self._leave = [host.bind(leave_virtual, p, v) for v in harts]
        self._assisted = Answers.of(host.engine, self.to_physical, ENTER_V, ENTER_V_FENCED)
        rest = self._assisted, self._known, self.time
        self._run_assisted = [host.bind(run_assisted, p, v, *rest) for v in harts]
        self._permissions = self.bind(pmp_permissions)
        #: G-stage tables, one for each protection.
        self.tables = [PageTable(self.frames, 3, wide=True) for _ in harts]
        self._vmid = host.banks

    def forget(self) -> None:
        super().forget()
        for table in self.tables:
            table.clear()

    def forget_protection(self, number: int) -> None:
        super().forget_protection(number)
        self.tables[number].clear()

    @property
    def table(self) -> PageTable:
        """The G-stage table of the virtual hart that runs."""
        return self.tables[self.protections.numbers[self.number]]

    def control_structure(self) -> ControlStructure:
        """As it was at the last exit. (Of the guest that the hart has run last.)"""
        p = self.host.hart
        mode = "VS" if p.priv != S_MODE or p.mstatus & MSTATUS.SPP.mask else "VU"
        return ControlStructure.of(p, int(p.sepc), mode)

    # --- Direct execution --------------------------------------------------------------------

    def advance(self, h: Hart) -> None:
        if h.priv == M_MODE or h.data_priv != h.priv or h.trap_hooks & 1:
            # M-mode; or somebody wants to see traps that the hart would take by itself.
            super().advance(h)
            return
        if self.shadows.frames:  # from here on nobody sees what is stored to the guest's tables
            self.shadows.forget()
        host = self.host
        p = host.hart
        if host.resident is not h:
            # Translations are a virtual hart's own, though another's may be tagged like them.
            host.resident = h
            host.stale = True
            self._take_hart(put(self.table.register(), HGATP.VMID, self._vmid))
        entry = ENTER_V_FENCED if host.stale else ENTER_V
        host.stale = False
        if self.may_answer(h):
            self._known.pmp_updates = self.protections.updates[self.number]
            trapped = self.run_loop(self._run_assisted[self.number], self._assisted, entry)
        else:
            trapped = self._run(h, entry)
        if trapped:
            self._exit(h, p)

    def _run(self, h: Hart, entry: Entry) -> bool:
        """Run the guest, by a way into it: whether it trapped."""
        n = self.number
        if self._load[n](self.to_physical):
            entry = ENTER_V_FENCED
        self._enter[n](entry.address, entry.length)
        return self.run_to_stop(h, self._leave[n])

    # --- Exits -------------------------------------------------------------------------------

    def _exit(self, h: Hart, p: Hart) -> None:
        cause, value = int(p.scause), int(p.stval)
        if cause in _GUEST_PAGE_FAULTS:
            self._g_stage_fault(int(p.htval) << 2, cause, int(p.htinst))
        elif cause in (Cause.ILLEGAL_INSTRUCTION, Cause.VIRTUAL_INSTRUCTION):
            self._emulate(h, value)
        elif cause in (Cause.ECALL_FROM_U, Cause.ECALL_FROM_VS):
            self._call(h)
        else:
            self.note(ExitReason.GUEST_FAULT, value, "delivered to the guest", cause=cause)
            self.interpret()

    def _g_stage_fault(self, address: int, cause: int, instruction: int) -> None:
        """A guest-physical address is not mapped for what the guest wants of it. instruction:
        htinst, which tells when it is the hart that wants to walk the guest's tables, or to set A
        or D there."""
        needed = _TABLE_ACCESSES.get(instruction, _GUEST_PAGE_FAULTS[Cause(cause)])
        granted = self._granted(address & PAGE_MASK, PAGE_SIZE)
        if granted & needed != needed:
            action = "executed by the model, on virtual devices"
            self.note(ExitReason.MMIO, address, action, cause=cause)
            self.interpret()
            return
        self.note(ExitReason.G_STAGE_FAULT, address, "mapped", cause=cause)
        self.accounting.g_stage_pages += 1
        try:
            self._map(address, granted)
        except OutOfFrames:
            self.forget()

    def _granted(self, address: int, size: int) -> int:
        """What the guest may do with all of a page, or a block, of guest-physical addresses."""
        if not self.in_ram(address) or not self.in_ram(address + size - 1):
            return 0
        permissions = self._permissions[self.number](address, size, S_MODE)
        granted: int = permissions << 1 & (READ | WRITE | EXECUTE)
        if not granted & READ or self.watches(address, size):
            granted &= ~WRITE
        return granted

    def _map(self, address: int, granted: int) -> None:
        """Map the block that an address lies in, if all of it is alike; or else the page."""
        block, page = address & -BLOCK, address & PAGE_MASK
        if self._granted(block, BLOCK) == granted and self.table.map_block(
            block, block + self.to_physical, granted
        ):
            return
        self.table.map(page, page + self.to_physical, granted)
