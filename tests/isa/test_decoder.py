"""The decoder: every encoding is found, with its operands, where its extensions are on, and nothing
else is."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.hart.extensions import BY_NAME as EXTENSIONS
from rvemu.hart.extensions import parse_isa
from rvemu.isa import ILLEGAL, INSTRUCTIONS
from rvemu.isa.compressed import COMPRESSED
from rvemu.isa.decoder import ROWS, Row, decode, row_of
from rvemu.lang import X0_SINK
from tests.isa.lone_hart import BY_NAME, EVERYTHING, LoneHart, operands_in


@pytest.fixture(scope="module")
def hart() -> LoneHart:
    return LoneHart()


def name_of(h: LoneHart, raw: int) -> str:
    return INSTRUCTIONS[decode(h, raw)].name


def samples(row: Row, count: int = 30) -> list[int]:
    """Instructions of a row, that are not of a more specific one."""
    chosen = random.Random(row.name)
    bits = 8 * row.encoding.length
    found = [
        row.encoding.match | (raw & ~row.encoding.mask)
        for raw in [0, (1 << bits) - 1, *(chosen.getrandbits(bits) for _ in range(count))]
    ]
    return [raw for raw in found if row_of(raw, EVERYTHING) == row]


def test_the_index_of_what_is_no_instruction() -> None:
    assert INSTRUCTIONS[ILLEGAL].name == "illegal"


def test_names_are_unique() -> None:
    assert len(BY_NAME) == len(INSTRUCTIONS)
    assert len({row.name for row in ROWS if row.name != "reserved"}) == sum(
        row.name != "reserved" for row in ROWS
    )


def test_which_of_two_overlapping_rows_holds_is_never_left_to_their_order() -> None:
    for i, a in enumerate(ROWS):
        for b in ROWS[:i]:
            if a.encoding.length != b.encoding.length:
                continue
            common = a.encoding.mask & b.encoding.mask
            if (a.encoding.match ^ b.encoding.match) & common == 0:
                fixed = [row.encoding.mask.bit_count() for row in (a, b)]
                assert fixed[0] != fixed[1], (a.name, b.name)
                # One is a special case of the other, or it says what is reserved in it.
                special = a if fixed[0] > fixed[1] else b
                assert common in (a.encoding.mask, b.encoding.mask) or special.index == ILLEGAL


@pytest.mark.parametrize("row", [row for row in ROWS if row.index != ILLEGAL], ids=lambda r: r.name)
def test_each_row_decodes_to_itself(hart: LoneHart, row: Row) -> None:
    instruction = INSTRUCTIONS[row.index]
    compressed = next((c for c in COMPRESSED if c.name == row.name), None)
    implied = compressed.implied if compressed else {}
    found = samples(row)
    assert found
    for raw in found:
        assert decode(hart, raw) == row.index, f"{raw:#x}"
        assert hart.insn_length == row.encoding.length
        code = instruction.function.__code__
        wanted = []
        for name in code.co_varnames[1 : code.co_argcount]:
            operand = row.encoding.operand(name) or row.encoding.operand("uimm")
            value = implied[name] if name in implied else operand.extract(raw) if operand else None
            wanted.append(X0_SINK if (name, value) == ("rd", 0) else value)
        assert operands_in(hart, instruction) == wanted, f"{raw:#x}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.index != ILLEGAL], ids=lambda r: r.name)
def test_without_any_of_its_extensions_it_is_not_this_instruction(row: Row) -> None:
    hart = LoneHart()
    for bit in EXTENSIONS.values():
        if row.needs & bit:
            hart.extensions = EVERYTHING & ~bit
            for raw in samples(row, 5):
                # A HINT is then what it is a special case of.
                assert decode(hart, raw) != row.index, f"{raw:#x}"


def test_an_extension_that_is_off_makes_its_instructions_illegal() -> None:
    hart = LoneHart(parse_isa("rv64i"))
    for name in ("mul", "amoadd.w", "lr.d", "fadd.s", "fld", "csrrw", "fence.i", "sh1add", "clz"):
        assert decode(hart, BY_NAME[name].match) == ILLEGAL, name
    for name in ("clmul", "bset", "czero.eqz", "cbo.zero", "wrs.nto", "hlv.d", "sinval.vma"):
        assert decode(hart, BY_NAME[name].match) == ILLEGAL, name
    assert decode(hart, 0x4501) == ILLEGAL  # c.li a0, 0
    assert name_of(hart, BY_NAME["add"].match) == "add"


def test_hints_are_what_they_are_special_cases_of_where_they_are_off() -> None:
    hart = LoneHart(parse_isa("rv64i"))
    assert name_of(hart, 0x0100000F) == "fence"  # pause
    assert name_of(hart, 0x0205E013) == "ori"  # prefetch.i 32(a1)
    assert name_of(LoneHart(), 0x0100000F) == "pause"
    assert name_of(LoneHart(), 0x0205E013) == "prefetch.i"


def test_multiplication_alone() -> None:
    hart = LoneHart(parse_isa("rv64i_zmmul"))
    assert name_of(hart, BY_NAME["mulh"].match) == "mulh"
    assert decode(hart, BY_NAME["div"].match) == ILLEGAL


def test_loads_of_doubles_need_c_and_d() -> None:
    hart = LoneHart(parse_isa("rv64imfc"))
    assert decode(hart, 0x2000) == ILLEGAL  # c.fld fs0, 0(s0)
    assert name_of(hart, 0x4000) == "lw"
    assert name_of(LoneHart(), 0x2000) == "fld"


def test_integer_destination_x0_is_renamed(hart: LoneHart) -> None:
    decode(hart, BY_NAME["addi"].encoding.encode(rd=0, rs1=1))
    assert hart.decoded_rd == X0_SINK
    decode(hart, BY_NAME["fadd.d"].encoding.encode(fd=0, fs1=1))
    assert hart.decoded_rd == 0
    decode(hart, 0xA001)  # c.j .
    assert (hart.decoded_rd, hart.decoded_imm) == (X0_SINK, 0)


@pytest.mark.parametrize(
    "raw",
    [
        0x0000,  # defined to be illegal
        0x0004,  # c.addi4spn of 0
        0x8000,  # quadrant 0, funct3 4
        0x2001 | 5 << 2,  # c.addiw with rd = x0
        0x6081,  # c.lui of 0
        0x6101,  # c.addi16sp of 0
        0x9C41,  # quadrant 1, funct3 4, after c.addw
        0x9C61,
        0x4002,  # c.lwsp with rd = x0
        0x6002,  # c.ldsp with rd = x0
        0x8002,  # c.jr with rs1 = x0
    ],
)
def test_reserved_compressed_encodings(hart: LoneHart, raw: int) -> None:
    assert decode(hart, raw) == ILLEGAL
    assert hart.insn_length == 2


@pytest.mark.parametrize(
    "raw",
    [
        0xFFFFFFFF,
        0x0000001F,  # the start of a longer encoding
        0x00002063,  # branch, funct3 2
        0x00007003,  # load, funct3 7
        0x00004023,  # store, funct3 4
        0x40001033,  # sll with funct7 0x20
        0x0000403B,  # op-32, funct3 4
        0x02001013 | 1 << 31,  # slli with bit 31
        0x0200101B,  # slliw with shamt[5]
        0x00001067,  # jalr, funct3 1
        0x00004073,  # system, funct3 4, without H
        0x30200073 | 1 << 7,  # mret with rd
        0x10500073 | 1 << 15,  # wfi with rs1
        0x10200073 | 1 << 20,  # no such system instruction
        0x1000202F | 1 << 20,  # lr.w with rs2
        0x0000102F,  # amo, funct3 1
        0x00002043 | 3 << 25,  # fmadd of quads
        0x06000053,  # fadd.q
    ],
)
def test_reserved_encodings(hart: LoneHart, raw: int) -> None:
    assert decode(hart, raw) == ILLEGAL, hex(raw)
    assert hart.insn_length == 4


def test_every_compressed_encoding_is_found_as_the_rows_say(hart: LoneHart) -> None:
    """Search all rows, without buckets, for each of the 49,152 encodings."""
    rows = sorted(
        (row for row in ROWS if row.encoding.length == 2),
        key=lambda row: -row.encoding.mask.bit_count(),
    )
    for raw in range(1 << 16):
        if raw & 3 == 3:
            continue
        wanted = next((r.index for r in rows if raw & r.encoding.mask == r.encoding.match), ILLEGAL)
        assert decode(hart, raw) == wanted, hex(raw)


@given(st.integers(0, (1 << 32) - 1))
def test_any_word(raw: int) -> None:
    hart = LoneHart()
    row = row_of(raw, EVERYTHING)
    assert decode(hart, raw) == (row.index if row else ILLEGAL)
    if row:
        bits = raw & 0xFFFF if hart.insn_length == 2 else raw
        assert bits & row.encoding.mask == row.encoding.match


def test_the_upper_half_after_a_compressed_instruction_is_ignored(hart: LoneHart) -> None:
    assert name_of(hart, 0xDEAD_4501) == "addi"
