"""Exits that are answered at once: privileged instructions and calls, which the model executes on
the virtual hart without anything of the VMM's having a say. A deprivileged kernel makes dozens of
them for each system call or tick of its timer, so the loop of entering the guest and answering is
in the model's language (docs/model.md), and is native code.

The VMM in Python sees what it must: other traps, stops of the virtual hart, tables that it has not
made yet, instructions that it has not classified. While somebody looks on, it sees all."""

import ctypes
from ctypes import c_uint64
from typing import ClassVar

from rvemu.engine import Stepper
from rvemu.engine.native.calls import call_native
from rvemu.hart.decoded import release_all_decoded
from rvemu.hart.exceptions import Cause
from rvemu.hart.interrupts import poll
from rvemu.hart.state import M_MODE, S_MODE, STOP_BUDGET, STOP_FLUSH, STOP_NONE, STOP_OWNED, Hart
from rvemu.lang import U1, U4, U32, U64, u64
from rvemu.vmm.accounting import Accounting
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.lookup import Regime, changed
from rvemu.vmm.switch import enter_user, leave_user

REASONS = tuple(ExitReason)
_ECALL, _SBI, _TIMER = (
    REASONS.index(reason) for reason in (ExitReason.ECALL, ExitReason.SBI, ExitReason.TIMER)
)
_ANSWERED = tuple(
    REASONS.index(reason)
    for reason in (
        *(ExitReason.CSR, ExitReason.PRIVILEGED, ExitReason.ECALL, ExitReason.SBI),
        *(ExitReason.WFI, ExitReason.GUEST_FAULT, ExitReason.TIMER),
    )
)
_NO_ANSWER = 15
assert len(REASONS) <= _NO_ANSWER
_ECALL_INSTRUCTION = 0x73

# So much of what was learnt is remembered: powers of two.
_INSTRUCTIONS, _VIEWS = 256, 64
_VALID = 1 << 32

# What the loop returns.
ANSWERED = 0  # the guest is between two instructions
TRAPPED = 1  # the physical hart's CSRs tell how
STOPPED = 2  # the physical hart has stopped for another reason than its time


class Answers(ctypes.Structure):
    """What the loop is told, learns, and counts."""

    entries: int
    direct: int
    switches: int
    nanoseconds: int
    extensions: int

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
        ("exits_left", c_uint64),  # until the VMM wants to look
        ("machine_only", c_uint64),  # the loop is for M-mode alone
        ("pmp_updates", c_uint64),  # that the VMM has seen
        # Counts since the VMM has looked: exits by reason, entries, instructions, shadow tables
        # switched, nanoseconds in the guest.
        ("exits", c_uint64 * 16),
        ("entries", c_uint64),
        ("direct", c_uint64),
        ("switches", c_uint64),
        ("nanoseconds", c_uint64),
        # Reasons of instructions, by their bits (| _VALID); with these extensions.
        ("extensions", c_uint64),
        ("instruction", c_uint64 * _INSTRUCTIONS),
        ("reason", c_uint64 * _INSTRUCTIONS),
        # Shadow tables of regimes (rvemu.vmm.lookup).
        ("view_satp", c_uint64 * _VIEWS),
        ("view_rest", c_uint64 * _VIEWS),
        ("view_register", c_uint64 * _VIEWS),  # 0: none
    ]

    @classmethod
    def of(cls, engine: Stepper, entry: int, length: int) -> "Answers":
        """For an engine that has entry points, and a way into guests."""
        timespec_get = ctypes.cast(ctypes.CDLL(None).timespec_get, ctypes.c_void_p).value
        return cls(
            run=engine.entry_point("run"),
            execute=engine.entry_point("execute"),
            timespec_get=timespec_get,
            next_entry=entry,
            next_length=length,
        )

    def learn_instruction(self, raw: int, extensions: int, reason: ExitReason) -> None:
        """An instruction, on harts with these extensions, is executed by the model."""
        if self.extensions != extensions:
            self.extensions = extensions
            ctypes.memset(ctypes.addressof(self.instruction), 0, ctypes.sizeof(self.instruction))
        index = instruction_index(raw)
        self.instruction[index] = raw | _VALID
        self.reason[index] = REASONS.index(reason)

    def learn_view(self, satp: int, rest: int, register: int) -> None:
        """A regime has a shadow table."""
        index = view_index(satp, rest)
        self.view_satp[index] = satp
        self.view_rest[index] = rest
        self.view_register[index] = register

    def forget_views(self) -> None:
        """Shadow tables are gone."""
        ctypes.memset(ctypes.addressof(self.view_register), 0, ctypes.sizeof(self.view_register))

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


