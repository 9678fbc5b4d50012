"""Encoding strings: what they mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.isa.encoding import parse

BRANCH = parse("imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011")


def test_fixed_bits() -> None:
    assert (BRANCH.mask, BRANCH.match, BRANCH.length) == (0x707F, 0x63, 4)


def test_wildcards_are_not_fixed() -> None:
    encoding = parse("001 - 00000 ----- 01")
    assert (encoding.mask, encoding.match, encoding.length) == (0xEF83, 0x2001, 2)


def test_pieces_of_an_immediate() -> None:
    # beq t0, t1, .-4
    assert BRANCH.encode(rs1=5, rs2=6, imm=-4) == 0xFE628EE3


@given(st.integers(-2048, 2047).map(lambda n: 2 * n))
def test_an_immediate_comes_back(imm: int) -> None:
    operand = BRANCH.operand("imm")
    assert operand is not None
    assert operand.extract(BRANCH.encode(imm=imm)) == imm


@pytest.mark.parametrize("imm", [-4098, 4096, 3])
def test_an_immediate_that_does_not_fit(imm: int) -> None:
    with pytest.raises(ValueError, match="imm can't be"):
        BRANCH.encode(imm=imm)


def test_unsigned_immediate() -> None:
    operand = parse("000000 shamt[5:0] rs1 001 rd 0010011").operand("shamt")
    assert operand is not None
    assert operand.extract(63 << 20) == 63


def test_compressed_registers_start_at_x8() -> None:
    encoding = parse("100 0 11 rd'/rs1' 00 rs2' 01")
    assert encoding.encode(rd=9, rs1=9, rs2=15) == 0x8C9D
    with pytest.raises(ValueError, match="rs2 can't be 7"):
        encoding.encode(rs2=7)


def test_one_field_for_two_operands() -> None:
    encoding = parse("000 shamt[5] rd/rs1 shamt[4:0] 10")
    found = {o.name: o.extract(0x02AA) for o in encoding.operands}
    assert found == {"rd": 5, "rs1": 5, "shamt": 10}


def test_an_operand_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no such operand: csr"):
        BRANCH.encode(csr=1)


@pytest.mark.parametrize("text", ["000 rd 01", "0000000 rs2 rs1 000 rd 011001?", "rs1 " * 8])
def test_bad_encodings(text: str) -> None:
    with pytest.raises(ValueError, match="in the encoding"):
        parse(text)
