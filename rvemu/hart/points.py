"""The debugger's breakpoints and watchpoints: whether a hart is to stop before it goes on.

Both are virtual addresses, in whatever mode and address space. A hart stops *before* the
instruction at a breakpoint is fetched, even where that would fault: a debugger has functions return
to a breakpoint on the stack, which need not be executable. It stops before an instruction whose
load or store touches a watched range, after all that may make it fault, with nothing of it done.
The host then has the hart pass: `point_pass = PASS_NEXT` makes the next instruction begin whatever
breakpoint is there, and without an interrupt before it; `PASS_NEXT_WATCHED` makes it run to its
end.

Whoever sets points has to call `rvemu.hart.tlb.flush_all` for watchpoints and
`rvemu.hart.decoded.release_all_decoded` for breakpoints. Watched pages are never in the TLBs, and
instructions at breakpoints are executed alone; so points cost nothing elsewhere.
"""

from rvemu.hart.exceptions import stop
from rvemu.hart.state import (
    BREAKPOINTS,
    DEVICE_NONE,
    PAGE_MASK,
    PASS_CURRENT_WATCHED,
    PASS_NONE,
    STOP_BREAKPOINT,
    STOP_WATCHPOINT,
    WATCHPOINTS,
    Hart,
)
from rvemu.lang import M64, U1, U64, Static, cold, u64

WATCH_READ, WATCH_WRITE = 1, 2


def has_breakpoint(h: Hart, address: U64, mask: Static[int]) -> U1:
    """Whether there is a breakpoint whose address is the same in the bits of a mask."""
    for n in range(min(h.shared.breakpoint_count, BREAKPOINTS)):
        if (h.shared.breakpoints[n & (BREAKPOINTS - 1)] ^ address) & mask == 0:
            return 1
    return 0


def stop_at_breakpoint(h: Hart) -> None:
    """Stop if there is a breakpoint at pc."""
    if h.shared.breakpoint_count == 0 or h.point_pass != PASS_NONE:
        return
    if h.device_state == DEVICE_NONE and has_breakpoint(h, h.pc, M64):
        raise stop(h, STOP_BREAKPOINT)


def page_is_watched(h: Hart, address: U64) -> U1:
    """Whether any byte of a virtual page is watched."""
    first = address & PAGE_MASK
    for n in range(min(h.shared.watch_count, WATCHPOINTS)):
        i = n & (WATCHPOINTS - 1)
        if h.shared.watch_first[i] <= first | 0xFFF and h.shared.watch_last[i] >= first:
            return 1
    return 0


def meet_watchpoint(h: Hart, address: U64, size: Static[int], access: Static[int]) -> None:
    """Stop if a load or store of `size` bytes touches a watched range. access: WATCH_READ,
    WATCH_WRITE, or both."""
    if h.shared.watch_count != 0:
        _look_for_watchpoint(h, address, size, access)


@cold
def _look_for_watchpoint(h: Hart, address: U64, size: U64, access: U64) -> None:
    if h.point_pass == PASS_CURRENT_WATCHED or h.device_state != DEVICE_NONE:
        return
    last = u64(address + size - 1)
    for n in range(min(h.shared.watch_count, WATCHPOINTS)):
        i = n & (WATCHPOINTS - 1)
        if (
            h.shared.watch_first[i] <= last
            and h.shared.watch_last[i] >= address
            and h.shared.watch_access[i] & access != 0
        ):
            h.watch_number = n
            h.watch_address = max(address, h.shared.watch_first[i])
            raise stop(h, STOP_WATCHPOINT)
