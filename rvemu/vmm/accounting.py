"""What a guest's exits cost: counts by reason, and time in the guest and in the VMM."""

import time
from dataclasses import dataclass, field
from typing import Any

from rvemu.vmm.exits import ExitReason

# What an exit counts for, and a device access: about as many clocks as the host executes in the
# time that it takes; and an exit that is answered at once (rvemu.vmm.answers).
EXIT_CLOCKS = 5_000
ANSWER_CLOCKS = 400


@dataclass
class Accounting:
    """Counts of one virtual machine. Seconds are of this computer's clock."""

    exits: dict[ExitReason, int] = field(default_factory=lambda: dict.fromkeys(ExitReason, 0))
    answered: int = 0  # of all exits, those that did not come to the VMM in Python
    entries: int = 0  # into direct execution
    direct: int = 0  # guest instructions attempted in direct execution
    fills: int = 0  # entries of shadow tables made
    zaps: int = 0  # entries of shadow tables dropped, as the guest changed its own
    switches: int = 0  # between shadow tables
    updates: int = 0  # of the guest's own tables, by hypercalls
    g_stage_pages: int = 0
    guest_seconds: float = 0.0
    total_seconds: float = 0.0
    _began: float = 0.0

    def begin(self) -> None:
        """The machine runs."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """The machine stops."""
        self.total_seconds += time.perf_counter() - self._began

    @property
    def total(self) -> int:
        """All exits."""
        return sum(self.exits.values())

    @property
    def vmm_seconds(self) -> float:
        """Time not spent in the guest's own instructions."""
        return max(self.total_seconds - self.guest_seconds, 0.0)

    def as_dict(self, instructions: int) -> dict[str, Any]:
        """For programs. instructions: that the guest has executed."""
        total = self.total
        return {
            "exits": {str(reason): n for reason, n in self.exits.items() if n},
            "exits_total": total,
            "guest_instructions": instructions,
            "instructions_per_exit": instructions / total if total else None,
            "exits_per_second": total / self.total_seconds if self.total_seconds else None,
            "seconds": self.total_seconds,
            "seconds_guest": self.guest_seconds,
            "seconds_vmm": self.vmm_seconds,
            "instructions_direct": self.direct,
            "shadow_fills": self.fills,
            "shadow_invalidations": self.zaps,
            "shadow_switches": self.switches,
            "table_updates": self.updates,
            "g_stage_pages": self.g_stage_pages,
        }
