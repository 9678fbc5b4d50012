"""Every CSR, in one table. To add one, add a row.

A row has the number, the name, how it is read and written, its fields, the extensions it needs, and
who may access it where the number alone does not say (rvemu.hart.csr_row.Csr). Numbers are those of
"CSR Listing" (csrs.adoc). The high halves of RV32 and CSRs of extensions that rvemu lacks are
absent: accesses are illegal instructions (norm:ssstrict_unimplemented_opcodes_csr_exception).
"""

from functools import partial

from rvemu.hart.counters import (
    read_mcycle,
    read_minstret,
    read_time,
    write_mcountinhibit,
    write_mcycle,
    write_minstret,
)
from rvemu.hart.csr_counter import permit_counter, permit_timer, write_counteren, write_timer
from rvemu.hart.csr_environment import write_henvcfg, write_menvcfg, write_senvcfg
from rvemu.hart.csr_float import read_fcsr, write_fcsr, write_fflags, write_frm
from rvemu.hart.csr_interrupt import (
    read_hie,
    read_hip,
    read_sie,
    read_sip,
    read_vsie,
    read_vsip,
    write_hgeie,
    write_hie,
    write_hip,
    write_hvip,
    write_mie,
    write_mip,
    write_sie,
    write_sip,
    write_vsie,
    write_vsip,
)
from rvemu.hart.csr_misa import read_misa, write_misa
from rvemu.hart.csr_pmp import (
    permit_pmp,
    read_pmpaddr,
    read_pmpcfg,
    write_mseccfg,
    write_pmpaddr,
    write_pmpcfg,
)
from rvemu.hart.csr_row import Csr, plain, read_plain, read_zero, zero
from rvemu.hart.csr_status import (
    read_mstatus,
    read_sstatus,
    read_vsstatus,
    write_hstatus,
    write_mstatus,
    write_sstatus,
    write_vsstatus,
)
from rvemu.hart.csr_translation import (
    permit_hgatp,
    permit_satp,
    write_hgatp,
    write_satp,
    write_vsatp,
)
from rvemu.hart.csr_trap import (
    read_epc,
    write_epc,
    write_hedeleg,
    write_hideleg,
    write_medeleg,
    write_mideleg,
    write_tvec,
)
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import (
    CAUSE,
    COUNTEREN,
    COUNTINHIBIT,
    FCSR,
    FFLAGS,
    HGATP,
    HSTATUS,
    MENVCFG,
    MIE,
    MIP,
    MISA,
    MSECCFG,
    MSTATUS,
    SATP,
    SENVCFG,
    SSTATUS,
    TVEC,
)
from rvemu.hart.interrupts import pending_interrupts
from rvemu.hart.state import PMP_MAX

_F, _U, _S, _H = Ext.F, Ext.U, Ext.S, Ext.H
_H_SSTC = Ext.H | Ext.SSTC

_UNPRIVILEGED = [
    Csr(0x001, "fflags", partial(read_plain, "fflags"), write_fflags, FFLAGS, _F),
    Csr(0x002, "frm", partial(read_plain, "frm"), write_frm, None, _F),
    Csr(0x003, "fcsr", read_fcsr, write_fcsr, FCSR, _F),
    Csr(0xC00, "cycle", read_mcycle, None, None, Ext.ZICNTR, partial(permit_counter, 0)),
    Csr(0xC01, "time", read_time, None, None, Ext.ZICNTR, partial(permit_counter, 1)),
    Csr(0xC02, "instret", read_minstret, None, None, Ext.ZICNTR, partial(permit_counter, 2)),
    *(
        Csr(
            0xC00 + n,
            f"hpmcounter{n}",
            read_zero,
            requires=Ext.ZIHPM,
            permit=partial(permit_counter, n),
        )
        for n in range(3, 32)
    ),
]

