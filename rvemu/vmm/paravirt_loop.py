"""Exits of a paravirtual guest that concern its registers and the shared page alone: traps into the
kernel, returns from them, and waiting. Most exits are these, two of them a system call. They are
answered at once (rvemu.vmm.answers).

The VMM in Python sees the rest: hypercalls that need its books, and calls of firmware."""

from rvemu.hart.exceptions import Cause
from rvemu.hart.state import S_MODE, STOP_BUDGET, STOP_NONE, STOP_OWNED, U_MODE, Hart
from rvemu.lang import U4, U64, u64
from rvemu.vmm.answers import (
    ANSWERED,
    ECALL,
    GUEST_FAULT,
    HYPERCALL,
    NO_ANSWER,
    STOPPED,
    TIMER,
    TRAPPED,
    Answers,
    Time,
    run_guest,
)
from rvemu.vmm.hypercalls import EXTENSION, Call
from rvemu.vmm.shared_page import (
    Roots,
    SharedPage,
    poll_events,
    return_from_trap,
    show_root,
    show_time,
    spend,
    take_trap,
    wait,
)

_A6, _A7 = 16, 17


def reason_of(p: Hart, v: Hart, roots: Roots) -> U4:
    """Why the guest has trapped, if `answer` has an answer; or NO_ANSWER."""
    if p.mcause == Cause.ECALL_FROM_U:
        if v.priv == U_MODE:
            return ECALL
        if v.x[_A7] == EXTENSION and (v.x[_A6] == Call.RETURN or v.x[_A6] == Call.WAIT):
            return HYPERCALL
        return NO_ANSWER
    if roots.virtual[S_MODE] == 0:
        return NO_ANSWER  # the linear map may lack the page
    return GUEST_FAULT


def answer(p: Hart, v: Hart, page: SharedPage, roots: Roots, reason: U4) -> None:
    """Complete what the guest's instruction at pc began, given `reason_of` it."""
    if reason != HYPERCALL:
        take_trap(v, page, p.mcause, p.mtval)
    elif v.x[_A6] == Call.RETURN:
        return_from_trap(v, page)
    else:
        wait(v, page)
    show_root(v, roots)
    spend(v, 1)


def run_paravirtual(
    p: Hart, v: Hart, page: SharedPage, roots: Roots, answers: Answers, time: Time
) -> U64:
    """Run a guest that has a shared page, and go on while its exits are answered here."""
    while True:
        show_time(v, page)
        answers.satp = roots.physical[v.priv & 1]
        run_guest(p, v, answers, time)
        reason: U4 = TIMER
        if p.stop_reason == STOP_OWNED:
            reason = reason_of(p, v, roots)
            if reason == NO_ANSWER:
                return TRAPPED
            answer(p, v, page, roots, reason)
        elif p.stop_reason != STOP_BUDGET:
            return STOPPED
        answers.exits[reason] = u64(answers.exits[reason] + 1)
        if v.stop_reason != STOP_NONE or answers.exits_left == 0:
            return ANSWERED
        if v.budget < 0:
            poll_events(v, page, roots)
            if v.stop_reason != STOP_NONE:
                return ANSWERED
