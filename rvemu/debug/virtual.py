"""Virtual machines that run in turns, under one debugger: each is a process."""

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from gdbstub import CONTINUE
from rvemu.debug.motion import Motion
from rvemu.debug.process import Process
from rvemu.debug.pump import listen, serve
from rvemu.debug.target import DebugTarget
from rvemu.vmm.rounds import rounds
from rvemu.vmm.virtual_machine import Run, VirtualMachine


def debug_in_turns(
    machines: Sequence[VirtualMachine],
    paths: Sequence[Path | None],
    endpoint: str,
    say: Callable[[str], None],
    *,
    shares: Sequence[int],
    limit: int | None = None,
    wait: bool = False,
) -> list[Run]:
    """Run guests that have been loaded in turns until all have ended, for a debugger at an
    endpoint, as `rvemu.vmm.rounds.run_in_turns` does without one. paths: their files, for the
    debugger. wait: do not run before that has come. Returns how each went. Raises `RvemuError`
    where the endpoint can't be listened on."""
    target = virtual_target(machines, paths, shares)
    for process in target.processes:
        process.motion.reboot = False
        process.motion.budget = limit
    with listen(target, endpoint, wait=wait) as server:
        say(f"gdb: waiting at {server.address}")
        target.resume(dict.fromkeys(target.threads(), CONTINUE))
        try:
            serve(server, target)
        finally:
            target.close()
    return [_run_of(process.motion) for process in target.processes]


def _run_of(motion: Motion) -> Run:
    if motion.outcome is not None:
        return Run(motion.outcome)
    return Run(None, str(motion.failure or "killed by the debugger"))


def virtual_target(
    machines: Sequence[VirtualMachine], paths: Sequence[Path | None], shares: Sequence[int]
) -> DebugTarget:
    """What a debugger sees of virtual machines: processes 1, 2 and so on."""
    processes = [
        Process(
            machine.machine,
            path,
            number=number,
            name=machine.name,
            reboot=machine.reboot,
            during=machine.accounted,
        )
        for number, (machine, path) in enumerate(zip(machines, paths, strict=True), 1)
    ]
    return DebugTarget(*processes, turns=chain.from_iterable(rounds(machines, shares)))
