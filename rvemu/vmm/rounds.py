"""Several virtual machines on one host: whose turn it is.

Each turn ends when the VMM's timer says so, whatever the guest does: one that never gives up
control loses the CPU all the same, and one that exits without end only uses up its own turns. Turns
are counted in the guest's own instructions (and in what it waits), and are longer for greater
shares.
"""

from collections.abc import Callable, Sequence

from rvemu.errors import RvemuError
from rvemu.machine import Outcome, Reason
from rvemu.vmm.virtual_machine import Run, VirtualMachine

# Clocks of a turn, for a share of 1.
QUANTUM = 100_000


def run_in_turns(
    machines: Sequence[VirtualMachine],
    shares: Sequence[int] | None = None,
    limit: int | None = None,
    finished: Callable[[VirtualMachine, Run], None] = lambda _, __: None,
    until: Callable[[], bool] = lambda: False,
) -> list[Run]:
    """Run guests in turns until all have ended. shares: for each, how many times as long its turns
    are (default: 1). limit: clocks that each may run at most. finished: told of each that ends.
    until: asked between rounds whether to end them. Returns how the last turn of each went;
    `RvemuError` if the shares do not fit."""
    if shares is None:
        shares = [1] * len(machines)
    if len(shares) != len(machines) or any(share < 1 for share in shares):
        raise RvemuError(f"{len(machines)} guests need as many shares, each of 1 or more")
    ended: set[int] = set()
    runs = [Run(Outcome(Reason.INTERRUPTED))] * len(machines)
    while len(ended) < len(machines) and not until():
        for n, (machine, share) in enumerate(zip(machines, shares, strict=True)):
            if n in ended:
                continue
            turn = QUANTUM * share
            if limit is not None:
                turn = min(turn, limit - machine.machine.now)
            runs[n] = machine.run(turn)
            if runs[n].finished or (limit is not None and machine.machine.now >= limit):
                ended.add(n)
                finished(machine, runs[n])
    return runs
