"""SBI calls about harts: those that a guest's kernel starts, stops and suspends (HSM), interrupts
(IPI), and has fence (RFENCE).

A hart that is stopped waits, with no interrupt enabled that could wake it; one that is suspended
waits for what its kernel has enabled. So the machine's scheduler need not know of either.
"""

from collections.abc import Callable, Iterator

from rvemu.hart.counters import instret, request_poll
from rvemu.hart.csr_view import poke
from rvemu.hart.fields import MIP, MSTATUS
from rvemu.hart.interrupts import pending_interrupts
from rvemu.hart.state import Hart
from rvemu.lang import M32, M64
from rvemu.machine import Machine
from rvemu.vmm.sbi_results import (
    ALREADY_AVAILABLE,
    INVALID_ADDRESS,
    INVALID_PARAM,
    NOT_SUPPORTED,
    SUCCESS,
    Result,
)

HSM, IPI, RFENCE = 0x48534D, 0x735049, 0x52464E43

# States of harts.
STARTED, STOPPED, SUSPENDED = 0, 1, 4
_RETENTIVE, _NON_RETENTIVE = 0, 1 << 31

_FENCE_I, _SFENCE_VMA_ASID = 0, 2

_A0, _A1, _A2 = 10, 11, 12


class HartCalls:
    """Answers such calls for one machine's guest. fence: has a hart forget its translations."""

    def __init__(self, machine: Machine, fence: Callable[[Hart], None]) -> None:
        self._machine = machine
        self._fence = fence
        # The count of instructions at which a hart was suspended.
        self._suspended_at: dict[int, int] = {}

    def start(self) -> None:
        """The machine starts, and has only one of its harts do so."""
        self._suspended_at.clear()
        for hart in self._machine.harts:
            hart.stopped = False
        for hart in self._machine.harts[1:]:
            self._stop(hart.state)

    # --- HSM ---------------------------------------------------------------------------------

    def manage(self, h: Hart, function: int) -> Result:
        """A call of the HSM extension."""
        if function == 0:
            return self._start_other(int(h.x[_A0]), int(h.x[_A1]), int(h.x[_A2]))
        if function == 1:
            self._stop(h)
            return SUCCESS, 0  # which nobody sees
        if function == 2:
            return self._status(int(h.x[_A0]))
        if function == 3:
            return self._suspend(h, int(h.x[_A0]) & M32, int(h.x[_A1]), int(h.x[_A2]))
        return NOT_SUPPORTED, 0

    def _start_other(self, number: int, address: int, opaque: int) -> Result:
        if number >= len(self._machine.harts):
            return INVALID_PARAM, 0
        if not self._may_start_at(address):
            return INVALID_ADDRESS, 0
        hart = self._machine.harts[number]
        if not hart.stopped:
            return ALREADY_AVAILABLE, 0
        hart.stopped = False
        h = hart.state
        self._prepare(h)
        h.pc = address
        h.x[_A0], h.x[_A1] = number, opaque
        h.waiting = 0
        return SUCCESS, 0

    def _may_start_at(self, address: int) -> bool:
        """Whether S-mode can start at an address."""
        return address % 2 == 0 and self._machine.board.ram.contains(address, 2)

    @staticmethod
    def _prepare(h: Hart) -> None:
        """What S-mode finds where it starts."""
        poke(h, "satp", 0)
        h.mstatus &= ~MSTATUS.SIE.mask

    def _stop(self, h: Hart) -> None:
        self._machine.harts[int(h.hartid)].stopped = True
        h.mie = 0
        h.mip &= ~(MIP.SSIP.mask | MIP.STIP.mask)
        h.stimecmp = M64
        h.waiting = 1

    def _status(self, number: int) -> Result:
        if number >= len(self._machine.harts):
            return INVALID_PARAM, 0
        hart = self._machine.harts[number]
        if hart.stopped:
            return SUCCESS, STOPPED
        h = hart.state
        if h.waiting and self._suspended_at.get(number) == instret(h):
            return SUCCESS, SUSPENDED
        return SUCCESS, STARTED

    def _suspend(self, h: Hart, kind: int, address: int, opaque: int) -> Result:
        """Wait until an interrupt is pending that is enabled; then go on, or start anew."""
        if kind not in (_RETENTIVE, _NON_RETENTIVE):
            return INVALID_PARAM, 0
        number = int(h.hartid)
        answer = SUCCESS, 0
        if kind == _NON_RETENTIVE:
            if not self._may_start_at(address):
                return INVALID_ADDRESS, 0
            self._prepare(h)
            h.mepc = address
            answer = number, opaque
        if not pending_interrupts(h) & h.mie:
            self._suspended_at[number] = instret(h)
            h.waiting = 1
        return answer

    # --- IPI and RFENCE ----------------------------------------------------------------------

    def interrupt(self, h: Hart, function: int) -> Result:
        """A call of the IPI extension."""
        if function != 0:
            return NOT_SUPPORTED, 0
        meant = self._meant(int(h.x[_A0]), int(h.x[_A1]))
        if meant is None:
            return INVALID_PARAM, 0
        for target in meant:
            target.mip |= MIP.SSIP.mask
            request_poll(target)
        return SUCCESS, 0

    def have_fence(self, h: Hart, function: int) -> Result:
        """A call of the RFENCE extension. What was decoded follows the memory by itself."""
        if function > _SFENCE_VMA_ASID:
            return NOT_SUPPORTED, 0  # a hart without H
        meant = self._meant(int(h.x[_A0]), int(h.x[_A1]))
        if meant is None:
            return INVALID_PARAM, 0
        if function != _FENCE_I:
            for target in meant:
                self._fence(target)
        return SUCCESS, 0

    def _meant(self, mask: int, base: int) -> Iterator[Hart] | None:
        """The harts that a mask means, but for those that are stopped; None if it means one that
        is not there."""
        harts = self._machine.harts
        if base == M64:
            numbers = list(range(len(harts)))
        else:
            numbers = [base + n for n in range(64) if mask >> n & 1]
            if numbers and numbers[-1] >= len(harts):
                return None
        return (harts[n].state for n in numbers if not harts[n].stopped)
