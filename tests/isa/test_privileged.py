"""System instructions: what they do, and in which modes they are which exception."""

import pytest

from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import parse_isa
from rvemu.hart.fields import HSTATUS, MENVCFG, MSTATUS
from rvemu.hart.privilege import set_privilege
from rvemu.lang import Field, Trap
from tests.isa.lone_hart import BASE, CODE, EVERYTHING, LoneHart

ILLEGAL, VIRTUAL = Cause.ILLEGAL_INSTRUCTION, Cause.VIRTUAL_INSTRUCTION
MODES = {"U": (0, 0), "S": (1, 0), "M": (3, 0), "VU": (0, 1), "VS": (1, 1)}
TSR, TVM, TW = ({"mstatus": f.mask} for f in (MSTATUS.TSR, MSTATUS.TVM, MSTATUS.TW))
VTSR, VTVM, VTW = ({"hstatus": f.mask} for f in (HSTATUS.VTSR, HSTATUS.VTVM, HSTATUS.VTW))
HU = {"hstatus": HSTATUS.HU.mask}


def in_mode(mode: str, **more: int) -> LoneHart:
    """A hart in a mode; `more` are bits to set in CSRs."""
    h = LoneHart()
    for name, bits in more.items():
        setattr(h, name, getattr(h, name) | bits)
    set_privilege(h, *MODES[mode])
    return h


def outcome(h: LoneHart, name: str, **operands: int) -> Cause | None:
    """The exception that an instruction raises, if it does."""
    h.x[11] = BASE
    pc = h.pc
    try:
        h.do(name, **operands)
    except Trap:
        assert h.pc == pc
        if h.trap_cause in (ILLEGAL, VIRTUAL):
            assert h.trap_value == h.insn
        return Cause(h.trap_cause)
    return None


WANTED = {"I": ILLEGAL, "V": VIRTUAL, "-": None}

# Instruction, CSR bits, and what it raises in U, S, M, VU and VS.
RULES: list[tuple[str, dict[str, int], str]] = [
    # norm:H_virtinst_vu_sret_sfence, norm:H_virtinst_vs_sret_vtsr1
    ("mret", {}, "I I - I I"),
    ("sret", {}, "I - - V -"),
    ("sret", TSR, "I I - V -"),
    ("sret", VTSR, "I - - V V"),
    # norm:mstatus_tw_op, norm:H_virtinst_vu_wfi_tw0, norm:H_virtinst_wfi_vtw1_tw0
    ("wfi", {}, "I - - V -"),
    ("wfi", TW, "I I - I I"),
    ("wfi", VTW, "I - - V V"),
    ("wfi", TW | VTW, "I I - I I"),
    # norm:H_virtinst_vs_sfence_sinval_satp_vtvm1
    ("sfence.vma", {}, "I - - V -"),
    ("sfence.vma", TVM, "I I - V -"),
    ("sfence.vma", VTVM, "I - - V V"),
    ("sinval.vma", {}, "I - - V -"),
    ("sinval.vma", TVM, "I I - V -"),
    ("sinval.vma", VTVM, "I - - V V"),
    # norm:Svinval_sfence_w_inval_inval_s_vs_mode
    ("sfence.w.inval", TVM | VTVM, "I - - V -"),
    ("sfence.inval.ir", TVM | VTVM, "I - - V -"),
    # norm:H_virtinst_vu_vs_hinst, norm:Svinval_illegal_instruction_tvm
    ("hfence.vvma", {}, "I - - V V"),
    ("hfence.vvma", TVM, "I - - V V"),
    ("hfence.gvma", {}, "I - - V V"),
    ("hfence.gvma", TVM, "I I - V V"),
    ("hinval.vvma", TVM, "I - - V V"),
    ("hinval.gvma", {}, "I - - V V"),
    ("hinval.gvma", TVM, "I I - V V"),
    # norm:hlsv_virtinst, norm:hlsv_illegalinst
    ("hlv.d", {}, "I - - V V"),
    ("hlv.d", HU, "- - - V V"),
    ("hlvx.wu", {}, "I - - V V"),
    ("hlvx.wu", HU, "- - - V V"),
    ("hsv.b", {}, "I - - V V"),
    ("hsv.b", HU, "- - - V V"),
]

# The same for cache blocks: which of menvcfg, senvcfg and henvcfg enable it.
ENABLES: dict[str, Field] = {
    "cbo.inval": MENVCFG.CBIE,
    "cbo.clean": MENVCFG.CBCFE,
    "cbo.flush": MENVCFG.CBCFE,
    "cbo.zero": MENVCFG.CBZE,
}
BLOCK_RULES = [
    ("", "I I - I I"),
    ("m", "I - - V V"),
    ("s h", "I I - I I"),
    ("m s", "- - - V V"),
    ("m h", "I - - V -"),
    ("m s h", "- - - - -"),
]


def name_rule(value: object) -> str | None:
    return None if not isinstance(value, dict) else "+".join(value) or "plain"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "csrs", "raised"), RULES, ids=name_rule)