_SUPERVISOR = [
    Csr(0x100, "sstatus", read_sstatus, write_sstatus, SSTATUS, _S),
    Csr(0x104, "sie", read_sie, write_sie, MIE, _S),
    Csr(0x105, "stvec", partial(read_plain, "stvec"), partial(write_tvec, "stvec"), TVEC, _S),
    Csr(
        0x106,
        "scounteren",
        partial(read_plain, "scounteren"),
        partial(write_counteren, "scounteren"),
        COUNTEREN,
        _S,
    ),
    Csr(0x10A, "senvcfg", partial(read_plain, "senvcfg"), write_senvcfg, SENVCFG, _S),
    plain(0x140, "sscratch", requires=_S),
    Csr(0x141, "sepc", partial(read_epc, "sepc"), partial(write_epc, "sepc"), None, _S),
    plain(0x142, "scause", CAUSE, requires=_S),
    plain(0x143, "stval", requires=_S),
    Csr(0x144, "sip", read_sip, write_sip, MIP, _S),
    Csr(
        0x14D,
        "stimecmp",
        partial(read_plain, "stimecmp"),
        partial(write_timer, "stimecmp"),
        None,
        Ext.SSTC,
        permit_timer,
    ),
    Csr(0x180, "satp", partial(read_plain, "satp"), write_satp, SATP, _S, permit_satp),
]

_HYPERVISOR = [
    Csr(0x600, "hstatus", partial(read_plain, "hstatus"), write_hstatus, HSTATUS, _H),
    Csr(0x602, "hedeleg", partial(read_plain, "hedeleg"), write_hedeleg, None, _H),
    Csr(0x603, "hideleg", partial(read_plain, "hideleg"), write_hideleg, MIP, _H),
    Csr(0x604, "hie", read_hie, write_hie, MIE, _H),
    Csr(
        0x605,
        "htimedelta",
        partial(read_plain, "htimedelta"),
        partial(write_timer, "htimedelta"),
        None,
        _H,
    ),
    Csr(
        0x606,
        "hcounteren",
        partial(read_plain, "hcounteren"),
        partial(write_counteren, "hcounteren"),
        COUNTEREN,
        _H,
    ),
    Csr(0x607, "hgeie", partial(read_plain, "hgeie"), write_hgeie, None, _H),
    Csr(0x60A, "henvcfg", partial(read_plain, "henvcfg"), write_henvcfg, MENVCFG, _H),
    plain(0x643, "htval", requires=_H),
    Csr(0x644, "hip", read_hip, write_hip, MIP, _H),
    Csr(0x645, "hvip", partial(read_plain, "hvip"), write_hvip, MIP, _H),
    plain(0x64A, "htinst", requires=_H),
    Csr(0x680, "hgatp", partial(read_plain, "hgatp"), write_hgatp, HGATP, _H, permit_hgatp),
    Csr(0xE12, "hgeip", partial(read_plain, "hgeip"), None, None, _H),
]

_VIRTUAL_SUPERVISOR = [
    Csr(0x200, "vsstatus", read_vsstatus, write_vsstatus, SSTATUS, _H),
    Csr(0x204, "vsie", read_vsie, write_vsie, MIE, _H),
    Csr(0x205, "vstvec", partial(read_plain, "vstvec"), partial(write_tvec, "vstvec"), TVEC, _H),
    plain(0x240, "vsscratch", requires=_H),
    Csr(0x241, "vsepc", partial(read_epc, "vsepc"), partial(write_epc, "vsepc"), None, _H),
    plain(0x242, "vscause", CAUSE, requires=_H),
    plain(0x243, "vstval", requires=_H),
    Csr(0x244, "vsip", read_vsip, write_vsip, MIP, _H),
    Csr(
        0x24D,
        "vstimecmp",
        partial(read_plain, "vstimecmp"),
        partial(write_timer, "vstimecmp"),
        None,
        _H_SSTC,
        permit_timer,
    ),
    Csr(0x280, "vsatp", partial(read_plain, "vsatp"), write_vsatp, SATP, _H),
]

