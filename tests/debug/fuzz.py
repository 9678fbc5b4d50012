"""Feeds a session with a machine behind it broken input: `python -m tests.debug.fuzz [N] [SEED]`.

The packets are those of tests/gdbstub/fuzz.py, and `monitor` commands; the guest is a small program
in U, VS or M-mode, on one to three harts of one or two machines. Any exception that escapes, any
badly framed reply, and a session that no longer answers end it with a traceback.
"""

import gc
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle

from gdbstub import Session
from gdbstub.packet import frame
from rvemu import machine as machines
from rvemu.debug import target as targets
from rvemu.debug.process import Process
from rvemu.debug.target import DebugTarget
from tests.debug.small import COUNTING, ECALL, WFI, jump, small_machine
from tests.gdbstub.fuzz import PIECES, main, on_the_wire

PROGRAMS = (COUNTING, (ECALL,), (WFI, jump(-4)))

# Commands of `monitor` that neither write files nor are slow.
MONITOR = (
    "help", "phys on", "phys off", "guest on", "guest off", "devices on", "devices off", "traps on",
    "traps off", "stop-on trap", "stop-on mode", "stop-on vm-exit", "stop-on off", "settings",
    "step-interrupts on", "reset", "csr mstatus", "csr 300", "walk 80000000", "walk 0 fetch", "tlb",
    "pmp", "harts", "devices",
)  # fmt: skip

_FRAMED = re.compile(rb"[$%][^#$]*#[0-9a-f]{2}|[+-]")
_PACKETS_IN_A_SESSION = 2000
_BURST = 50  # packets between two looks at whether the session answers


def monitor_command(rng: random.Random) -> bytes:
    """`qRcmd` with a command, sometimes with other arguments."""
    line = rng.choice(MONITOR).encode()
    if rng.random() < 0.4:
        name = line.split()[0]
        line = b" ".join([name, *rng.choices(PIECES, k=rng.randrange(4))])
    return frame(b"qRcmd," + line.hex().encode())


def new_target(rng: random.Random) -> DebugTarget:
    """One machine or two, about to run a program in some mode."""
    processes = []
    for number in range(1, rng.randrange(2, 4)):
        machine = small_machine("native", rng.choice(PROGRAMS), rng.randrange(1, 4))
        for hart in machine.harts:
            hart["pmpaddr0"], hart["pmpcfg0"] = (1 << 54) - 1, 0x1F
            hart["mtvec"] = 0x8000_0000
            hart.mode = rng.choice(("M", "U", "VS"))
        processes.append(Process(machine, number=number))
    if len(processes) == 1:
        return DebugTarget(*processes)
    return DebugTarget(*processes, turns=cycle([Turn(0), Turn(1)]))


@dataclass(frozen=True)
class Turn:
    """A turn of one of several machines."""

    number: int
    clocks: int = 100

    def over(self) -> bool:
        return False


@contextmanager
def _short_slices() -> Iterator[None]:
    """The guest has little time for each packet."""
    before = machines.SLICES["native"], targets.SLICE
    machines.SLICES["native"], targets.SLICE = 200, 0.00005
    try:
        yield
    finally:
        machines.SLICES["native"], targets.SLICE = before


def fuzz(packets: int, seed: int) -> int:
    """Feeds so many packets; the number of sessions it took. Asserts that all is well."""
    rng = random.Random(seed)
    sessions = done = 0
    with _short_slices():
        while done < packets:
            target = new_target(rng)
            sessions += 1
            count = min(_PACKETS_IN_A_SESSION, packets - done)
            done += _one_session(rng, target, count)
            target.close()
            for process in target.processes:
                hooks = process.machine.hooks
                assert not (hooks.point or hooks.trap or hooks.before or hooks.after)
            if sessions % 20 == 0:
                gc.collect()  # a machine is large, and made of few objects
    return sessions


def _one_session(rng: random.Random, target: DebugTarget, packets: int) -> int:
    """Feeds a session until it is closed, or has had its packets; how many it had."""
    session = Session(target, 4096)
    for turn in range(1, packets + 1):
        session.receive(monitor_command(rng) if rng.random() < 0.05 else on_the_wire(rng))
        if session.running and target.threads():
            for event in target.run_slice():
                session.report(event)
        assert session.backlog < 1 << 17, "more output than one packet can ask for"
        assert not _FRAMED.sub(b"", session.take())
        if not session.open or not target.threads():
            return turn
        if turn % _BURST == 0:
            _check(session)
    return packets


def _check(session: Session) -> None:
    """A session that is open answers `?`, whatever it was sent before."""
    session.receive(b"#00" + b"\x03")  # ends a packet that was begun
    while session.busy:
        session.receive()
    session.take()
    if not session.open:
        return
    session.receive(frame(b"?"))
    answer = session.take()
    assert re.search(rb"\$(?:T[0-9a-f]{2}|W00|X[0-9a-f]{2}|OK)[^$]*#[0-9a-f]{2}$", answer), answer


if __name__ == "__main__":
    main(fuzz)
