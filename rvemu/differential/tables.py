"""The page tables of all three regimes. Each has the tables of Sv57, whose first entries lead to
those of Sv48, and theirs to those of Sv39; so one set serves all modes."""

from rvemu.differential.layout import (
    GUEST_PAGES,
    PAGE,
    PAGES,
    RAM_BASE,
    TABLES,
    USER_ALIAS,
)
from rvemu.hart.fields import HGATP, MODE_SV39, MODE_SV48, MODE_SV57, PTE, SATP
from rvemu.lang import put

V, R, W, X, U = (field.mask for field in (PTE.V, PTE.R, PTE.W, PTE.X, PTE.U))
A, D = PTE.A.mask, PTE.D.mask
RWX = V | R | W | X | A | D
REGIMES = ("satp", "vsatp", "hgatp")
MODES = (MODE_SV39, MODE_SV48, MODE_SV57)

# Pages of each regime's tables, from its first: roots are 16 KiB each, so that hgatp's fit.
_ROOT = {MODE_SV39: 0, MODE_SV48: 4, MODE_SV57: 8}
_MIDDLE, _LAST = 12, 13
_PAGES_EACH = 16


def _first(regime: str) -> int:
    return TABLES + REGIMES.index(regime) * _PAGES_EACH * PAGE


def pte(target: int, flags: int) -> int:
    """A table entry."""
    return target >> 12 << 10 | flags


def root(regime: str, mode: int, number: int = 0) -> int:
    """The value of satp, vsatp or hgatp with a mode and an ASID or VMID."""
    value = put(put(0, SATP.MODE, mode), SATP.PPN, (_first(regime) + _ROOT[mode] * PAGE) >> 12)
    return put(value, HGATP.VMID if regime == "hgatp" else SATP.ASID, number)


def pages_of(regime: str) -> int:
    """Where the regime has its pages for tests."""
    return GUEST_PAGES if regime == "hgatp" else PAGES


def last_table(regime: str) -> int:
    """The table whose first entries are the pages for tests."""
    return _first(regime) + _LAST * PAGE


def middle_entry(regime: str) -> int:
    """The entry that leads to `last_table`."""
    return _first(regime) + _MIDDLE * PAGE + 8 * (pages_of(regime) >> 21 & 511)


def build() -> bytes:
    """All tables, but for the entries of pages for tests."""
    image = bytearray(len(REGIMES) * _PAGES_EACH * PAGE)

    def store(address: int, value: int) -> None:
        image[address - TABLES : address - TABLES + 8] = value.to_bytes(8, "little")

    for regime in REGIMES:
        first = _first(regime)
        user = U if regime == "hgatp" else 0
        store(first + _ROOT[MODE_SV57] * PAGE, pte(first + _ROOT[MODE_SV48] * PAGE, V))
        store(first + _ROOT[MODE_SV48] * PAGE, pte(first + _ROOT[MODE_SV39] * PAGE, V))
        store(first + 8 * (RAM_BASE >> 30), pte(RAM_BASE, RWX | user))
        store(first + 8 * (USER_ALIAS >> 30), pte(RAM_BASE, RWX | U))
        store(first + 8 * (pages_of(regime) >> 30), pte(first + _MIDDLE * PAGE, V))
        store(middle_entry(regime), pte(last_table(regime), V))
    return bytes(image)
