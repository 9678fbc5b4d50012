"""The last trap that a hart took, as data and as text: for traces and messages."""

from dataclasses import dataclass

from rvemu.hart.exceptions import FETCH, LOAD, STORE, Cause
from rvemu.hart.explain import ACCESS_NAMES, Walk, explain
from rvemu.hart.fields import HSTATUS, MSTATUS, SSTATUS
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart
from rvemu.hart.walk import ACCESS_FAULT, GUEST_PAGE_FAULT, OK, PAGE_FAULT
from rvemu.harts import MODE_NAMES
from rvemu.lang import get

_INTERRUPT = 1 << 63

INTERRUPT_NAMES = {
    1: "supervisor software interrupt",
    2: "virtual supervisor software interrupt",
    3: "machine software interrupt",
    5: "supervisor timer interrupt",
    6: "virtual supervisor timer interrupt",
    7: "machine timer interrupt",
    9: "supervisor external interrupt",
    10: "virtual supervisor external interrupt",
    11: "machine external interrupt",
    12: "supervisor guest external interrupt",
}

# The access that an exception is about, and how the walk that refused it ended. (An access fault
# may come from the walk, from PMP, or from where no memory is.)
_ACCESSES = {
    Cause.INSTRUCTION_ACCESS_FAULT: (FETCH, ACCESS_FAULT),
    Cause.LOAD_ACCESS_FAULT: (LOAD, ACCESS_FAULT),
    Cause.STORE_ACCESS_FAULT: (STORE, ACCESS_FAULT),
    Cause.INSTRUCTION_PAGE_FAULT: (FETCH, PAGE_FAULT),
    Cause.LOAD_PAGE_FAULT: (LOAD, PAGE_FAULT),
    Cause.STORE_PAGE_FAULT: (STORE, PAGE_FAULT),
    Cause.INSTRUCTION_GUEST_PAGE_FAULT: (FETCH, GUEST_PAGE_FAULT),
    Cause.LOAD_GUEST_PAGE_FAULT: (LOAD, GUEST_PAGE_FAULT),
    Cause.STORE_GUEST_PAGE_FAULT: (STORE, GUEST_PAGE_FAULT),
}


def cause_name(cause: int) -> str:
    """The name of a value of mcause, in lower case."""
    code = cause & ~_INTERRUPT
    if cause & _INTERRUPT:
        return INTERRUPT_NAMES.get(code, f"interrupt {code}")
    if code in Cause.__members__.values():
        return Cause(code).name.lower().replace("_", " ")
    return f"exception {code}"


@dataclass(frozen=True)
class TrapTaken:
    """A trap, by the CSRs that it wrote. `origin` and `target` are modes: (priv, V)."""

    cause: int  # with the interrupt bit
    epc: int
    value: int  # xtval
    guest_physical: int  # bytes; 0 where the trap has none
    origin: tuple[int, int]
    target: tuple[int, int]
    handler: int  # the first instruction's address
    gva: bool  # value is a guest virtual address

    @property
    def is_interrupt(self) -> bool:
        """Whether it is an interrupt."""
        return bool(self.cause & _INTERRUPT)

    @property
    def name(self) -> str:
        """What the cause is called."""
        return cause_name(self.cause)

    @property
    def modes(self) -> str:
        """From which mode to which, as `U->S`."""
        return f"{MODE_NAMES[self.origin]}->{MODE_NAMES[self.target]}"


def last_trap(h: Hart) -> TrapTaken:
    """The trap that a hart has just taken: to be asked before the handler runs, in a trap hook."""
    priv, v = h.trap_target & 3, h.trap_target >> 2
    gva = bool(h.trap_gva)
    if priv == M_MODE:
        previous = get(h.mstatus, MSTATUS.MPP)
        origin = (previous, get(h.mstatus, MSTATUS.MPV) if previous != M_MODE else 0)
        cause, epc, value, guest = h.mcause, h.mepc, h.mtval, h.mtval2 << 2
    elif v:
        origin = (get(h.vsstatus, SSTATUS.SPP), 1)
        cause, epc, value, guest = h.vscause, h.vsepc, h.vstval, 0
    else:
        origin = (get(h.mstatus, MSTATUS.SPP), get(h.hstatus, HSTATUS.SPV))
        cause, epc, value, guest = h.scause, h.sepc, h.stval, h.htval << 2
    gva = gva and not cause & _INTERRUPT
    return TrapTaken(
        int(cause), int(epc), int(value), int(guest), origin, (priv, v), int(h.pc), gva
    )


def explain_fault(h: Hart, trap: TrapTaken) -> list[Walk]:
    """The walks that may have led to the fault that a hart has just taken: one, but for a fault in
    M-mode of an access with MPRV, which does not tell any more in which mode it was made. Empty if
    the trap is no fault of a memory access."""
    if trap.is_interrupt or trap.cause not in _ACCESSES:
        return []
    access, outcome = _ACCESSES[Cause(trap.cause)]
    walks = [explain(h, trap.value, access, *mode) for mode in _effective_modes(h, trap, access)]
    # Those that come to the same end; a walk that ends well may be refused by PMP, or find nothing.
    ends = (outcome, OK) if outcome == ACCESS_FAULT else (outcome,)
    fitting = [walk for walk in walks if walk.outcome in ends] or walks
    return list({tuple(walk.lines[1:]): walk for walk in fitting}.values())


def _effective_modes(h: Hart, trap: TrapTaken, access: int) -> list[tuple[int, int]]:
    """The modes (priv, V) that the faulting access may have been made as."""
    priv, v = trap.origin
    if access == FETCH:
        return [trap.origin]
    if trap.origin == (M_MODE, 0) and get(h.mstatus, MSTATUS.MPRV):
        # The trap has overwritten MPP and MPV.
        if trap.gva:
            return [(S_MODE, 1), (U_MODE, 1)]
        if trap.cause in (Cause.LOAD_ACCESS_FAULT, Cause.STORE_ACCESS_FAULT):
            return [(M_MODE, 0), (S_MODE, 0), (U_MODE, 0)]
        return [(S_MODE, 0), (U_MODE, 0)]
    if trap.gva and not v:
        return [(get(h.hstatus, HSTATUS.SPVP), 1)]  # HLV, HSV
    return [(priv, v)]


def describe_walk(walk: Walk) -> str:
    """A walk as lines of text; and, where the walk itself refused nothing, why it still failed."""
    text = str(walk)
    if walk.outcome == OK and "REFUSED" not in text:
        text += f"\n=> nothing there answers such a {ACCESS_NAMES[walk.access]}"
    return text
