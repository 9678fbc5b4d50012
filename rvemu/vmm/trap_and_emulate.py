"""Trap-and-emulate: the classic VMM of a hart whose sensitive instructions are all privileged.

The guest's kernel (and its M-mode software) runs in the hart's U-mode, as its processes do. What is
innocuous executes directly (*efficiency*). What is privileged traps to M-mode, where the VMM is:
it has the model execute the instruction on the virtual hart, which knows what privilege the guest
believes to have (*equivalence*), and reaches no other memory than the guest's (*safety*).
Addresses are translated by shadow tables (rvemu.vmm.shadow).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from rvemu.hart.exceptions import FETCH, LOAD, STORE, Cause
from rvemu.hart.state import S_MODE, U_MODE, Hart, Shared
from rvemu.hart.walk import OK, translate_stages
from rvemu.isa.decoder import row_of
from rvemu.vmm.answers import ECALL_INSTRUCTION
from rvemu.vmm.deprivileged import Deprivileged
from rvemu.vmm.emulation_loop import Known, run_and_emulate
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import Host
from rvemu.vmm.monitor import PAGE_MASK
from rvemu.vmm.patch import Patcher
from rvemu.vmm.shadow import FILLED, NOT_MEMORY, PROTECTED, Shadows

_PAGE_FAULTS = {
    Cause.INSTRUCTION_PAGE_FAULT: FETCH,
    Cause.LOAD_PAGE_FAULT: LOAD,
    Cause.STORE_PAGE_FAULT: STORE,
}


@dataclass(frozen=True)
class Privileged:
    """What the VMM knows of an instruction that trapped."""

    reason: ExitReason
    action: str


class TrapAndEmulate(Deprivileged):
    """Runs a guest deprivileged, in U-mode."""

    name = "trap-and-emulate"
    #: It is for the guest's M-mode alone.
    machine_only = False

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(host, shared, harts)
        self._known = Known(machine_only=self.machine_only)
        self.shadows = Shadows(self, self._known)
        rest = self.answers, self._known, self.shadows.regime, self.time
        self._run_and_emulate = [host.bind(run_and_emulate, host.hart, v, *rest) for v in harts]

    def forget(self) -> None:
        self.shadows.forget()

    def forget_protection(self, number: int) -> None:
        self.shadows.forget_protection(number)

    def frames_stored(self, frames: Sequence[int]) -> None:
        if self.shadows.frames or self.shadows.patcher is not None:
            for frame in frames:
                self.shadows.stored(frame)

    # --- Direct execution --------------------------------------------------------------------

    def advance(self, h: Hart) -> None:
        if h.data_priv != h.priv:
            # MPRV: instructions and data are of different privileges, and here both would be U.
            if not self.meets_breakpoint():
                self.note(ExitReason.INTERPRETED, h.pc, "MPRV is on: executed by the model")
                self.interpret()
            return
        satp = self.shadows.view().satp
        if self.shadows.patcher is None and self.may_answer(h):
            self._known.pmp_updates = self.protections.updates[self.number]
            trapped = self.run_answering(self._run_and_emulate[self.number], satp)
        else:
            trapped = self.run_deprivileged(h, satp)
        if trapped:
            self._handle(h, int(self.host.hart.mcause), int(self.host.hart.mtval))

    # --- Exits -------------------------------------------------------------------------------

    def _handle(self, h: Hart, cause: int, value: int) -> None:
        """Complete what the guest's instruction at pc began, given how it trapped."""
        if cause == Cause.ILLEGAL_INSTRUCTION:
            self._emulate(h, value)
        elif cause == Cause.ECALL_FROM_U:
            self._call(h)
        elif cause in _PAGE_FAULTS:
            self._page_fault(h, value, cause)
        else:
            self.note(ExitReason.GUEST_FAULT, value, "delivered to the guest", cause=cause)
            self.interpret()

    def _emulate(self, h: Hart, raw: int) -> None:
        if self.shadows.patcher is not None and h.priv != U_MODE:
            self._meet_trap(h, self.shadows.patcher)
            return
        known = classify(raw, h.extensions)
        self._known.learn_instruction(raw, int(h.extensions), known.reason)
        self.note(known.reason, raw, known.action, raw)
        self.execute(raw)

    def _meet_trap(self, h: Hart, patcher: Patcher) -> None:
        """A trap in the copy of the guest's code: a block to scan, or a sensitive instruction."""
        outcome, physical, _ = translate_stages(h, h.pc, FETCH, h.priv, 0, None)
        if outcome == OK and patcher.scan(physical & PAGE_MASK, physical & 0xFFF):
            self.note(ExitReason.SCAN, h.pc, "a block was scanned and patched")
            return
        self.note(ExitReason.PATCHED, h.pc, "the patched instruction is executed by the model")
        self.interpret()

    def _call(self, h: Hart) -> None:
        reason, action = ExitReason.ECALL, "delivered to the guest's M-mode"
        if h.priv == U_MODE:
            action = "delivered to the guest's kernel"
        elif h.priv == S_MODE:
            reason, action = ExitReason.SBI, "delivered to the guest's firmware"
            if h.owned_levels:
                action = "answered by the VMM"
        self.note(reason, h.x[17], action, ECALL_INSTRUCTION)
        self.execute(ECALL_INSTRUCTION)

    def _page_fault(self, h: Hart, address: int, cause: int) -> None:
        access = _PAGE_FAULTS[Cause(cause)]
        done = self.shadows.fill(h, self.shadows.view(), address, access)
        if done == FILLED:
            action = "mapped as the guest's tables say"
            self.note(ExitReason.SHADOW_FILL, address, action, cause=cause)
            return
        if done == PROTECTED:
            action = "executed by the model, and the shadows follow"
            self.note(ExitReason.PAGE_TABLE_WRITE, address, action, cause=cause)
        elif done == NOT_MEMORY:
            action = "executed by the model, on virtual devices"
            self.note(ExitReason.MMIO, address, action, cause=cause)
        else:
            self.note(ExitReason.GUEST_FAULT, address, "delivered to the guest", cause=cause)
        self.interpret()


@lru_cache(maxsize=4096)  # a guest can trap at more instructions than there is memory for
def classify(raw: int, extensions: int) -> Privileged:
    """What an instruction that trapped as illegal is to the VMM."""
    row = row_of(raw, extensions)
    if row is None:
        return Privileged(ExitReason.GUEST_FAULT, "no such instruction: delivered to the guest")
    if row.name.startswith("csr"):
        return Privileged(ExitReason.CSR, "emulated on the virtual hart")
    if row.name == "wfi":
        return Privileged(ExitReason.WFI, "the virtual hart waits")
    if row.name.startswith("sfence"):
        return Privileged(ExitReason.PRIVILEGED, "nothing to do: shadows are coherent")
    return Privileged(ExitReason.PRIVILEGED, "emulated on the virtual hart")
