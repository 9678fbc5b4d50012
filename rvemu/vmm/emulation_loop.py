"""Privileged instructions and calls of a deprivileged guest, which the model executes on the
virtual hart without anything of the VMM's having a say: a kernel makes dozens of them for each
system call or tick of its timer. They are answered at once (rvemu.vmm.answers).

The VMM in Python sees what it must: other traps, stops of the virtual hart, tables that it has not
made yet, instructions that it has not classified."""

import ctypes
from collections.abc import Callable
from ctypes import c_uint64
from typing import ClassVar

from rvemu.engine.native.calls import call_native
from rvemu.hart.exceptions import Cause
from rvemu.hart.interrupts import poll
from rvemu.hart.state import M_MODE, S_MODE, STOP_BUDGET, STOP_NONE, STOP_OWNED, Hart
from rvemu.lang import U1, U4, U32, U64, Static, u64
from rvemu.vmm.answers import (
    ANSWERED,
    ECALL,
    ECALL_INSTRUCTION,
    NO_ANSWER,
    REASONS,
    SBI,
    STOPPED,
    TIMER,
    TRAPPED,
    Answers,
    Time,
    run_guest,
)
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.lookup import Regime, changed

# So much of what was learnt is remembered: powers of two.
_INSTRUCTIONS, _VIEWS = 256, 64
_VALID = 1 << 32


class Known(ctypes.Structure):
    """What the loop is told of a guest, and learns."""

    extensions: int

    _fields_: ClassVar = [
        ("machine_only", c_uint64),  # the loop is for M-mode alone
        ("pmp_updates", c_uint64),  # that the VMM has seen
        # Reasons of instructions, by their bits (| _VALID); with these extensions.
        ("extensions", c_uint64),
        ("instruction", c_uint64 * _INSTRUCTIONS),
        ("reason", c_uint64 * _INSTRUCTIONS),
        # Shadow tables of regimes (rvemu.vmm.lookup).
        ("view_satp", c_uint64 * _VIEWS),
        ("view_rest", c_uint64 * _VIEWS),
        ("view_register", c_uint64 * _VIEWS),  # 0: none
    ]

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


def instruction_index(raw: U32) -> U64:
    """Where what is known of an instruction is."""
    return (raw ^ raw >> 12 ^ raw >> 20) & (_INSTRUCTIONS - 1)


def view_index(satp: U64, rest: U64) -> U64:
    """Where a regime's shadow table is."""
    return (satp ^ satp >> 44 ^ rest ^ rest >> 19) & (_VIEWS - 1)


def _reason_of(p: Hart, v: Hart, known: Known) -> U4:
    """Why the guest has trapped, if that has an answer here; and the instruction to execute, in
    v.insn."""
    if p.mcause == Cause.ECALL_FROM_U:
        v.insn = ECALL_INSTRUCTION
        if v.priv == S_MODE:
            return SBI
        return ECALL
    if p.mcause != Cause.ILLEGAL_INSTRUCTION:
        return NO_ANSWER
    return reason_of_instruction(v, known, p.mtval & 0xFFFF_FFFF)


def reason_of_instruction(v: Hart, known: Known, raw: U32) -> U4:
    """Why an instruction has trapped, if it is known; then it is in v.insn."""
    index = instruction_index(raw) & (_INSTRUCTIONS - 1)
    if known.extensions != v.extensions or known.instruction[index] != raw | _VALID:
        return NO_ANSWER
    v.insn = raw
    reason: U4 = known.reason[index] & 15
    return reason


def answer_exit(
    p: Hart, v: Hart, answers: Answers, known: Known, reason_of: Static[Callable[..., int]]
) -> U64:
    """Have the model execute what the guest has stopped at, if `reason_of` (p, v, known) has an
    answer: ANSWERED, or what the loop returns else."""
    reason: U4 = TIMER
    if p.stop_reason == STOP_OWNED:
        reason = reason_of(p, v, known)
        if reason == NO_ANSWER:
            return TRAPPED
        call_native(answers.execute, v, 0)
    elif p.stop_reason != STOP_BUDGET:
        return STOPPED
    answers.exits[reason] = u64(answers.exits[reason] + 1)
    return ANSWERED


def goes_on(v: Hart, answers: Answers, known: Known) -> U1:
    """Whether the guest goes on, and with nothing that the VMM has not seen; an interrupt may have
    come."""
    if v.stop_reason != STOP_NONE or answers.exits_left == 0:
        return 0
    if v.budget < 0:
        poll(v)
        if v.stop_reason != STOP_NONE:
            return 0
    if v.pmp_updates != known.pmp_updates or v.data_priv != v.priv:
        return 0
    return 1


def _finds_table(v: Hart, answers: Answers, known: Known, regime: Regime) -> U1:
    """Whether the guest has a shadow table, which answers.satp then is."""
    if known.machine_only and v.priv != M_MODE:
        return 0
    if changed(v, regime):
        index = view_index(regime.satp, regime.rest) & (_VIEWS - 1)
        if known.view_satp[index] != regime.satp or known.view_rest[index] != regime.rest:
            return 0
        if known.view_register[index] == 0:
            return 0
        answers.satp = known.view_register[index]
    return 1


def run_and_emulate(
    p: Hart, v: Hart, answers: Answers, known: Known, regime: Regime, time: Time
) -> U64:
    """Run a deprivileged guest, and go on while its exits are answered here."""
    while True:
        run_guest(p, v, answers, time)
        outcome = answer_exit(p, v, answers, known, _reason_of)
        if outcome != ANSWERED:
            return outcome
        if goes_on(v, answers, known) == 0 or _finds_table(v, answers, known, regime) == 0:
            return ANSWERED
