"""Breakpoints and watchpoints: the client's, and those that the harts know of.

Both are virtual addresses, in any mode and address space: what counts is the address that the
guest's code uses. The harts' are brought up to date when they are about to run, so that a client
that takes out and puts back all points at each stop (gdb does) costs the guest nothing.
"""

from collections.abc import Sequence

from gdbstub import Kind, Point, TargetError
from rvemu.hart.decoded import release_all_decoded
from rvemu.hart.points import WATCH_READ, WATCH_WRITE
from rvemu.hart.state import BREAKPOINTS, WATCHPOINTS, Hart, Shared
from rvemu.hart.tlb import flush_all
from rvemu.lang import M64

_ACCESS = {
    Kind.WRITE: WATCH_WRITE,
    Kind.READ: WATCH_READ,
    Kind.ACCESS: WATCH_READ | WATCH_WRITE,
}
_Key = tuple[Kind, int, int]
_Range = tuple[int, int, int]  # first byte, last byte, kinds of access


class DebugPoints:
    """The points of one machine (`gdbstub.target.Breakpoints`)."""

    kinds = frozenset(Kind)

    def __init__(self, shared: Shared, harts: Sequence[Hart]) -> None:
        self._shared = shared
        self._harts = harts
        self._breaks: dict[int, dict[_Key, Point]] = {}  # by address
        self._watches: dict[_Key, Point] = {}
        self._known_breaks: frozenset[int] = frozenset()
        self._known_watches: tuple[_Range, ...] = ()

    def insert(self, point: Point) -> None:
        """Put a point in, or replace its expressions."""
        if point.kind in _ACCESS:
            if not point.length:
                raise TargetError("a watchpoint of no bytes")
            if _key(point) not in self._watches and len(self._watches) >= WATCHPOINTS:
                raise TargetError(f"there are no more than {WATCHPOINTS} watchpoints")
            self._watches[_key(point)] = point
            return
        if point.address & 1:
            raise TargetError(f"no instruction can be at the odd address {point.address:#x}")
        if point.address not in self._breaks and len(self._breaks) >= BREAKPOINTS:
            raise TargetError(f"there are no more than {BREAKPOINTS} breakpoints")
        self._breaks.setdefault(point.address, {})[_key(point)] = point

    def remove(self, point: Point) -> None:
        """Take a point out, if it is there."""
        self._watches.pop(_key(point), None)
        here = self._breaks.get(point.address, {})
        here.pop(_key(point), None)
        if not here:
            self._breaks.pop(point.address, None)

    def clear(self) -> None:
        """Take all out."""
        self._breaks.clear()
        self._watches.clear()

    def at(self, address: int) -> list[Point]:
        """The breakpoints at an address."""
        return list(self._breaks.get(address, {}).values())

    def watching(self, number: int) -> list[Point]:
        """The client's watchpoints that a hart means by its watchpoint's number."""
        first, last, access = self._known_watches[number]
        return [
            point
            for point in self._watches.values()
            if _range(point)[:2] == (first, last) and _ACCESS[point.kind] & access
        ]

    def apply(self, *, exact: bool) -> None:
        """Tell the harts which points there are. Not `exact`: they may go on to stop for points
        that have been taken out, which whoever runs them must ignore then."""
        breaks = frozenset(self._breaks)
        if breaks != self._known_breaks and (exact or not breaks <= self._known_breaks):
            self._set_breaks(breaks)
        watches = tuple(sorted({_range(point) for point in self._watches.values()}))
        if watches != self._known_watches:
            self._set_watches(watches)

    def _set_breaks(self, addresses: frozenset[int]) -> None:
        self._known_breaks = addresses
        for n, address in enumerate(sorted(addresses)):
            self._shared.breakpoints[n] = address
        self._shared.breakpoint_count = len(addresses)
        release_all_decoded(self._harts[0])

    def _set_watches(self, ranges: tuple[_Range, ...]) -> None:
        self._known_watches = ranges
        for n, (first, last, access) in enumerate(ranges):
            self._shared.watch_first[n] = first
            self._shared.watch_last[n] = last
            self._shared.watch_access[n] = access
        self._shared.watch_count = len(ranges)
        for h in self._harts:
            flush_all(h)


def _key(point: Point) -> _Key:
    return point.kind, point.address, point.length


def _range(point: Point) -> _Range:
    return point.address, min(point.address + point.length - 1, M64), _ACCESS[point.kind]
