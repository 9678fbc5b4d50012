"""CSR instructions: what is read, what is written, and when neither happens."""

import pytest

from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import MIP
from rvemu.hart.privilege import set_privilege
from rvemu.lang import M64, Trap
from tests.isa.lone_hart import LoneHart

MSCRATCH = BY_NAME["mscratch"].number
MVENDORID = BY_NAME["mvendorid"].number  # read-only


@pytest.fixture
def hart() -> LoneHart:
    h = LoneHart()
    h.mscratch = 0b1100
    h.x[10], h.x[11] = 77, 0b1010
    return h


@pytest.mark.parametrize(
    ("name", "operands", "written"),
    [
        ("csrrw", {"rs1": 11}, 0b1010),
        ("csrrs", {"rs1": 11}, 0b1110),
        ("csrrc", {"rs1": 11}, 0b0100),
        ("csrrw", {"rs1": 0}, 0),
        ("csrrs", {"rs1": 0}, 0b1100),
        ("csrrc", {"rs1": 0}, 0b1100),
        ("csrrwi", {"zimm": 0b10001}, 0b10001),
        ("csrrsi", {"zimm": 0b10001}, 0b11101),
        ("csrrci", {"zimm": 0b00101}, 0b1000),
        ("csrrwi", {"zimm": 0}, 0),
        ("csrrsi", {"zimm": 0}, 0b1100),
        ("csrrci", {"zimm": 0}, 0b1100),
    ],
)
def test_old_and_new_values(
    hart: LoneHart, name: str, operands: dict[str, int], written: int
) -> None:
    hart.do(name, csr=MSCRATCH, rd=10, **operands)
    assert (hart.x[10], hart.mscratch) == (0b1100, written)


@pytest.mark.parametrize("name", ["csrrw", "csrrs", "csrrc"])
def test_one_register_for_both(hart: LoneHart, name: str) -> None:
    hart.do(name, csr=MSCRATCH, rd=11, rs1=11)
    assert hart.x[11] == 0b1100
    assert hart.mscratch == {"csrrw": 0b1010, "csrrs": 0b1110, "csrrc": 0b0100}[name]


def test_all_64_bits(hart: LoneHart) -> None:
    hart.mscratch, hart.x[11] = M64, 1 << 63 | 1
    hart.do("csrrc", csr=MSCRATCH, rd=10, rs1=11)
    assert (hart.x[10], hart.mscratch) == (M64, M64 - (1 << 63) - 1)


@pytest.mark.parametrize(
    ("name", "operands", "allowed"),
    [
        ("csrrs", {"rs1": 0}, True),
        ("csrrc", {"rs1": 0}, True),
        ("csrrsi", {"zimm": 0}, True),
        ("csrrci", {"zimm": 0}, True),
        ("csrrw", {"rs1": 0}, False),
        ("csrrwi", {"zimm": 0}, False),
        ("csrrs", {"rs1": 11}, False),  # even where no bit would change
        ("csrrci", {"zimm": 1}, False),
    ],
)
@pytest.mark.parametrize("rd", [0, 10])
def test_writes_of_read_only_csrs(
    hart: LoneHart, name: str, operands: dict[str, int], allowed: bool, rd: int
) -> None:
    if allowed:
        hart.do(name, csr=MVENDORID, rd=rd, **operands)
        assert hart.x[10] == (0 if rd else 77)
    else:
        with pytest.raises(Trap):
            hart.do(name, csr=MVENDORID, rd=rd, **operands)
        assert hart.trap_cause == Cause.ILLEGAL_INSTRUCTION
        assert hart.x[10] == 77


def test_there_is_no_such_csr(hart: LoneHart) -> None:
    with pytest.raises(Trap):
        hart.do("csrrs", csr=0x123, rd=10)
    assert (hart.trap_cause, hart.trap_value) == (Cause.ILLEGAL_INSTRUCTION, hart.insn)


@pytest.mark.parametrize(
    ("csr", "name", "cause"),
    [
        # norm:H_cause_virtual_instruction: if HS-mode may do the same.
        ("hstatus", "csrrw", Cause.VIRTUAL_INSTRUCTION),
        ("vsscratch", "csrrs", Cause.VIRTUAL_INSTRUCTION),
        ("mscratch", "csrrw", Cause.ILLEGAL_INSTRUCTION),
        ("hgeip", "csrrw", Cause.ILLEGAL_INSTRUCTION),  # it may read that, but not write it
        ("hgeip", "csrrs", Cause.ILLEGAL_INSTRUCTION),
    ],
)
@pytest.mark.parametrize("rd", [0, 10])
def test_in_a_guest(hart: LoneHart, csr: str, name: str, cause: Cause, rd: int) -> None:
    set_privilege(hart, 1, 1)
    with pytest.raises(Trap):
        hart.do(name, csr=BY_NAME[csr].number, rd=rd, rs1=11)
    assert hart.trap_cause == cause


def test_reading_what_may_only_be_read_in_a_guest(hart: LoneHart) -> None:
    set_privilege(hart, 1, 1)
    with pytest.raises(Trap):
        hart.do("csrrs", csr=BY_NAME["hgeip"].number, rd=10)
    assert hart.trap_cause == Cause.VIRTUAL_INSTRUCTION


def test_a_device_s_seip_is_not_written_back(hart: LoneHart) -> None:
    # norm:mip_seip_wrcsr: the value written comes from software's bit alone.
    hart.interrupt_lines = MIP.SEIP.mask
    hart.x[11] = MIP.SSIP.mask
    hart.do("csrrs", csr=BY_NAME["mip"].number, rd=10, rs1=11)
    assert hart.x[10] & MIP.SEIP.mask
    assert hart.mip & (MIP.SEIP.mask | MIP.SSIP.mask) == MIP.SSIP.mask
