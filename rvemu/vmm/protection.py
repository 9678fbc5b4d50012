"""The guest's own physical memory protection, which what the VMM's tables allow has folded in.

Each virtual hart has a PMP of its own, and mostly all are set alike. So tables are made for a
*protection*, a setting of PMP that one or more harts have; harts of the same protection share them.
"""

import ctypes
from collections.abc import Sequence

from rvemu.hart.state import Hart

_PAGE = 4096


class Protections:
    """The protections of a guest's virtual harts, by the harts' numbers. At first PMP is off."""

    def __init__(self, harts: Sequence[Hart]) -> None:
        self._harts = harts
        self._settings = [_setting(hart) for hart in harts]
        #: The number of each hart's protection. There are never more than harts.
        self.numbers = [0] * len(harts)
        #: Whether each cuts pages.
        self.cuts = [False] * len(harts)
        self.reset()

    def reset(self) -> None:
        """Harts begin to count anew how often their PMP was set."""
        #: How often each hart's PMP had been set when it was last looked at.
        self.updates = [-1] * len(self._harts)

    def look(self, hart: int) -> int | None:
        """A hart's PMP was set, by whatever means: look at it. The number of a protection that no
        hart has any more, if there is one; it may have become that of the new setting."""
        h = self._harts[hart]
        self.updates[hart] = int(h.pmp_updates)
        setting = _setting(h)
        if setting == self._settings[hart]:
            return None
        self._settings[hart] = setting
        regions = [(int(h.pmp_low[n]), int(h.pmp_high[n]) + 1) for n in range(h.pmp_active)]
        self.cuts[hart] = any((low | end) % _PAGE for low, end in regions if low < end)
        before = self.numbers[hart]
        others = {m: number for m, number in enumerate(self.numbers) if m != hart}
        used = set(others.values())
        free = [before, *range(len(self._harts))]
        self.numbers[hart] = next(
            (number for m, number in others.items() if self._settings[m] == setting),
            next(number for number in free if number not in used),
        )
        return None if before in used else before


def _setting(h: Hart) -> tuple[bytes, bytes, int]:
    """All that decides what a hart's PMP allows."""
    return (
        ctypes.string_at(ctypes.addressof(h.pmpcfg), ctypes.sizeof(h.pmpcfg)),
        ctypes.string_at(ctypes.addressof(h.pmpaddr), ctypes.sizeof(h.pmpaddr)),
        int(h.mseccfg),
    )
