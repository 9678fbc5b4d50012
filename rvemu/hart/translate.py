"""Translation of an access's address, with the traps that it may raise."""

from rvemu.hart.counters import request_poll
from rvemu.hart.exceptions import (
    FETCH,
    LOAD,
    STORE,
    Access,
    access_fault,
    guest_page_fault,
    page_fault,
)
from rvemu.hart.pmp import CUT, Kind, pmp_allows, pmp_page_permissions, pmp_suffices
from rvemu.hart.state import SEEN_MAX, STOP_TRANSLATION, Hart
from rvemu.hart.walk import GUEST_PAGE_FAULT, OK, PAGE_FAULT, translate_stages
from rvemu.lang import U1, U2, U64, cold

# What a fault of each kind of access is reported as. (HLVX raises a load's faults, cache-block
# management a store's.)
REPORTED_AS = (LOAD, STORE, FETCH, LOAD, STORE)


def translate(h: Hart, address: U64, access: Kind, priv: U2, v: U1) -> tuple[U64, U64]:
    """The physical address that an address stands for, in an access with an effective privilege
    and V, and the attributes of its page (rvemu.hart.walk). PMP is not checked for the access
    itself. Raises page fault, guest-page fault, and access fault where tables can't be accessed."""
    outcome, physical, attributes = translate_stages(h, address, access, priv, v, None)
    if h.mmu_hook:
        _note(h, address, physical, access, outcome)
    if outcome != OK:
        if outcome == PAGE_FAULT:
            raise page_fault(h, REPORTED_AS[access], address, v)
        if outcome == GUEST_PAGE_FAULT:
            raise guest_page_fault(h, REPORTED_AS[access], address, physical, attributes)
        raise access_fault(h, REPORTED_AS[access], address, v)
    return physical, attributes


def check_pmp(h: Hart, address: U64, physical: U64, size: U64, access: Kind, priv: U2, v: U1) -> U1:
    """Check PMP for `size` bytes in one page, the translation of `address`. Raises access fault.
    Returns whether the answer holds for the whole page, so that a TLB may hold it."""
    granted = pmp_page_permissions(h, physical, priv)
    if granted == CUT:
        if pmp_allows(h, physical, size, access, priv) == 0:
            raise access_fault(h, REPORTED_AS[access], address, v)
        return 0
    if pmp_suffices(granted, access) == 0:
        raise access_fault(h, REPORTED_AS[access], address, v)
    return 1


@cold
def _note(h: Hart, address: U64, physical: U64, access: Kind, outcome: U64) -> None:
    """Tell the host of a translation, after the instruction (mmu_hook). Of more than SEEN_MAX, the
    first ones are kept."""
    n = h.seen_count
    if n < SEEN_MAX:
        i = n & (SEEN_MAX - 1)
        reported: Access = REPORTED_AS[access]
        h.seen_address[i] = address
        h.seen_physical[i] = physical
        h.seen_access[i] = reported
        h.seen_context[i] = h.fetch_context if access == FETCH else h.data_context
        h.seen_refused[i] = outcome
        h.seen_count = i + 1
    h.stop_reason = STOP_TRANSLATION
    request_poll(h)
