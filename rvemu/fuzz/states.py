"""Random states of a hart. CSRs are written as software would, so that what they hold is legal."""

from collections.abc import Callable
from random import Random

from rvemu.fuzz.layout import (
    CODE_PAGES,
    DATA_PAGES,
    DEVICE,
    M_HANDLER_PAGE,
    PAGE,
    POINTER_PAGE,
    RAM_BASE,
    RAM_PAGES,
    RAM_SIZE,
    ROM_BASE,
    S_HANDLER_PAGE,
    SUPERVISOR_WINDOW,
    TABLE_PAGES,
    USER_WINDOW,
    WINDOWS,
)
from rvemu.fuzz.roles import CODE_POINTERS, POINTERS, TABLE
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.csr_view import poke
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import HSTATUS, MSTATUS
from rvemu.hart.pmp import pmp_update
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart
from rvemu.lang import M64

_EXTREMES = (
    *(0, 1, 2, 3, 7, 8, 63, 64, 255, 4095, 4096, M64, M64 - 1, M64 - 7, 1 << 63, (1 << 63) - 1),
    *(1 << 31, (1 << 31) - 1, 1 << 32, (1 << 32) - 1, M64 ^ ((1 << 31) - 1), 0x5555_5555_5555_5555),
)

_BOX64, _BOX32, _BOX16 = 0, 0xFFFF_FFFF << 32, 0xFFFF_FFFF_FFFF << 16
_DOUBLES = (
    *(0, 1 << 63, 0x3FF0_0000_0000_0000, 0x7FF0_0000_0000_0000, 0xFFF0_0000_0000_0000),
    *(0x7FF8_0000_0000_0000, 0x7FF0_0000_0000_0001, 1, 0x000F_FFFF_FFFF_FFFF),
    *(0x0010_0000_0000_0000, 0x7FEF_FFFF_FFFF_FFFF, 0x43E0_0000_0000_0000, 0x41DF_FFFF_FFC0_0000),
)
_FLOATS = (
    *(0, 1 << 31, 0x3F80_0000, 0x7F80_0000, 0xFF80_0000, 0x7FC0_0000, 0x7F80_0001, 1, 0x007F_FFFF),
    *(0x0080_0000, 0x7F7F_FFFF, 0x4F00_0000, 0xBF80_0000, 0x4EFF_FFFF),
)
_HALVES = (0, 1 << 15, 0x3C00, 0x7C00, 0xFC00, 0x7E00, 0x7C01, 1, 0x03FF, 0x0400, 0x7BFF, 0x7000)

_SOME_WINDOWS = (*((SUPERVISOR_WINDOW,) * 5), *((USER_WINDOW,) * 2), *WINDOWS)
_OFFSETS = (
    *((0, 8, 16, 24, 64, 256, 1024, 2048) * 3),
    *(4088, 4092, 4094, 4095, 4096, 1, 2, 3, 4, 12, -2, -8),
)
_DATA = (DATA_PAGES.start * PAGE, DATA_PAGES.stop * PAGE)

_MODES = ((M_MODE, 0), (S_MODE, 0), (U_MODE, 0), (S_MODE, 1), (U_MODE, 1))
_OFTEN = (20, 30, 25, 30, 20)


# --- Values ------------------------------------------------------------------------------------


def address(rng: Random, window: int | None = None) -> int:
    """An address that is worth accessing: mostly in RAM, at the given window of page tables."""
    kind = rng.random()
    if kind < 0.04:
        base = rng.choice((DEVICE, ROM_BASE, RAM_BASE + RAM_SIZE, 0, M64 - 7))
        return base + rng.choice((0, 8, -4)) & M64
    if kind < 0.12 or window is None:
        window = rng.choice(_SOME_WINDOWS)
    where = rng.random()
    if where < 0.7:
        page = rng.choice(DATA_PAGES[:6])
    elif where < 0.8:
        page = rng.choice(TABLE_PAGES)
    elif where < 0.9:
        page = rng.choice(CODE_PAGES)
    else:
        page = rng.randrange(RAM_PAGES)
    offset = rng.choice(_OFFSETS)
    if rng.random() < 0.3:
        offset = rng.randrange(PAGE)
    return window + page * PAGE + offset & M64


def integer(rng: Random) -> int:
    """A value to compute with."""
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(_EXTREMES)
    if kind < 0.7:
        return rng.getrandbits(64) >> rng.randrange(64)
    if kind < 0.85:
        return address(rng)
    return rng.randrange(-16, 16) & M64


