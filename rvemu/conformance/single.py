"""Run one test.

A test ends through HTIF (or the board's test finisher): with 0 if it passed, otherwise with
the number of the case that failed. Two numbers of riscv-tests mean something else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rvemu.conformance.discover import Program
from rvemu.conformance.results import Result, Verdict
from rvemu.conformance.trail import last_instructions, step, where
from rvemu.errors import RvemuError
from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import DEFAULT_ISA
from rvemu.machine import Machine, Outcome, Reason
from rvemu.signature import DEFAULT_GRANULARITY, write_signature

# Of riscv-tests: what a trap that a test did not expect adds to the case's number before it is
# reported, and what the little kernel of the "v" tests reports when it gives up.
_UNEXPECTED_TRAP = 1337
_KERNEL_GAVE_UP = 841

_CAUSES = frozenset(int(cause) for cause in Cause)

# Instructions that a test may take, by engine: more than those of riscv-tests need, and on the
# reference engine still a matter of seconds.
LIMITS = {"native": 5_000_000, "reference": 1_000_000}

_MAX_OUTPUT = 1 << 20


@dataclass(frozen=True)
class Options:
    """How to run tests."""

    isa: str = DEFAULT_ISA
    memory: int = 128 << 20
    #: Instructions after which a test has no result; None: what LIMITS says.
    limit: int | None = None
    #: How many of the last instructions to show of a test that does not pass.
    trail: int = 12
    #: Where signatures go: a folder, to have one file for each test, or the file for a test.
    signature_folder: Path | None = None
    signature_file: Path | None = None
    signature_granularity: int = DEFAULT_GRANULARITY

    def limit_on(self, engine: str) -> int:
        """Instructions after which a test has no result on an engine."""
        return LIMITS[engine] if self.limit is None else self.limit


class _Output:
    """Takes what a guest prints, up to a size."""

    def __init__(self) -> None:
        self._data = bytearray()

    def __call__(self, data: bytes) -> None:
        self._data += data[: _MAX_OUTPUT - len(self._data)]

    @property
    def text(self) -> str:
        return self._data.decode("utf-8", "replace")


def run_test(program: Program, engine: str, options: Options) -> Result:
    """Run a test on an engine. Whatever is wrong with the test comes out as its result."""
    started = time.perf_counter()
    result = Result(program.name, program.group, engine, Verdict.ERROR)
    output = _Output()
    try:
        machine = _loaded(program, engine, options, output)
        limit = options.limit_on(engine)
        outcome = machine.run(max(limit - options.trail, 0))
        trail: tuple[str, ...] = ()
        if outcome.reason is Reason.BUDGET:
            trail, outcome = step(machine, min(limit, options.trail))
        verdict, detail = judge(machine, outcome)
        if outcome.reason is Reason.EXITED:
            _write_signature(machine, program, engine, options)
        if verdict is not Verdict.PASSED and outcome.reason is not Reason.BUDGET:
            again = _loaded(program, engine, options, lambda _: None)
            # The store that ended the run is not among the instructions attempted.
            trail = last_instructions(again, machine.now + 1, options.trail)
        result = replace(
            result, verdict=verdict, detail=detail, instructions=machine.now, trail=trail
        )
    except RvemuError as error:
        result = replace(result, detail=str(error))
    return replace(result, output=output.text, seconds=time.perf_counter() - started)


def judge(machine: Machine, outcome: Outcome) -> tuple[Verdict, str]:
    """What the end of a run says about the test: the verdict, and one line on what is wrong."""
    here = f"at pc {where(machine, machine.hart.pc)} in {machine.hart.mode}-mode"
    if outcome.reason is Reason.BUDGET:
        trap = f"; the last trap: {_last_trap(machine)}" if machine.hart["mepc"] else ""
        return Verdict.NO_RESULT, f"no result after {machine.now:,} instructions, {here}{trap}"
    if outcome.reason is Reason.IDLE:
        return Verdict.FAILED, f"waits for an interrupt that nothing will raise, {here}"
    if outcome.reason is not Reason.EXITED:
        return Verdict.FAILED, f"asked for a reset, {here}"
    if outcome.code == 0:
        return Verdict.PASSED, ""
    reported = outcome.code << 1 | 1
    if reported == _KERNEL_GAVE_UP:
        return Verdict.FAILED, f"the test's kernel gave up ({_last_trap(machine)})"
    if reported & _UNEXPECTED_TRAP == _UNEXPECTED_TRAP:
        return Verdict.FAILED, f"unexpected trap: {_last_trap(machine)}"
    return Verdict.FAILED, f"case {outcome.code} failed"


def _last_trap(machine: Machine) -> str:
    """The trap that M-mode's CSRs tell of."""
    cause, value = machine.hart["mcause"], machine.hart["mtval"]
    if cause >> 63:
        name = f"interrupt {cause & (1 << 63) - 1}"
    elif cause in _CAUSES:
        name = Cause(cause).name.lower().replace("_", " ")
    else:
        name = f"exception {cause}"
    return f"{name} at {where(machine, machine.hart['mepc'])}, mtval {value:#x}"


def _loaded(
    program: Program, engine: str, options: Options, output: Callable[[bytes], None]
) -> Machine:
    machine = Machine(memory=options.memory, isa=options.isa, engine=engine, output=output)
    if machine.engine.name != engine:
        raise RvemuError(f"the {engine} engine can't be had on this platform")
    machine.load(program.path)
    return machine


def _write_signature(machine: Machine, program: Program, engine: str, options: Options) -> None:
    if options.signature_file is not None:
        write_signature(machine, options.signature_file, options.signature_granularity)
    elif options.signature_folder is not None:
        image = machine.image
        assert image is not None
        if image.begin_signature is None or image.end_signature is None:
            return
        file = options.signature_folder / engine / f"{program.name}.signature"
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RvemuError(f"{file.parent}: cannot be made: {error.strerror}") from error
        write_signature(machine, file, options.signature_granularity)
