"""What a machine has done so far, in a line for its user."""

import time
from collections import Counter
from typing import TYPE_CHECKING

from rvemu.hart.counters import instret
from rvemu.hart.state import DATA_FILLS, FETCH_FILLS
from rvemu.harts import MODE_NAMES
from rvemu.traps import cause_name

if TYPE_CHECKING:
    from rvemu.machine import Machine

_INTERRUPT = 1 << 63
_MOST_CAUSES = 6
_MOST_HARTS = 4


class Statistics:
    """Counts what a machine does, from now on and across resets.

    Instructions are counted exactly. Their modes are samples: what a hart retires in a slice of
    some milliseconds counts for the mode that it is in at the end.
    """

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._started = time.monotonic()
        self._modes: Counter[str] = Counter()
        self._traps: Counter[int] = Counter()
        self._fills = [0, 0]
        self._retired = [int(instret(hart.state)) for hart in machine.harts]
        machine.hooks.between.append(self.sample)

    @property
    def retired(self) -> int:
        """Instructions retired by all harts."""
        return self._modes.total()

    @property
    def retired_below_m(self) -> int:
        """The same, without those of M-mode."""
        return self.retired - self._modes["M"]

    def sample(self) -> None:
        """Count what ran since the last time."""
        for n, hart in enumerate(self._machine.harts):
            state = hart.state
            retired = int(instret(state))
            # After a reset it starts from 0.
            more = retired - self._retired[n] if retired >= self._retired[n] else retired
            if more:
                self._modes[MODE_NAMES[state.priv, state.v]] += more
            self._retired[n] = retired

    def forget(self) -> None:
        """The machine is about to be reset: keep what its harts have counted."""
        self.sample()
        self._traps = self._trap_counts()
        self._fills = self._tlb_fills()

    def _trap_counts(self) -> Counter[int]:
        counts = self._traps.copy()
        for hart in self._machine.harts:
            for n, count in enumerate(hart.state.trap_counts):
                if count:
                    counts[n & 63 | (_INTERRUPT if n >= 64 else 0)] += count
        return counts

    def _tlb_fills(self) -> list[int]:
        return [
            self._fills[n] + sum(int(hart.state.tlb_fills[n]) for hart in self._machine.harts)
            for n in (DATA_FILLS, FETCH_FILLS)
        ]

    def line(self) -> str:
        """What the machine has done, in one line."""
        self.sample()
        machine = self._machine
        seconds = max(time.monotonic() - self._started, 1e-6)
        guest = machine.guest_time
        data, fetch = self._tlb_fills()
        return "; ".join(
            [
                f"{self.retired} instructions retired in {seconds:.3f} s, "
                f"{self.retired / seconds / 1e6:.1f} MIPS ({machine.engine.name} engine)",
                f"guest time {guest:.3f} s, {machine.device_accesses} device accesses",
                f"modes: {self._mode_mix()}",
                self._describe_traps(),
                f"TLB misses: {data} data, {fetch} fetch",
            ]
        )

    def _mode_mix(self) -> str:
        total = self.retired
        return ", ".join(
            f"{mode} {100 * count / total:.0f} %" for mode, count in self._modes.most_common()
        )

    def _describe_traps(self) -> str:
        counts = self._trap_counts()
        text = f"{counts.total()} traps"
        if not counts:
            return text
        parts = [f"{count} {cause_name(cause)}" for cause, count in counts.most_common()]
        if len(parts) > _MOST_CAUSES:
            rest = sum(count for _, count in counts.most_common()[_MOST_CAUSES - 1 :])
            parts[_MOST_CAUSES - 1 :] = [f"{rest} others"]
        return f"{text}: {', '.join(parts)}"

    def places(self) -> str:
        """Where the harts are."""
        harts = self._machine.harts
        places = [
            f"hart {n} {'waits' if hart.waiting else 'is'} at "
            f"{self._machine.lookup(hart.pc)} in {hart.mode}-mode"
            for n, hart in enumerate(harts[:_MOST_HARTS])
        ]
        if len(harts) > _MOST_HARTS:
            places.append(f"and {len(harts) - _MOST_HARTS} harts more")
        return ", ".join(places)