def floating(rng: Random) -> int:
    """A floating-point register's content: of some format, mostly boxed, often special."""
    kind = rng.random()
    if kind < 0.2:
        return rng.choice(_DOUBLES)
    if kind < 0.4:
        return rng.choice(_FLOATS) | _BOX32
    if kind < 0.5:
        return rng.choice(_HALVES) | _BOX16
    if kind < 0.65:  # doubles that are close to each other
        return rng.randrange(1018, 1028) << 52 | rng.getrandbits(52) | rng.getrandbits(1) << 63
    if kind < 0.8:
        return rng.randrange(122, 132) << 23 | rng.getrandbits(23) | _BOX32
    if kind < 0.85:
        return rng.getrandbits(16) | _BOX16
    return rng.getrandbits(64)


def window_of(h: Hart) -> int:
    """Where a hart finds RAM in its mode, as page tables are made."""
    paged = h.vsatp >> 60 if h.v else h.satp >> 60
    return USER_WINDOW if h.priv == U_MODE and paged else SUPERVISOR_WINDOW


def code_offset(rng: Random) -> int:
    """Where in RAM a program may begin."""
    return rng.randrange(0, len(CODE_PAGES) * PAGE, 2)


# --- CSRs --------------------------------------------------------------------------------------


def _mstatus(rng: Random) -> int:
    value = rng.getrandbits(64)
    for field, often in (
        (MSTATUS.MPRV, 0.25),
        (MSTATUS.TVM, 0.15),
        (MSTATUS.TW, 0.15),
        (MSTATUS.TSR, 0.15),
        (MSTATUS.MIE, 0.4),
    ):
        if rng.random() > often:
            value &= ~field.mask
    return value | (MSTATUS.FS.mask if rng.random() < 0.8 else 0)


def _vsstatus(rng: Random) -> int:
    return rng.getrandbits(64) | (MSTATUS.FS.mask if rng.random() < 0.8 else 0)


def _hstatus(rng: Random) -> int:
    value = rng.getrandbits(64)
    for field in (HSTATUS.VTVM, HSTATUS.VTW, HSTATUS.VTSR):
        if rng.random() < 0.8:
            value &= ~field.mask
    return value


def _bits(rng: Random) -> int:
    return rng.choice((0, M64, rng.getrandbits(64), rng.getrandbits(64) & rng.getrandbits(64)))


def _soon(rng: Random) -> int:
    return rng.choice((M64, rng.randrange(64), rng.randrange(64), rng.randrange(400), 0))


def _counters(rng: Random) -> int:
    return rng.choice((7, M64, rng.getrandbits(32)))


# A CSR, how often it is written, and with what. menvcfg comes before henvcfg, whose bits it allows.
_Make = Callable[[Random], int]
_CSRS: tuple[tuple[str, float, _Make], ...] = (
    ("menvcfg", 0.7, _bits),
    ("henvcfg", 0.7, _bits),
    ("senvcfg", 0.4, _bits),
    ("mstatus", 1.0, _mstatus),
    ("vsstatus", 1.0, _vsstatus),
    ("hstatus", 0.9, _hstatus),
    ("medeleg", 0.8, _bits),
    ("hedeleg", 0.8, _bits),
    ("mideleg", 0.7, _bits),
    ("hideleg", 0.7, _bits),
    ("mie", 0.7, _bits),
    ("mip", 0.3, _bits),
    ("hvip", 0.3, _bits),
    ("hgeie", 0.3, _bits),
    ("mcounteren", 0.8, _counters),
    ("hcounteren", 0.8, _counters),
    ("scounteren", 0.8, _counters),
    ("mcountinhibit", 0.2, _bits),
    ("stimecmp", 0.5, _soon),
    ("vstimecmp", 0.5, _soon),
    ("htimedelta", 0.4, _soon),
    ("mcycle", 0.2, integer),
    ("minstret", 0.2, integer),
    ("sepc", 0.3, address),
    ("mepc", 0.3, address),
    ("vsepc", 0.3, address),
    ("sscratch", 0.2, integer),
    ("mtval", 0.1, integer),
    ("scause", 0.1, integer),
    ("vscause", 0.1, integer),
    ("htval", 0.1, integer),
    ("fcsr", 0.9, lambda rng: rng.choice((0, 1, 0x1F, 0x21, rng.getrandbits(8)))),
)