def test_modes(name: str, csrs: dict[str, int], raised: str, mode: str) -> None:
    letter = dict(zip(MODES, raised.split(), strict=True))[mode]
    h = in_mode(mode, **csrs)
    operands = {"rs1": 11} if name.startswith(("hlv", "hsv")) else {}
    assert outcome(h, name, **operands) == WANTED[letter]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("enabled", "raised"), BLOCK_RULES)
@pytest.mark.parametrize("name", ENABLES)
def test_cache_blocks(name: str, enabled: str, raised: str, mode: str) -> None:
    bits = ENABLES[name].mask
    h = in_mode(mode, **{f"{letter}envcfg": bits for letter in enabled.split()})
    letter = dict(zip(MODES, raised.split(), strict=True))[mode]
    assert outcome(h, name, rs1=11) == WANTED[letter]


def test_cache_blocks_without_s_mode() -> None:
    h = LoneHart(parse_isa("rv64i_zicboz", "mu"))
    h.menvcfg = MENVCFG.CBZE.mask
    set_privilege(h, 0, 0)
    assert outcome(h, "cbo.zero", rs1=11) is None


def test_cbo_zero_clears_the_block_that_the_address_lies_in() -> None:
    h = LoneHart()
    h.ram.write(BASE, b"\xff" * 256)
    h.x[11] = BASE + 64 + 17
    h.do("cbo.zero", rs1=11)
    assert h.ram.read(BASE, 256) == b"\xff" * 64 + bytes(64) + b"\xff" * 128
    for name in ("cbo.clean", "cbo.flush", "cbo.inval"):
        h.do(name, rs1=11)
    assert h.ram.read(BASE, 256) == b"\xff" * 64 + bytes(64) + b"\xff" * 128


@pytest.mark.parametrize("name", ["cbo.zero", "cbo.clean"])
def test_faults_of_cache_blocks_name_the_address_and_are_a_stores(name: str) -> None:
    h = LoneHart()
    h.x[11] = 0x1234
    with pytest.raises(Trap):
        h.do(name, rs1=11)
    assert (h.trap_cause, h.trap_value) == (Cause.STORE_ACCESS_FAULT, 0x1234)


@pytest.mark.parametrize(
    ("mode", "cause"),
    [
        ("U", Cause.ECALL_FROM_U),
        ("VU", Cause.ECALL_FROM_U),
        ("S", Cause.ECALL_FROM_S),
        ("VS", Cause.ECALL_FROM_VS),
        ("M", Cause.ECALL_FROM_M),
    ],
)
def test_ecall(mode: str, cause: Cause) -> None:
    h = in_mode(mode)
    assert outcome(h, "ecall") == cause
    assert h.trap_value == 0


def test_ebreak() -> None:
    h = LoneHart()
    assert outcome(h, "ebreak") == Cause.BREAKPOINT
    assert h.trap_value == CODE
    with pytest.raises(Trap):
        h.execute(0x9002)  # c.ebreak
    assert h.trap_cause == Cause.BREAKPOINT


@pytest.mark.parametrize(("raw", "value"), [(0xFFFF_FFFF, 0xFFFF_FFFF), (0xDEAD_0000, 0)])
def test_an_illegal_instruction_s_bits_are_its_xtval(raw: int, value: int) -> None:
    h = LoneHart()
    with pytest.raises(Trap):
        h.execute(raw if raw & 3 == 3 else raw & 0xFFFF)
    assert (h.trap_cause, h.trap_value) == (ILLEGAL, value)


@pytest.mark.parametrize(
    ("reserved", "pending", "csrs", "raised"),
    [
        # norm:Zawrs_priv_illegal_instr_excp, norm:Zawrs_virtual_instr_excp
        (8, 0, {}, "- - - - -"),
        (8, 0, TW, "I I - I I"),
        (8, 0, VTW, "- - - V V"),
        (8, 0, TW | VTW, "I I - I I"),
        (0, 0, TW, "- - - - -"),
        (8, 2, TW, "- - - - -"),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_wrs_nto(reserved: int, pending: int, csrs: dict[str, int], raised: str, mode: str) -> None:
    h = in_mode(mode, **csrs)
    h.reservation_size = reserved
    h.mip = h.mie = pending
    letter = dict(zip(MODES, raised.split(), strict=True))[mode]
    assert outcome(h, "wrs.nto") == WANTED[letter]


def test_without_s_mode_there_is_no_sret() -> None:
    h = LoneHart(parse_isa("rv64ima", "mu"))
    assert outcome(h, "sret") == ILLEGAL
    assert outcome(h, "sfence.vma") == ILLEGAL
    set_privilege(h, 0, 0)
    assert outcome(h, "wfi") is None  # U-mode may wait where there is no S-mode


def test_without_h_there_are_no_hypervisor_instructions() -> None:
    h = LoneHart(parse_isa("rv64imafdc_svinval"))
    assert h.extensions & EVERYTHING == h.extensions
    for name in ("hlv.w", "hlvx.hu", "hsv.d", "hfence.vvma", "hfence.gvma", "hinval.vvma"):
        assert outcome(h, name) == ILLEGAL
