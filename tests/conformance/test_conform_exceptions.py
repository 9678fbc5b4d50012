"""Exceptions, CSR access rules, delegation, xRET, and the bits that make instructions trap."""

import pytest

from rvemu.hart.exceptions import Cause
from tests.assembler import A0, A1, csr_number, encode
from tests.conformance.probe import CODE, DATA, MTVEC, STVEC, Probe, Trap

M64 = (1 << 64) - 1
ILLEGAL = Cause.ILLEGAL_INSTRUCTION


def illegal(bits: int) -> Trap:
    """The trap of an illegal instruction (norm:mtval_ill_instr_exc_in_low_bits)."""
    return Trap("M", ILLEGAL, CODE, bits)


# --- Illegal instructions --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["M", "S", "U"])
@pytest.mark.parametrize(
    "bits",
    [
        0xFFFF_FFFF,
        0x0000_0033 | 0x7F << 25,  # OP with a funct7 that nothing has
        0x0000_707B,  # custom-3
        0x3020_0073 | 1 << 7,  # mret with rd
        0x0000_4073,  # SYSTEM with funct3 4
        encode("lr.w", rd=A0, rs1=A1) | 1 << 20,  # lr with rs2
        encode("fadd.s", fd=1, fs1=1, fs2=1, rm=5),  # norm:roundingmode_rsv
        encode("sllw", rd=A0, rs1=A1) | 1 << 25 | 1 << 26,
    ],
)
def test_illegal_instructions(probe: Probe, mode: str, bits: int) -> None:
    assert probe.raw(mode, bits) == illegal(bits)


@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_illegal_compressed_instructions(probe: Probe, mode: str) -> None:
    for bits in (0x0000, 0x2001, 0x6001, 0x9C41, 0x8002):
        assert probe.raw(mode, bits) == illegal(bits), hex(bits)


@pytest.mark.parametrize(
    ("letter", "name"),
    [("M", "mul"), ("A", "amoadd.w"), ("F", "fadd.s"), ("D", "fadd.d"), ("C", "c.nop")],
)
def test_misa_switches_extensions_off_and_on(probe: Probe, letter: str, name: str) -> None:
    """norm:misa_extensions_disabling: instructions that were decoded before included."""
    probe.hart["a1"] = DATA
    operands = {"rs1": A1} if name == "amoadd.w" else {}
    bit = 1 << (ord(letter) - ord("A"))
    misa = probe.hart["misa"]
    assert misa & bit
    assert probe.do("M", name, **operands) is None
    assert probe.csrw("M", "misa", misa & ~bit) is None
    assert not probe.hart["misa"] & bit
    trap = probe.do("M", name, **operands)
    assert trap is not None
    assert trap.cause == ILLEGAL
    assert probe.csrw("M", "misa", misa) is None
    assert probe.hart["misa"] == misa
    probe.hart["a1"] = DATA
    assert probe.do("M", name, **operands) is None


def test_clearing_f_clears_d(probe: Probe) -> None:
    """norm:misa_extensions_dependencies"""
    probe.csrw("M", "misa", probe.hart["misa"] & ~(1 << 5))
    assert not probe.hart["misa"] & (1 << 3 | 1 << 5)


def test_c_cannot_be_cleared_by_an_instruction_at_an_odd_halfword(probe: Probe) -> None:
    """norm:misa_inc_ialign: the write does nothing where the next instruction would be misaligned
    with IALIGN=32."""
    misa = probe.hart["misa"]
    probe.hart["a1"] = misa & ~4
    assert probe.raw("M", encode("csrrw", csr=csr_number("misa"), rs1=A1), pc=CODE + 2) is None
    assert probe.hart["misa"] == misa


