"""Several virtual machines on one host: whose turn it is.

Each turn ends when the VMM's timer says so, whatever the guest does: one that never gives up
control loses the CPU all the same. Turns are counted in the guest's own instructions (and in what
it waits), and are longer for greater shares; a paravirtual guest may yield the rest of one. What
the VMM and its devices do for a guest is the guest's as well: if that was more than its turn, it
misses turns until the others have had as much. So one that exits without end does that in its own
time.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

from rvemu.errors import RvemuError
from rvemu.machine import Outcome, Reason
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.virtual_machine import Run, VirtualMachine

# Clocks of a turn, for a share of 1: five milliseconds of guest time. (After a switch, a guest's
# translations are found anew.)
QUANTUM = 5_000_000


@dataclass(frozen=True)
class Turn:
    """A guest's turn: until what it has had of the host is at an end, or somewhat over it."""

    number: int
    machine: VirtualMachine
    end: int

    @property
    def clocks(self) -> int:
        """How many it may run at most."""
        return self.end - self.machine.cost

    def over(self) -> bool:
        """Whether it is over: to be asked meanwhile."""
        return self.machine.cost >= self.end


def rounds(
    machines: Sequence[VirtualMachine], shares: Sequence[int] | None = None
) -> Iterator[Iterator[Turn]]:
    """Round after round, for ever: the guests whose turn it is. shares: for each, how many times as
    long its turns are (default: 1). Raises `RvemuError` if they do not fit."""
    if shares is None:
        shares = [1] * len(machines)
    if len(shares) != len(machines) or any(share < 1 for share in shares):
        raise RvemuError(f"{len(machines)} guests need as many shares, each of 1 or more")
    credits = [0] * len(machines)
    return (_round(machines, shares, credits) for _ in repeat(None))


def _round(
    machines: Sequence[VirtualMachine], shares: Sequence[int], credits: list[int]
) -> Iterator[Turn]:
    for n, (machine, share) in enumerate(zip(machines, shares, strict=True)):
        # What was not used is lost; what was overdrawn is owed.
        credits[n] = min(credits[n], 0) + QUANTUM * share
        if credits[n] > 0:
            turn = Turn(n, machine, machine.cost + credits[n])
            yield turn
            credits[n] = turn.clocks


def run_in_turns(
    machines: Sequence[VirtualMachine],
    shares: Sequence[int] | None = None,
    limit: int | None = None,
    finished: Callable[[VirtualMachine, Run], None] = lambda _, __: None,
    until: Callable[[], bool] = lambda: False,
    *,
    detect_stuck: bool = False,
) -> list[Run]:
    """Run guests in turns until all have ended. shares: as of `rounds`. limit: clocks that each may
    run at most. finished: told of each that ends. until: asked between rounds whether to end them.
    detect_stuck: whether guests that only repeat themselves end. Returns how the last turn of each
    went; `RvemuError` if the shares do not fit."""
    for machine in machines:
        if isinstance(machine.monitor, Paravirt):
            machine.monitor.on_yield = machine.machine.stop
    ended: set[int] = set()
    runs = [Run(Outcome(Reason.INTERRUPTED))] * len(machines)
    for turns in rounds(machines, shares):
        if len(ended) == len(machines) or until():
            break
        for turn in turns:
            n, machine = turn.number, turn.machine
            if n in ended:
                continue
            runs[n] = _take(turn, limit, detect_stuck)
            if runs[n].finished or (limit is not None and machine.machine.now >= limit):
                ended.add(n)
                finished(machine, runs[n])
    return runs


def _take(turn: Turn, limit: int | None, detect_stuck: bool) -> Run:
    machine = turn.machine
    budget = turn.clocks
    if limit is not None:
        budget = min(budget, limit - machine.machine.now)
    return machine.run(
        budget,
        runner=lambda clocks: machine.machine.run(clocks, turn.over, detect_stuck=detect_stuck),
    )
