"""Exits of a paravirtual guest that concern its registers, the shared page and its tables alone:
traps into the kernel, returns from them, waiting, entries changed, other tables used. Most exits
are these: two for a system call, some more for a page fault or to go on with another process. They
are answered at once (rvemu.vmm.answers).

The VMM in Python sees the rest: other hypercalls, and calls of firmware."""

from rvemu.hart.counters import request_poll
from rvemu.hart.exceptions import Cause
from rvemu.hart.state import S_MODE, STOP_BUDGET, STOP_NONE, STOP_OWNED, U_MODE, Hart
from rvemu.lang import U1, U4, U64, u64
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
from rvemu.vmm.frame_books import AT_ONCE, Books, Refusal, change_roots, is_list, make_updates
from rvemu.vmm.hypercalls import EXTENSION, Call
from rvemu.vmm.shared_page import (
    Roots,
    SharedPage,
    poll_events,
    reply,
    return_from_trap,
    show_root,
    show_time,
    spend,
    take_trap,
    wait,
)

_A0, _A1, _A6, _A7 = 10, 11, 16, 17
_DENIED = (1 << 64) - 4  # SBI_ERR_DENIED


def reason_of(p: Hart, v: Hart, roots: Roots) -> U4:
    """Why the guest has trapped, if `answer` has an answer; or NO_ANSWER."""
    if p.mcause == Cause.ECALL_FROM_U:
        if v.priv == U_MODE:
            return ECALL
        if v.x[_A7] == EXTENSION and (v.x[_A6] == Call.RETURN or v.x[_A6] == Call.WAIT):
            return HYPERCALL
        return NO_ANSWER
    if roots.frames[S_MODE] == 0:
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


def _change_tables(p: Hart, v: Hart, page: SharedPage, roots: Roots, books: Books) -> U1:
    """Answer UPDATE and SET_ROOTS; 0 if the guest asks for something else, or there is more to do
    than to set entries, and use roots that have been in use: the VMM goes on then."""
    if p.mcause != Cause.ECALL_FROM_U or v.priv == U_MODE or v.x[_A7] != EXTENSION:
        return 0
    if v.x[_A6] == Call.UPDATE:
        return _update(v, page, books)
    if v.x[_A6] != Call.SET_ROOTS or change_roots(v, books, roots, v.x[_A0], v.x[_A1]) == 0:
        return 0
    end_hypercall(v, page, books, 0, 0)
    return 1


def _update(v: Hart, page: SharedPage, books: Books) -> U1:
    if is_list(books, v.x[_A0], v.x[_A1]) == 0:
        return 0
    refusal = make_updates(v, books, v.x[_A0], v.x[_A1])
    if refusal == Refusal.NO_UPDATE:
        return 0
    error: U64 = 0
    if refusal != Refusal.NONE:
        error = _DENIED
    end_hypercall(v, page, books, error, books.made)
    return 1


def end_hypercall(v: Hart, page: SharedPage, books: Books, error: U64, value: U64) -> None:
    """Answer a hypercall that is no return: with an error of the SBI's, 0 if there is none, and a
    value. The kernel may have enabled events by itself, or have been given enough for its turn."""
    work = books.looked_at // AT_ONCE
    books.made = 0
    books.looked_at = 0
    books.work = u64(books.work + work)
    reply(v, error, value)
    if work or page.enabled & 1:
        request_poll(v)
    spend(v, 1)


def run_paravirtual(
    p: Hart,
    v: Hart,
    page: SharedPage,
    roots: Roots,
    books: Books,
    answers: Answers,
    time: Time,
) -> U64:
    """Run a guest that has a shared page, and go on while its exits are answered here."""
    while True:
        show_time(v, page)
        answers.satp = roots.physical[v.priv & 1]
        if books.stale:
            books.stale = 0
            answers.entry = answers.fenced_entry
            answers.length = answers.fenced_length
        run_guest(p, v, answers, time)
        reason: U4 = TIMER
        if p.stop_reason == STOP_OWNED:
            reason = reason_of(p, v, roots)
            if reason != NO_ANSWER:
                answer(p, v, page, roots, reason)
            elif _change_tables(p, v, page, roots, books):
                reason = HYPERCALL
            else:
                return TRAPPED
        elif p.stop_reason != STOP_BUDGET:
            return STOPPED
        answers.exits[reason] = u64(answers.exits[reason] + 1)
        if v.stop_reason != STOP_NONE or answers.exits_left == 0 or books.work:
            return ANSWERED
        if v.budget < 0:
            poll_events(v, page, roots)
            if v.stop_reason != STOP_NONE:
                return ANSWERED
