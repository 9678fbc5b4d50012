"""One guest under each mode, side by side: whether it could tell (*equivalence*), and what it cost
(*efficiency*)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rvemu.vmm.accounting import Accounting
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.virtual_machine import Run, VirtualMachine


@dataclass
class Measured:
    """What one mode showed."""

    mode: str
    run: Run
    output: bytes
    instructions: int
    accounting: Accounting
    #: Moments of the run: the guest's clock, and how many exits there were until then.
    timeline: list[tuple[int, int]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "mode": self.mode,
            "result": str(self.run),
            "passed": self.run.passed,
            "output_bytes": len(self.output),
            **self.accounting.as_dict(self.instructions),
        }


def measure(
    build: Callable[[str, Callable[[bytes], None]], VirtualMachine],
    modes: Sequence[str],
    limit: int | None = None,
    progress: Callable[[VirtualMachine], None] = lambda _: None,
) -> list[Measured]:
    """Run a guest under some modes, in order. build: makes a virtual machine with the guest loaded,
    given the mode and what takes the guest's output. progress: told now and then of the one that
    runs."""
    found = []
    for mode in modes:
        output = bytearray()
        machine = build(mode, output.extend)
        timeline = _watch(machine)
        machine.machine.hooks.between.append(partial(progress, machine))
        run = machine.run(limit)
        found.append(
            Measured(
                mode,
                run,
                bytes(output),
                machine.instructions,
                machine.accounting,
                [*timeline, (machine.machine.now, machine.accounting.total)],
            )
        )
    return found


def _watch(machine: VirtualMachine) -> list[tuple[int, int]]:
    """Have a machine's exits noted, now and then, while it runs."""
    timeline: list[tuple[int, int]] = []
    machine.machine.hooks.between.append(
        lambda: timeline.append((machine.machine.now, machine.accounting.total))
    )
    return timeline


def differences(measured: list[Measured]) -> list[str]:
    """How modes differ from the first in what the guest did; empty if it could not tell."""
    first = measured[0]
    found = []
    for other in measured[1:]:
        if other.output != first.output:
            pairs = enumerate(zip(first.output, other.output, strict=False))
            shorter = min(len(first.output), len(other.output))
            at = next((n for n, (a, b) in pairs if a != b), shorter)
            found.append(f"{other.mode}: the output differs from {first.mode}'s at byte {at}")
        if str(other.run) != str(first.run):
            found.append(f"{other.mode}: {other.run}; {first.mode}: {first.run}")
    return found


def rows(measured: list[Measured]) -> list[list[str]]:
    """The exits of each mode by reason, and what they cost: a table, of which the first row and the
    first column are names."""
    reasons = [r for r in ExitReason if any(m.accounting.exits[r] for m in measured)]
    found = [["", *(m.mode for m in measured)]]
    found += [[str(r), *(f"{m.accounting.exits[r]:,}" for m in measured)] for r in reasons]
    found.append(["all exits", *(f"{m.accounting.total:,}" for m in measured)])
    found.append(["guest instructions", *(f"{m.instructions:,}" for m in measured)])
    found.append(["instructions per exit", *(_ratio(m.instructions, m) for m in measured)])
    found.append(
        ["exits per second", *(_ratio(m.accounting.total, m, by_time=True) for m in measured)]
    )
    found.append(["seconds in the guest", *(f"{m.accounting.guest_seconds:.3f}" for m in measured)])
    found.append(["seconds in the VMM", *(f"{m.accounting.vmm_seconds:.3f}" for m in measured)])
    found.append(["shadow entries made", *(f"{m.accounting.fills:,}" for m in measured)])
    found.append(["shadow entries dropped", *(f"{m.accounting.zaps:,}" for m in measured)])
    found.append(["shadow tables switched", *(f"{m.accounting.switches:,}" for m in measured)])
    found.append(["page-table updates made", *(f"{m.accounting.updates:,}" for m in measured)])
    found.append(["G-stage pages mapped", *(f"{m.accounting.g_stage_pages:,}" for m in measured)])
    return found


def table(measured: list[Measured]) -> list[str]:
    """The same as lines of text."""
    found = rows(measured)
    widths = [max(len(row[n]) for row in found) for n in range(len(found[0]))]
    return [_line(row, widths) for row in found]


def _line(row: list[str], widths: list[int]) -> str:
    name, *cells = row
    shown = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
    return "  ".join([name.ljust(widths[0]), *shown]).rstrip()


def _ratio(count: int, measured: Measured, *, by_time: bool = False) -> str:
    accounting = measured.accounting
    by = accounting.total_seconds if by_time else accounting.total
    return f"{count / by:,.0f}" if by and accounting.total else "-"