def instruction_index(raw: U32) -> U64:
    """Where what is known of an instruction is."""
    return (raw ^ raw >> 12 ^ raw >> 20) & (_INSTRUCTIONS - 1)


def view_index(satp: U64, rest: U64) -> U64:
    """Where a regime's shadow table is."""
    return (satp ^ satp >> 44 ^ rest ^ rest >> 19) & (_VIEWS - 1)


def _now(answers: Answers, time: Time) -> U64:
    call_native(answers.timespec_get, time, _TIME_UTC)
    return u64(time.seconds * 1_000_000_000 + time.nanoseconds)


def _reason_of(p: Hart, v: Hart, answers: Answers) -> U4:
    """Why the guest has trapped, if that has an answer here; and the instruction to execute, in
    v.insn."""
    if p.mcause == Cause.ECALL_FROM_U:
        v.insn = _ECALL_INSTRUCTION
        if v.priv == S_MODE:
            return _SBI
        return _ECALL
    if p.mcause != Cause.ILLEGAL_INSTRUCTION or answers.extensions != v.extensions:
        return _NO_ANSWER
    raw: U32 = p.mtval & 0xFFFF_FFFF
    index = instruction_index(raw) & (_INSTRUCTIONS - 1)
    if answers.instruction[index] != raw | _VALID:
        return _NO_ANSWER
    v.insn = raw
    reason: U4 = answers.reason[index] & 15
    return reason


def _may_go_on(v: Hart, answers: Answers, regime: Regime) -> U1:
    """Whether the guest may be entered again, under the shadow table that answers.satp then is."""
    if v.stop_reason != STOP_NONE or answers.exits_left == 0:
        return 0
    if v.budget < 0:
        poll(v)
        if v.stop_reason != STOP_NONE:
            return 0
    if v.pmp_updates != answers.pmp_updates or v.data_priv != v.priv:
        return 0
    if answers.machine_only and v.priv != M_MODE:
        return 0
    if changed(v, regime):
        index = view_index(regime.satp, regime.rest) & (_VIEWS - 1)
        if answers.view_satp[index] != regime.satp or answers.view_rest[index] != regime.rest:
            return 0
        if answers.view_register[index] == 0:
            return 0
        answers.satp = answers.view_register[index]
    return 1


def _run_guest(p: Hart, v: Hart, answers: Answers, time: Time) -> None:
    """Enter the guest, and leave it where the physical hart has stopped."""
    if p.satp != answers.satp:
        answers.switches = u64(answers.switches + 1)
    enter_user(p, v, answers.distance, answers.satp, answers.entry, answers.length)
    answers.entry = answers.next_entry
    answers.length = answers.next_length
    began = _now(answers, time)
    p.stop_reason = STOP_NONE
    call_native(answers.run, p, 0)
    while p.stop_reason == STOP_FLUSH:
        release_all_decoded(p)
        p.stop_reason = STOP_NONE
        call_native(answers.run, p, 0)
    answers.nanoseconds = u64(answers.nanoseconds + _now(answers, time) - began)
    answers.direct = u64(answers.direct + leave_user(p, v, answers.distance))
    answers.entries = u64(answers.entries + 1)


def run_and_answer(p: Hart, v: Hart, answers: Answers, regime: Regime, time: Time) -> U64:
    """Run a deprivileged guest, and go on while its exits are answered here."""
    while True:
        _run_guest(p, v, answers, time)
        answers.exits_left = u64(answers.exits_left - 1)
        reason: U4 = _TIMER
        if p.stop_reason == STOP_OWNED:
            reason = _reason_of(p, v, answers)
            if reason == _NO_ANSWER:
                return TRAPPED
            call_native(answers.execute, v, 0)
        elif p.stop_reason != STOP_BUDGET:
            return STOPPED
        answers.exits[reason] = u64(answers.exits[reason] + 1)
        if _may_go_on(v, answers, regime) == 0:
            return ANSWERED
