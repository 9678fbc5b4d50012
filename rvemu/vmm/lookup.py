"""What the VMM asks of a virtual hart's tables and TLB. In the model's language (docs/model.md),
since it is asked at many exits: `Host.bind` makes native code of it."""

import ctypes
from ctypes import c_uint64
from typing import ClassVar

from rvemu.hart.fields import MENVCFG, MSTATUS, SATP
from rvemu.hart.pmp import Kind, pmp_page_permissions
from rvemu.hart.pte import Verdict
from rvemu.hart.regions import physical_address
from rvemu.hart.state import (
    ADDEND,
    DATA_ENTRIES,
    DATA_WORDS,
    FILL_LOG,
    M_MODE,
    NO_PAGE,
    PAGE_MASK,
    STORE_TAG,
    WALK_MAX,
    Hart,
)
from rvemu.hart.tlb import flush_context
from rvemu.hart.walk import OK, translate_stages
from rvemu.lang import U1, U2, U3, U64, get, u64

# --- Where an access goes --------------------------------------------------------------------


class Found(ctypes.Structure):
    """Where an access goes. (The table entries that lead there are in the hart: `walked`.)"""

    _fields_: ClassVar = [
        ("physical", c_uint64),  # guest-physical address
        ("attributes", c_uint64),  # of the page, as rvemu.hart.walk has them
        ("granted", c_uint64),  # what PMP grants in all of it: R=1, W=2, X=4, or CUT
    ]


def note_entry(
    h: Hart,
    _stage: U2,
    _level: U64,
    _entry: U64,
    physical: U64,
    _pte: U64,
    verdict: U64,
) -> None:
    """A walk looks at a table entry (`Watch` of rvemu.hart.walk)."""
    n = h.walked_count
    if n < WALK_MAX:
        h.walked[n & (WALK_MAX - 1)] = physical
        h.walked_count = n + 1
    h.walked_update = verdict == Verdict.UPDATE


def look_up(h: Hart, found: Found, address: U64, access: Kind, priv: U2) -> U64:
    """Find where an access at an address, with an effective privilege, goes. Changes nothing; an
    outcome of rvemu.hart.walk."""
    h.walked_count = 0
    h.walked_update = 0
    outcome, physical, attributes = translate_stages(h, address, access, priv, 0, note_entry)
    if outcome == OK:
        found.physical = physical
        found.attributes = attributes
        found.granted = pmp_page_permissions(h, physical, priv)
    return outcome


def set_status(h: Hart, address: U64, access: Kind, priv: U2) -> None:
    """Set A, and for a store D, in the entry that leads where the access may go."""
    translate_stages(h, address, access, priv, 0, None)


# --- Which tables are in force ---------------------------------------------------------------


class Regime(ctypes.Structure):
    """What decides how a hart's accesses are translated, and what they may do."""

    _fields_: ClassVar = [
        ("satp", c_uint64),
        ("rest", c_uint64),
        ("protection", c_uint64),  # of the hart (rvemu.vmm.protection); it is in `rest` as well
    ]


_SWITCHES = MSTATUS.MXR.mask | MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask
_CONTEXT_BITS, _PROTECTION_BITS = 6, 6
assert not _SWITCHES & (1 << _CONTEXT_BITS + _PROTECTION_BITS) - 1


def protection_of(rest: int) -> int:
    """The protection that a regime is of."""
    return rest >> _CONTEXT_BITS & (1 << _PROTECTION_BITS) - 1


def changed(h: Hart, regime: Regime) -> U1:
    """Whether the hart is in another regime than the one known, which is brought up to date."""
    satp: U64 = 0
    if h.priv != M_MODE and get(h.satp, SATP.MODE) != 0:
        satp = h.satp
    switches = (h.mstatus & MSTATUS.MXR.mask) | (h.menvcfg & _SWITCHES & ~MSTATUS.MXR.mask)
    contexts = h.fetch_context << 3 | h.data_context
    rest: U64 = switches | (regime.protection & 63) << _CONTEXT_BITS | contexts
    if regime.satp == satp and regime.rest == rest:
        return 0
    regime.satp = satp
    regime.rest = rest
    return 1


# --- What an instruction left behind ---------------------------------------------------------


_PAGES = 4  # one access is to two pages at most


class Stored(ctypes.Structure):
    """Guest-physical pages, `count` of them."""

    _fields_: ClassVar = [("count", c_uint64), ("pages", c_uint64 * _PAGES)]


def forget_step(h: Hart, stored: Stored, data: U3, fetch: U3) -> None:
    """Empty what an instruction, executed by the model, has left in its contexts of the TLB; and
    note the pages held for stores: those that it stored to are among them."""
    count: U64 = 0
    for n in range(min(h.dtlb_filled[data], FILL_LOG)):
        entry = h.dtlb_log[data * FILL_LOG + n] & (DATA_ENTRIES - 1)
        i = data * DATA_WORDS + 4 * entry
        tag = h.dtlb[i + STORE_TAG]
        if tag != NO_PAGE:
            page = physical_address(h, u64(tag + h.dtlb[i + ADDEND]))
            stored.pages[count & (_PAGES - 1)] = page & PAGE_MASK
            count = u64(count + 1)
    stored.count = min(count, _PAGES)
    flush_context(h, data)
    if fetch != data:
        flush_context(h, fetch)