@pytest.mark.parametrize("name", ["jal", "jalr", "beq"])
def test_jumps_to_odd_halfwords_trap_without_c(probe: Probe, name: str) -> None:
    """mepc is that of the jump itself, and the target in mtval; rd is not written."""
    probe.csrw("M", "misa", probe.hart["misa"] & ~4)
    probe.hart["ra"], probe.hart["a1"] = 5, CODE + 6
    operands = {"jal": {"rd": 1, "imm": 6}, "jalr": {"rd": 1, "rs1": A1}, "beq": {"imm": 6}}[name]
    trap = probe.do("M", name, **operands)
    assert trap == Trap("M", Cause.INSTRUCTION_ADDRESS_MISALIGNED, CODE, CODE + 6)
    assert probe.hart["ra"] == 5
    assert probe.do("M", "bne", imm=6) is None  # not taken: no trap


def test_xepc_hides_bit_1_without_c(probe: Probe) -> None:
    """norm:mepc_bit1_dyn_ialign_op: it is masked when read, and kept."""
    probe.hart["mepc"] = 0
    probe.csrw("M", "mscratch", 0)
    misa = probe.hart["misa"]
    probe.hart["mepc"] = CODE + 2
    assert probe.hart["mepc"] == CODE + 2
    probe.hart["misa"] = misa & ~4
    assert probe.hart["mepc"] == CODE
    probe.hart["misa"] = misa
    assert probe.hart["mepc"] == CODE + 2


@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_floating_point_is_illegal_with_fs_off(probe: Probe, mode: str) -> None:
    """norm:mstatus_fs_vs_xs_off_op, for instructions and CSRs."""
    probe.hart["mstatus.FS"] = 0
    for name in ("fadd.s", "fld", "fsd", "fmv.x.w", "fclass.d", "fcvt.h.s"):
        trap = probe.do(mode, name)
        assert trap == illegal(encode(name)), name
    for csr in ("fflags", "frm", "fcsr"):
        assert isinstance(probe.csrr(mode, csr), Trap)


@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_fs_becomes_dirty(probe: Probe, mode: str) -> None:
    """norm:mstatus_fs_wr; SD follows (norm:mstatus_sd_op1)."""
    for name, dirty in (("fadd.s", 3), ("fmv.w.x", 3), ("fsgnj.d", 3), ("fmv.x.w", 2)):
        probe.hart["mstatus.FS"] = 2
        assert probe.do(mode, name) is None
        assert probe.hart["mstatus.FS"] == dirty, name
        assert probe.hart["mstatus"] >> 63 == (dirty == 3)


def test_the_dynamic_rounding_mode_must_be_valid(probe: Probe) -> None:
    """norm:roundingmode_rsv"""
    for frm in range(8):
        probe.csrw("M", "frm", frm)
        trap = probe.do("M", "fadd.d", rm=7)
        assert (trap is None) == (frm < 5), frm
        assert probe.do("M", "fadd.d", rm=0) is None


# --- ecall, ebreak, alignment ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "cause"),
    [("U", Cause.ECALL_FROM_U), ("S", Cause.ECALL_FROM_S), ("M", Cause.ECALL_FROM_M)],
)
def test_ecall(probe: Probe, mode: str, cause: int) -> None:
    assert probe.do(mode, "ecall") == Trap("M", cause, CODE, 0)
    assert probe.hart["mstatus.MPP"] == {"U": 0, "S": 1, "M": 3}[mode]


@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_ebreak(probe: Probe, mode: str) -> None:
    assert probe.do(mode, "ebreak") == Trap("M", Cause.BREAKPOINT, CODE, CODE)
    assert probe.do(mode, "c.ebreak") == Trap("M", Cause.BREAKPOINT, CODE, CODE)


