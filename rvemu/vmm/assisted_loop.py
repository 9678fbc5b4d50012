"""Privileged instructions that exit from VS-mode, and need nothing of the VMM's but to be executed
by the model: above all `wrs.nto`, at which a virtual hart exits that spins until another one has
done something. They are answered at once (rvemu.vmm.answers)."""

from rvemu.hart.exceptions import Cause
from rvemu.hart.state import M_MODE, Hart
from rvemu.lang import U1, U4, U64, u64
from rvemu.vmm.answers import ANSWERED, NO_ANSWER, Answers, Time, run_to_stop
from rvemu.vmm.emulation_loop import Known, answer_exit, goes_on, reason_of_instruction
from rvemu.vmm.switch import enter_virtual, leave_virtual, load_virtual


def _run_guest(p: Hart, v: Hart, answers: Answers, time: Time) -> None:
    """Enter a guest in VS- or VU-mode, and leave it where the physical hart has stopped."""
    if load_virtual(p, v, answers.distance):
        answers.entry = answers.fenced_entry
        answers.length = answers.fenced_length
    enter_virtual(p, v, answers.entry, answers.length)
    run_to_stop(p, answers, time)
    answers.direct = u64(answers.direct + leave_virtual(p, v, answers.distance))


def _reason_of(p: Hart, v: Hart, known: Known) -> U4:
    """Why the guest has trapped, if that has an answer here; and the instruction to execute, in
    v.insn."""
    refused: U1 = p.scause == Cause.VIRTUAL_INSTRUCTION or p.scause == Cause.ILLEGAL_INSTRUCTION
    if not refused:
        return NO_ANSWER
    return reason_of_instruction(v, known, p.stval & 0xFFFF_FFFF)


def run_assisted(p: Hart, v: Hart, answers: Answers, known: Known, time: Time) -> U64:
    """Run a guest in VS- and VU-mode, and go on while its exits are answered here."""
    while True:
        _run_guest(p, v, answers, time)
        outcome = answer_exit(p, v, answers, known, _reason_of)
        if outcome != ANSWERED:
            return outcome
        if goes_on(v, answers, known) == 0 or v.priv == M_MODE:
            return ANSWERED