def _write_csrs(rng: Random, h: Hart) -> None:
    for name, often, make in _CSRS:
        if rng.random() < often and not BY_NAME[name].requires & ~h.extensions:
            poke(h, name, make(rng))
    m_vector = RAM_BASE + M_HANDLER_PAGE * PAGE
    s_vector = SUPERVISOR_WINDOW + S_HANDLER_PAGE * PAGE
    poke(h, "mtvec", m_vector | rng.getrandbits(1))
    if h.extensions & Ext.S:
        poke(h, "stvec", s_vector | rng.getrandbits(1))
    if h.extensions & Ext.H:
        poke(h, "vstvec", s_vector | rng.getrandbits(1))
        h.hgeip = rng.choice((0, 0, rng.getrandbits(8) & 0xFE))


def _write_pmp(rng: Random, h: Hart) -> None:
    """Some entries that cut memory, and mostly a last one that allows what is left."""
    if h.pmp_count == 0:
        return
    last = h.pmp_count - 1
    if rng.random() < 0.95:
        poke(h, f"pmpaddr{last}", (1 << 54) - 1)
        h.pmpcfg[last] = rng.choice((*(0x1F,) * 12, 0x1B, 0x1D))
    for n in range(rng.choice((0, 0, 1, 3, last))):
        size = rng.choice((0, 0, 1, 3, 8, 9, 9, 10, 12))  # of a NAPOT region: 8 << size bytes
        start, end = (0, RAM_SIZE) if rng.random() < 0.1 else _DATA
        base = (RAM_BASE + rng.randrange(start, end)) >> 2
        shape = rng.choice((0x18, 0x18, 0x10, 0x08))  # NAPOT, NA4, TOR
        if shape == 0x18:
            base = base & ~((2 << size) - 1) | ((1 << size) - 1)
        h.pmpaddr[n] = base
        h.pmpcfg[n] = shape | rng.getrandbits(3) | (0x80 if rng.random() < 0.1 else 0)
        if h.pmpcfg[n] & 3 == 2:
            h.pmpcfg[n] |= 1
    if h.extensions & Ext.SMEPMP and rng.random() < 0.08:
        poke(h, "mseccfg", rng.getrandbits(3))
    pmp_update(h)


# --- All of it -----------------------------------------------------------------------------------


def randomize(rng: Random, h: Hart, roots: dict[str, int]) -> None:
    """Give a hart that was just reset a random state. roots: what satp, vsatp, hgatp are to hold
    (0: translation off)."""
    _write_pmp(rng, h)
    _write_csrs(rng, h)
    for name, value in roots.items():
        if not BY_NAME[name].requires & ~h.extensions:
            poke(h, name, value)
    _choose_mode(rng, h)
    window = window_of(h)
    h.pc = window + code_offset(rng) & ~h.pc_align_mask
    for n in range(1, 32):
        h.x[n] = integer(rng)
    for n in POINTERS:
        h.x[n] = address(rng, window)
    for n in CODE_POINTERS:
        h.x[n] = window + code_offset(rng)
    h.x[TABLE] = window + POINTER_PAGE * PAGE
    if h.extensions & Ext.F:
        for n in range(32):
            h.f[n] = floating(rng)
    h.mtimecmp = _soon(rng)
    h.interrupt_lines = rng.choice((0, 0, 0, rng.getrandbits(12) & 0xA88))


def _choose_mode(rng: Random, h: Hart) -> None:
    while True:
        priv, v = choose_mode(rng)
        if may_enter(h, priv, v):
            set_privilege(h, priv, v)
            return


def choose_mode(rng: Random) -> tuple[int, int]:
    """Some privilege mode, as (priv, v)."""
    return rng.choices(_MODES, _OFTEN)[0]


def may_enter(h: Hart, priv: int, v: int) -> bool:
    """Whether a hart has a mode."""
    needed = {M_MODE: 0, S_MODE: Ext.S, U_MODE: Ext.U}[priv] | (Ext.H if v else 0)
    return not needed & ~h.extensions


def pointer_table(rng: Random) -> bytes:
    """A page of values that a program loads its pointers from."""
    values = [
        (address(rng) if rng.random() < 0.85 else SUPERVISOR_WINDOW + code_offset(rng)).to_bytes(
            8, "little"
        )
        for _ in range(48)
    ]
    return b"".join(rng.choices(values, k=512))