@pytest.mark.parametrize("offset", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("width", ["w", "d"])
def test_misaligned_atomics_trap(probe: Probe, width: str, offset: int) -> None:
    """norm:amo_alignment, norm:lr_sc_alignment; an atomic's cause is a store's, lr's a load's
    (norm:mcause_exccode_st_sc_amo, norm:mcause_exccode_ld_ldrsv)."""
    probe.hart["a1"] = DATA + offset
    aligned = width == "w" and offset == 4
    for name, load in (("lr", True), ("sc", False), ("amoadd", False), ("amoswap", False)):
        trap = probe.do("M", f"{name}.{width}", rd=A0, rs1=A1)
        if aligned:
            assert trap is None
            continue
        cause = Cause.LOAD_ADDRESS_MISALIGNED if load else Cause.STORE_ADDRESS_MISALIGNED
        assert trap == Trap("M", cause, CODE, DATA + offset), name


@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_access_faults_where_nothing_is(probe: Probe, mode: str) -> None:
    nothing = 0x4000_0000
    assert probe.load(mode, nothing) == Trap("M", Cause.LOAD_ACCESS_FAULT, CODE, nothing)
    assert probe.store(mode, nothing) == Trap("M", Cause.STORE_ACCESS_FAULT, CODE, nothing)
    probe.enter(mode, nothing)
    assert probe.step() == Trap("M", Cause.INSTRUCTION_ACCESS_FAULT, nothing, nothing)


# --- CSR access ------------------------------------------------------------------------------

SOME_CSRS = (
    *("cycle", "instret", "sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "sip"),
    *("satp", "mstatus", "misa", "medeleg", "mie", "mtvec", "mscratch", "mepc", "mcause", "mtval"),
    *("pmpcfg0", "pmpaddr0", "mhartid", "mvendorid", "fcsr", "mcounteren", "menvcfg", "senvcfg"),
)


@pytest.mark.parametrize("mode", ["M", "S", "U"])
@pytest.mark.parametrize("csr", SOME_CSRS)
def test_csr_privilege_and_read_only(probe: Probe, csr: str, mode: str) -> None:
    """norm:csr_access: bits 9:8 of the number are the least privilege, bits 11:10 both set mean
    read-only."""
    number = csr_number(csr)
    probe.hart["mcounteren"] = probe.hart["scounteren"] = M64
    allowed = {"U": 0, "S": 1, "M": 3}[mode] >= number >> 8 & 3
    read = probe.csrr(mode, csr)
    assert isinstance(read, Trap) == (not allowed)
    if allowed:
        assert isinstance(read, int)
        written = probe.csrw(mode, csr, read)
        assert (written is None) == (number >> 10 != 3)
    else:
        assert read == illegal(encode("csrrs", rd=A0, csr=number))


@pytest.mark.parametrize("number", [0x000, 0x14F, 0x1FF, 0x3FF, 0x7C0, 0x5A9, 0xB83, 0xC80, 0xFC0])
def test_absent_csrs_are_illegal(probe: Probe, number: int) -> None:
    assert probe.csrr("M", number) == illegal(encode("csrrs", rd=A0, csr=number))


@pytest.mark.parametrize("name", ["csrrs", "csrrc", "csrrsi", "csrrci"])
def test_a_read_only_csr_may_be_read_without_writing(probe: Probe, name: str) -> None:
    """norm:csrrs_csrrc_rs1_x0, norm:csrrsi_csrrci_uimm_zero: x0 or 0 as source does not write;
    another register that holds 0 does."""
    number = csr_number("mhartid")
    source = "zimm" if name.endswith("i") else "rs1"
    assert probe.do("M", name, rd=A0, csr=number) is None
    probe.hart["a1"] = 0
    assert probe.do("M", name, rd=A0, csr=number, **{source: A1}) is not None


def test_csr_instructions(probe: Probe) -> None:
    """norm:csrrw_op, norm:csrrs_op, norm:csrrc_op, norm:csrrwi_csrrsi_csrrci_ops"""
    csr = csr_number("mscratch")
    value = 0xF0F0
    cases = [
        ("csrrw", {"rs1": A1}, 0x0FF0),
        ("csrrs", {"rs1": A1}, 0xFFF0),
        ("csrrc", {"rs1": A1}, 0xF000),
        ("csrrwi", {"zimm": 21}, 21),
        ("csrrsi", {"zimm": 21}, 0xF0F5),
        ("csrrci", {"zimm": 16}, 0xF0E0),
    ]
    for name, operands, expected in cases:
        probe.hart["mscratch"], probe.hart["a1"] = value, 0x0FF0
        assert probe.do("M", name, rd=A1, csr=csr, **operands) is None
        assert (probe.hart["a1"], probe.hart["mscratch"]) == (value, expected), name


# --- Delegation and xRET ---------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["U", "S", "M"])
@pytest.mark.parametrize("delegated", [False, True])
def test_delegation(probe: Probe, mode: str, delegated: bool) -> None:
    """norm:medeleg_mideleg_op1: a trap from M-mode is never delegated."""
    probe.hart["medeleg"] = 1 << ILLEGAL if delegated else M64 & ~(1 << ILLEGAL)
    probe.hart["mstatus.SIE"] = 1
    to = "S" if delegated and mode != "M" else "M"
    assert probe.raw(mode, 0xFFFF_FFFF) == Trap(to, ILLEGAL, CODE, 0xFFFF_FFFF)
    hart = probe.hart
    assert hart.mode == to
    if to == "S":
        assert (hart["mstatus.SPP"], hart["mstatus.SPIE"], hart["mstatus.SIE"]) == (
            int(mode == "S"),
            1,
            0,
        )


def test_ecall_from_m_cannot_be_delegated(probe: Probe) -> None:
    probe.csrw("M", "medeleg", M64)
    assert not probe.hart["medeleg"] >> Cause.ECALL_FROM_M & 1


@pytest.mark.parametrize("mode", ["U", "S", "M"])
def test_mret(probe: Probe, mode: str) -> None:
    """norm:mstatus_xret_op; MPRV is cleared on the way down
    (norm:mstatus_mprv_clr_mret_sret_less_priv)."""
    hart = probe.hart
    probe.put(CODE, encode("mret"))
    hart["mstatus.MPP"] = {"U": 0, "S": 1, "M": 3}[mode]
    hart["mstatus.MPIE"], hart["mstatus.MIE"], hart["mstatus.MPRV"] = 1, 0, 1
    hart["mepc"], hart["pc"] = DATA, CODE
    probe.step()
    assert (hart.mode, hart.pc) == (mode, DATA)
    assert (hart["mstatus.MIE"], hart["mstatus.MPIE"], hart["mstatus.MPP"]) == (1, 1, 0)
    assert hart["mstatus.MPRV"] == (mode == "M")


@pytest.mark.parametrize("to", ["U", "S"])
@pytest.mark.parametrize("mode", ["S", "M"])
def test_sret(probe: Probe, mode: str, to: str) -> None:
    hart = probe.hart
    hart["mstatus.SPP"], hart["mstatus.SPIE"], hart["mstatus.SIE"] = int(to == "S"), 0, 1
    hart["sepc"] = DATA
    assert probe.do(mode, "sret") is None
    assert (hart.mode, hart.pc) == (to, DATA)
    assert (hart["mstatus.SIE"], hart["mstatus.SPIE"], hart["mstatus.SPP"]) == (0, 1, 0)


@pytest.mark.parametrize(("mode", "name"), [("U", "sret"), ("U", "mret"), ("S", "mret")])
def test_xret_needs_its_privilege(probe: Probe, mode: str, name: str) -> None:
    assert probe.do(mode, name) == illegal(encode(name))


def test_mpp_holds_only_modes(probe: Probe) -> None:
    """norm:mstatus_xpp_warl: 2 is no mode."""
    for value, legal in ((0, True), (1, True), (3, True), (2, False)):
        probe.hart["mstatus.MPP"] = 3
        probe.csrw("M", "mstatus", value << 11)
        assert (probe.hart["mstatus.MPP"] == value) == legal


# --- TSR, TVM, TW, environment configuration -------------------------------------------------


def test_tsr(probe: Probe) -> None:
    """norm:mstatus_tsr_op"""
    probe.hart["mstatus.TSR"] = 1
    assert probe.do("S", "sret") == illegal(encode("sret"))
    assert probe.do("M", "sret") is None


def test_tvm(probe: Probe) -> None:
    """norm:mstatus_tvm_warl_op; also norm:Svinval_illegal_instruction_tvm"""
    names = ("sfence.vma", "sinval.vma")
    for tvm in (0, 1):
        probe.hart["mstatus.TVM"] = tvm
        for name in names:
            assert (probe.do("S", name) is None) == (not tvm)
            assert probe.do("M", name) is None
        assert isinstance(probe.csrr("S", "satp"), Trap) == bool(tvm)
        assert (probe.csrw("S", "satp", 0) is None) == (not tvm)
        assert probe.csrr("M", "satp") == 0
        # The fences of a sinval sequence are not its business.
        assert probe.do("S", "sfence.w.inval") is None
        assert probe.do("S", "sfence.inval.ir") is None


@pytest.mark.parametrize("name", ["sfence.vma", "sinval.vma", "sfence.w.inval", "sfence.inval.ir"])
def test_fences_of_translation_are_illegal_in_u_mode(probe: Probe, name: str) -> None:
    """norm:Svinval_illegal_instruction_u_mode, norm:Svinval_sfence_w_inval_inval_u_mode"""
    assert probe.do("U", name) == illegal(encode(name))


@pytest.mark.parametrize("mode", ["M", "S", "U"])
@pytest.mark.parametrize("tw", [0, 1])
def test_tw(probe: Probe, mode: str, tw: int) -> None:
    """norm:mstatus_tw_op, norm:mstatus_tw_umode_op: with an interrupt pending and not enabled, so
    that nothing waits where it is allowed."""
    hart = probe.hart
    hart["mstatus.TW"], hart["mideleg"] = tw, 2
    hart["mie"] = hart["mip"] = 0 if mode == "U" else 2
    trap = probe.do(mode, "wfi")
    if mode != "M" and (tw or mode == "U"):
        assert trap == illegal(encode("wfi"))
    else:
        assert trap is None
        assert hart.pc == CODE + 4


CBO = {"cbo.zero": (1 << 7, 1 << 7), "cbo.clean": (1 << 6, 1 << 6), "cbo.flush": (1 << 6, 1 << 6),
       "cbo.inval": (1 << 4, 1 << 4)}  # fmt: skip


@pytest.mark.parametrize("name", CBO)
def test_cache_block_operations_need_permission(probe: Probe, name: str) -> None:
    """norm:menvcfg_cbze_op, norm:menvcfg_cbcfe_op, norm:cbo-inval_s-mode_op0"""
    m_bit, s_bit = CBO[name]
    for menvcfg in (0, m_bit):
        for senvcfg in (0, s_bit):
            probe.hart["menvcfg"], probe.hart["senvcfg"] = menvcfg, senvcfg
            for mode in "MSU":
                probe.hart["a1"] = DATA
                trap = probe.do(mode, name, rs1=A1)
                allowed = {"M": True, "S": bool(menvcfg), "U": bool(menvcfg and senvcfg)}[mode]
                assert (trap is None) == allowed, (menvcfg, senvcfg, mode)


# --- Vectors ---------------------------------------------------------------------------------


def test_exceptions_go_to_the_base_in_vectored_mode(probe: Probe) -> None:
    """norm:mtvec_mode_vectored_op: only interrupts are spread."""
    probe.hart["mtvec"] = MTVEC | 1
    assert probe.do("U", "ecall") == Trap("M", Cause.ECALL_FROM_U, CODE, 0)
    probe.hart["stvec"], probe.hart["medeleg"] = STVEC | 1, 1 << 8
    assert probe.do("U", "ecall") == Trap("S", Cause.ECALL_FROM_U, CODE, 0)
