"""What is written to CSRs: values in which every field matters, and among which the program keeps
control. No value lets HS-mode's environment call be delegated, by which handlers reach M-mode."""

from random import Random

from rvemu.differential.layout import HANDLERS, NOTHING, PAGE
from rvemu.differential.tables import MODES, REGIMES, root
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import HSTATUS, MSTATUS, PMPCFG, SATP, SSTATUS
from rvemu.lang import M64, put

# Vector tables of the handlers: see rvemu.differential.handlers.
HANDLER_SIZE = 0x400
M_VECTOR, HS_VECTOR, HS_RESUME, VS_VECTOR, VS_RESUME = (
    HANDLERS + n * HANDLER_SIZE for n in range(5)
)

_S_INTERRUPTS, _VS_INTERRUPTS = 0x222, 0x444
_FETCH_FAULTS = (
    1 << Cause.INSTRUCTION_ACCESS_FAULT
    | 1 << Cause.INSTRUCTION_PAGE_FAULT
    | 1 << Cause.INSTRUCTION_GUEST_PAGE_FAULT
)


def any_value(rng: Random) -> int:
    """64 bits: ends of the range, single bits, small numbers, anything."""
    kind = rng.randrange(5)
    if kind == 0:
        return rng.choice([0, M64, 1 << 63, (1 << 63) - 1])
    if kind == 1:
        return 1 << rng.randrange(64)
    if kind == 2:
        return rng.randrange(32)
    if kind == 3:
        return M64 ^ 1 << rng.randrange(64)
    return rng.getrandbits(64)


def _some(rng: Random, mask: int) -> int:
    """A random subset of some bits; often all, often none."""
    return rng.choice([0, mask, mask & rng.getrandbits(64), mask & rng.getrandbits(64)])


def delegation(rng: Random, risky: bool, resume: bool = False) -> int:
    """medeleg and hedeleg. risky: instructions can't be relied on to be fetched; resume: handlers
    go on after the instruction that trapped, by an SRET that may be illegal."""
    value = _some(rng, M64) & ~(1 << Cause.ECALL_FROM_S)
    if resume:
        value &= ~(1 << Cause.ILLEGAL_INSTRUCTION)
    return value & ~_FETCH_FAULTS if risky or resume else value


def translation(rng: Random, regime: str, *, sane: bool) -> int:
    """satp, vsatp or hgatp. sane: code is found where it should be."""
    if sane:
        if rng.random() < 0.2:
            return 0
        return root(regime, rng.choice(MODES), rng.choice([0, 1, 5, 0x3FFF]))
    value = rng.choice([root(rng.choice(REGIMES), rng.choice(MODES)), rng.getrandbits(64)])
    if rng.random() < 0.5:
        value = put(value, SATP.MODE, rng.randrange(16))
    if rng.random() < 0.3:
        value = put(value, SATP.PPN, rng.choice([NOTHING >> 12, 0, (1 << 44) - 1]))
    return value


def status(rng: Random) -> int:
    """sstatus and vsstatus."""
    fields = SSTATUS.SPIE, SSTATUS.SPP, SSTATUS.SUM, SSTATUS.MXR, SSTATUS.FS, SSTATUS.SIE
    return _some(rng, sum(field.mask for field in fields))


def hstatus(rng: Random) -> int:
    """hstatus."""
    names = ("GVA", "SPV", "SPVP", "HU", "VTVM", "VTW", "VTSR")
    value = 0
    for name in names:
        value = put(value, getattr(HSTATUS, name), int(rng.random() < 0.35))
    return value | rng.choice([0, 0, HSTATUS.VSBE.mask, HSTATUS.VSXL.mask])


def mstatus(rng: Random) -> int:
    """mstatus, without what says where MRET goes."""
    value = status(rng)
    for name in ("TVM", "TW", "TSR", "GVA"):
        value = put(value, getattr(MSTATUS, name), int(rng.random() < 0.25))
    return value


def value_for(rng: Random, name: str) -> int:
    """Something to write to a CSR."""
    if name in ("medeleg", "hedeleg"):
        return delegation(rng, True)
    if name in REGIMES:
        return translation(rng, name, sane=rng.random() < 0.3)
    if name in ("stvec", "vstvec"):
        vectors = (HS_VECTOR, HS_RESUME) if name == "stvec" else (VS_VECTOR, VS_RESUME)
        return rng.choice(vectors) | rng.randrange(4)
    if name in ("hvip", "mip"):  # without timer interrupts: see rvemu.differential.snippets
        return rng.choice([any_value(rng), _some(rng, 0x666)]) & ~0x60
    if name in ("mideleg", "hideleg", "mie", "sie", "hie", "vsie", "hip"):
        return rng.choice([any_value(rng), _some(rng, _S_INTERRUPTS | _VS_INTERRUPTS)])
    if name in ("sstatus", "vsstatus"):
        return rng.choice([status(rng), any_value(rng)])
    if name == "mstatus":
        return rng.choice([mstatus(rng), any_value(rng)])
    if name == "hstatus":
        return rng.choice([hstatus(rng), any_value(rng) & ~HSTATUS.VGEIN.mask])
    if name in ("stimecmp", "vstimecmp"):
        return M64
    if name.endswith("counteren"):
        return rng.choice([0, M64, 7, rng.getrandbits(32)])
    return any_value(rng)


def pmp(rng: Random, address: int) -> tuple[int, int]:
    """pmpaddr and the entry's pmpcfg byte for a page: without L, so that M-mode is not bound."""
    cfg = rng.randrange(8)
    if cfg & 3 == 2:
        cfg |= 1  # W without R is reserved
    return address >> 2 | (PAGE // 8 - 1), put(cfg, PMPCFG.A, 3)
