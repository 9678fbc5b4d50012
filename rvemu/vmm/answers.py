"""Exits that are answered at once, without the VMM in Python: what the loops of entering a guest
and answering share (emulation_loop.py, assisted_loop.py, paravirt_loop.py). They are in the model's
language (docs/model.md), and are native code.

The VMM in Python sees the rest; and while somebody looks on, it sees all."""

import ctypes
from ctypes import c_uint64
from typing import ClassVar

from rvemu.engine import Stepper
from rvemu.engine.native.calls import call_native
from rvemu.hart.decoded import release_all_decoded
from rvemu.hart.state import STOP_FLUSH, STOP_NONE, Hart
from rvemu.lang import U64, u64
from rvemu.vmm.accounting import Accounting
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.switch import Entry, enter_user, leave_user

REASONS = tuple(ExitReason)
ECALL, SBI, HYPERCALL, GUEST_FAULT, TIMER = (
    REASONS.index(reason)
    for reason in (
        *(ExitReason.ECALL, ExitReason.SBI, ExitReason.HYPERCALL),
        *(ExitReason.GUEST_FAULT, ExitReason.TIMER),
    )
)
_ANSWERED = (
    *(ECALL, SBI, HYPERCALL, GUEST_FAULT, TIMER),
    *(REASONS.index(r) for r in (ExitReason.CSR, ExitReason.PRIVILEGED, ExitReason.WFI)),
)
#: In place of a reason.
NO_ANSWER = 15
assert len(REASONS) <= NO_ANSWER

#: The bits of ecall.
ECALL_INSTRUCTION = 0x73

# What a loop returns.
ANSWERED = 0  # the guest is between two instructions
TRAPPED = 1  # the physical hart's CSRs tell how
STOPPED = 2  # the physical hart has stopped for another reason than its time


class Answers(ctypes.Structure):
    """What a loop is told, and counts."""

    entries: int
    direct: int
    switches: int
    nanoseconds: int

    _fields_: ClassVar = [
        # Host addresses of C functions: the engine's, and timespec_get.
        ("run", c_uint64),
        ("execute", c_uint64),
        ("timespec_get", c_uint64),
        # How to enter the guest: see `enter_user`.
        ("distance", c_uint64),
        ("satp", c_uint64),
        ("entry", c_uint64),
        ("length", c_uint64),
        ("next_entry", c_uint64),  # from the second time on
        ("next_length", c_uint64),
        ("fenced_entry", c_uint64),  # or this way, if tables were changed
        ("fenced_length", c_uint64),
        ("exits_left", c_uint64),  # until the VMM wants to look
        # Counts since the VMM has looked: exits by reason, entries, instructions, tables switched,
        # nanoseconds in the guest.
        ("exits", c_uint64 * 16),
        ("entries", c_uint64),
        ("direct", c_uint64),
        ("switches", c_uint64),
        ("nanoseconds", c_uint64),
    ]

    @classmethod
    def of(cls, engine: Stepper, distance: int, entry: Entry, fenced: Entry) -> "Answers":
        """For an engine, and ways into a guest, without a fence and with one. Nothing, if the
        engine has no entry points."""
        if not engine.entry_point("run"):
            return cls()
        timespec_get = ctypes.cast(ctypes.CDLL(None).timespec_get, ctypes.c_void_p).value
        return cls(
            run=engine.entry_point("run"),
            execute=engine.entry_point("execute"),
            timespec_get=timespec_get,
            distance=distance,
            next_entry=entry.address,
            next_length=entry.length,
            fenced_entry=fenced.address,
            fenced_length=fenced.length,
        )

    def account(self, accounting: Accounting) -> float:
        """Add to the VMM's counts what was counted here; seconds in the guest."""
        for n in _ANSWERED:
            if count := self.exits[n]:
                accounting.exits[REASONS[n]] += count
                accounting.answered += count
                self.exits[n] = 0
        accounting.entries += self.entries
        accounting.direct += self.direct
        accounting.switches += self.switches
        seconds: float = self.nanoseconds / 1e9
        self.entries = self.direct = self.switches = self.nanoseconds = 0
        return seconds


class Time(ctypes.Structure):
    """C's struct timespec."""

    _fields_: ClassVar = [("seconds", c_uint64), ("nanoseconds", c_uint64)]


_TIME_UTC = 1


def _now(answers: Answers, time: Time) -> U64:
    call_native(answers.timespec_get, time, _TIME_UTC)
    return u64(time.seconds * 1_000_000_000 + time.nanoseconds)


def run_to_stop(p: Hart, answers: Answers, time: Time) -> None:
    """Run the physical hart, which is on its way into a guest, until it stops. That counts as an
    entry and an exit."""
    answers.entry = answers.next_entry
    answers.length = answers.next_length
    answers.entries = u64(answers.entries + 1)
    answers.exits_left = u64(answers.exits_left - 1)
    began = _now(answers, time)
    p.stop_reason = STOP_NONE
    call_native(answers.run, p, 0)
    while p.stop_reason == STOP_FLUSH:
        release_all_decoded(p)
        p.stop_reason = STOP_NONE
        call_native(answers.run, p, 0)
    answers.nanoseconds = u64(answers.nanoseconds + _now(answers, time) - began)


def run_guest(p: Hart, v: Hart, answers: Answers, time: Time) -> None:
    """Enter a deprivileged guest, and leave it where the physical hart has stopped."""
    if p.satp != answers.satp:
        answers.switches = u64(answers.switches + 1)
    enter_user(p, v, answers.distance, answers.satp, answers.entry, answers.length)
    run_to_stop(p, answers, time)
    answers.direct = u64(answers.direct + leave_user(p, v, answers.distance))
