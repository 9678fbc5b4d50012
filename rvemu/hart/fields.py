"""The fields of control and status registers, and of page-table entries, by their names in the
specification. Whoever needs a bit of one uses its field, with `lang.get` and `lang.put`, or its
`.mask`."""

from rvemu.lang import Field


def fields_of(group: type) -> dict[str, Field]:
    """The fields of one of the classes below, lowest bits first."""
    found = [(name, value) for name, value in vars(group).items() if isinstance(value, Field)]
    return dict(sorted(found, key=lambda item: (item[1].low, item[0])))


class MISA:
    """Extensions by letter, and the width of the base ISA."""

    A, B, C, D, F = Field(0), Field(1), Field(2), Field(3), Field(5)
    H, I, M, S, U = Field(7), Field(8), Field(12), Field(18), Field(20)  # noqa: E741
    MXL = Field(62, 2)


class SSTATUS:
    """sstatus, and vsstatus: the fields of mstatus that S-mode sees."""

    SIE = Field(1)
    SPIE = Field(5)
    UBE = Field(6)
    SPP = Field(8)
    VS = Field(9, 2)
    FS = Field(13, 2)
    XS = Field(15, 2)
    SUM = Field(18)
    MXR = Field(19)
    UXL = Field(32, 2)
    SD = Field(63)


class MSTATUS(SSTATUS):
    """mstatus: the fields of sstatus, whose names it shares, and its own."""

    SIE = Field(1)
    MIE = Field(3)
    SPIE = Field(5)
    UBE = Field(6)
    MPIE = Field(7)
    SPP = Field(8)
    VS = Field(9, 2)
    MPP = Field(11, 2)
    FS = Field(13, 2)
    XS = Field(15, 2)
    MPRV = Field(17)
    SUM = Field(18)
    MXR = Field(19)
    TVM = Field(20)
    TW = Field(21)
    TSR = Field(22)
    UXL = Field(32, 2)
    SXL = Field(34, 2)
    SBE = Field(36)
    MBE = Field(37)
    GVA = Field(38)
    MPV = Field(39)
    SD = Field(63)


# Values of FS and VS.
FS_OFF, FS_INITIAL, FS_CLEAN, FS_DIRTY = 0, 1, 2, 3


class HSTATUS:
    """How HS-mode handles the guest that it runs."""

    VSBE = Field(5)
    GVA = Field(6)
    SPV = Field(7)
    SPVP = Field(8)
    HU = Field(9)
    VGEIN = Field(12, 6)
    VTVM = Field(20)
    VTW = Field(21)
    VTSR = Field(22)
    VSXL = Field(32, 2)


class MIP:
    """Pending interrupts, at the bits of their causes (mip, sip, hip, vsip, hvip)."""

    SSIP = Field(1)
    VSSIP = Field(2)
    MSIP = Field(3)
    STIP = Field(5)
    VSTIP = Field(6)
    MTIP = Field(7)
    SEIP = Field(9)
    VSEIP = Field(10)
    MEIP = Field(11)
    SGEIP = Field(12)


class MIE:
    """Enabled interrupts, at the bits of their causes (mie, sie, hie, vsie)."""

    SSIE = Field(1)
    VSSIE = Field(2)
    MSIE = Field(3)
    STIE = Field(5)
    VSTIE = Field(6)
    MTIE = Field(7)
    SEIE = Field(9)
    VSEIE = Field(10)
    MEIE = Field(11)
    SGEIE = Field(12)


class TVEC:
    """Trap vectors: mtvec, stvec, vstvec."""

    MODE = Field(0, 2)
    BASE = Field(2, 62)


TVEC_DIRECT, TVEC_VECTORED = 0, 1


class CAUSE:
    """mcause, scause, vscause."""

    CODE = Field(0, 63)
    INTERRUPT = Field(63)


class SATP:
    """satp and vsatp."""

    PPN = Field(0, 44)
    ASID = Field(44, 16)
    MODE = Field(60, 4)


class HGATP:
    """hgatp."""

    PPN = Field(0, 44)
    VMID = Field(44, 14)
    MODE = Field(60, 4)


# MODE in satp, vsatp and, for the x4 modes, hgatp.
MODE_BARE, MODE_SV39, MODE_SV48, MODE_SV57 = 0, 8, 9, 10


class SENVCFG:
    """What U-mode may do with its environment."""

    FIOM = Field(0)
    CBIE = Field(4, 2)
    CBCFE = Field(6)
    CBZE = Field(7)


class MENVCFG(SENVCFG):
    """menvcfg and henvcfg: the same for the next lower modes, and switches of extensions."""

    FIOM = Field(0)
    CBIE = Field(4, 2)
    CBCFE = Field(6)
    CBZE = Field(7)
    ADUE = Field(61)
    PBMTE = Field(62)
    STCE = Field(63)


class MSECCFG:
    """Smepmp: machine-mode lockdown, allowlist policy, and the bypass of rule locks."""

    MML = Field(0)
    MMWP = Field(1)
    RLB = Field(2)


class PMPCFG:
    """One entry's byte of a pmpcfg register."""

    R = Field(0)
    W = Field(1)
    X = Field(2)
    A = Field(3, 2)
    L = Field(7)


PMP_OFF, PMP_TOR, PMP_NA4, PMP_NAPOT = 0, 1, 2, 3


class COUNTEREN:
    """mcounteren, scounteren, hcounteren: counters that the next lower mode may read."""

    CY = Field(0)
    TM = Field(1)
    IR = Field(2)
    HPM = Field(3, 29)


class COUNTINHIBIT:
    """mcountinhibit: counters that stand still."""

    CY = Field(0)
    IR = Field(2)
    HPM = Field(3, 29)


class FFLAGS:
    """Accrued floating-point exceptions."""

    NX = Field(0)
    UF = Field(1)
    OF = Field(2)
    DZ = Field(3)
    NV = Field(4)


class FCSR(FFLAGS):
    """fcsr: the flags and the rounding mode."""

    NX = Field(0)
    UF = Field(1)
    OF = Field(2)
    DZ = Field(3)
    NV = Field(4)
    FRM = Field(5, 3)


class PTE:
    """A page-table entry of Sv39, Sv48 and Sv57, and of their x4 forms."""

    V = Field(0)
    R = Field(1)
    W = Field(2)
    X = Field(3)
    U = Field(4)
    G = Field(5)
    A = Field(6)
    D = Field(7)
    RSW = Field(8, 2)
    PPN = Field(10, 44)
    RESERVED = Field(54, 7)
    PBMT = Field(61, 2)
    N = Field(63)