_MACHINE = [
    Csr(0xF11, "mvendorid", read_zero),
    Csr(0xF12, "marchid", read_zero),
    Csr(0xF13, "mimpid", read_zero),
    Csr(0xF14, "mhartid", partial(read_plain, "hartid")),
    Csr(0xF15, "mconfigptr", read_zero),
    Csr(0x300, "mstatus", read_mstatus, write_mstatus, MSTATUS),
    Csr(0x301, "misa", read_misa, write_misa, MISA),
    Csr(0x302, "medeleg", partial(read_plain, "medeleg"), write_medeleg, None, _S),
    Csr(0x303, "mideleg", partial(read_plain, "mideleg"), write_mideleg, MIP, _S),
    Csr(0x304, "mie", partial(read_plain, "mie"), write_mie, MIE),
    Csr(0x305, "mtvec", partial(read_plain, "mtvec"), partial(write_tvec, "mtvec"), TVEC),
    Csr(
        0x306,
        "mcounteren",
        partial(read_plain, "mcounteren"),
        partial(write_counteren, "mcounteren"),
        COUNTEREN,
        _U,
    ),
    Csr(0x30A, "menvcfg", partial(read_plain, "menvcfg"), write_menvcfg, MENVCFG, _U),
    Csr(
        0x320,
        "mcountinhibit",
        partial(read_plain, "mcountinhibit"),
        write_mcountinhibit,
        COUNTINHIBIT,
    ),
    plain(0x340, "mscratch"),
    Csr(0x341, "mepc", partial(read_epc, "mepc"), partial(write_epc, "mepc")),
    plain(0x342, "mcause", CAUSE),
    plain(0x343, "mtval"),
    Csr(0x344, "mip", pending_interrupts, write_mip, MIP),
    plain(0x34A, "mtinst", requires=_H),
    plain(0x34B, "mtval2", requires=_H),
    Csr(
        0x747,
        "mseccfg",
        partial(read_plain, "mseccfg"),
        write_mseccfg,
        MSECCFG,
        Ext.SMEPMP,
        permit_pmp,
    ),
    Csr(0xB00, "mcycle", read_mcycle, write_mcycle),
    Csr(0xB02, "minstret", read_minstret, write_minstret),
    *(zero(0xB00 + n, f"mhpmcounter{n}") for n in range(3, 32)),
    *(zero(0x320 + n, f"mhpmevent{n}") for n in range(3, 32)),
]

_PMP = [
    *(
        Csr(
            0x3A0 + first // 4,
            f"pmpcfg{first // 4}",
            partial(read_pmpcfg, first),
            partial(write_pmpcfg, first),
            permit=permit_pmp,
        )
        for first in range(0, PMP_MAX, 8)
    ),
    *(
        Csr(
            0x3B0 + n,
            f"pmpaddr{n}",
            partial(read_pmpaddr, n),
            partial(write_pmpaddr, n),
            permit=permit_pmp,
        )
        for n in range(PMP_MAX)
    ),
]

# No triggers: tselect reads zero, and so does the trigger that it selects (type 0: none).
_DEBUG = [
    zero(0x7A0, "tselect"),
    zero(0x7A1, "tdata1"),
    zero(0x7A2, "tdata2"),
    zero(0x7A3, "tdata3"),
    zero(0x7A4, "tinfo"),
]

CSRS: tuple[Csr, ...] = tuple(
    sorted(
        [
            *_UNPRIVILEGED,
            *_SUPERVISOR,
            *_HYPERVISOR,
            *_VIRTUAL_SUPERVISOR,
            *_MACHINE,
            *_PMP,
            *_DEBUG,
        ],
        key=lambda csr: csr.number,
    )
)

BY_NUMBER: dict[int, Csr] = {csr.number: csr for csr in CSRS}
BY_NAME: dict[str, Csr] = {csr.name: csr for csr in CSRS}
