"""The decoder: from an instruction's bits to its index in INSTRUCTIONS and its operands.

It is a model function over constant tables, which are made here from the encodings. A *row* is an
encoding, 32-bit or compressed. Rows are in buckets, by the bits that tell most of them apart. Of
the rows that match, and whose extensions are on, that with the most fixed bits holds: so `pause`
is found before `fence`, and where it is not implemented it is a `fence`.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated

from rvemu.hart.state import Hart
from rvemu.isa import ILLEGAL, INSTRUCTIONS
from rvemu.isa.compressed import COMPRESSED, Compressed
from rvemu.isa.encoding import Encoding, Instruction, Operand, Piece
from rvemu.lang import U5, U16, U32, U64, X0_SINK, Range, Static, Switch, i32, inline, sext

# --- Layouts: where operands are ---------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where one operand comes from: pieces of the instruction, plus a constant."""

    pieces: tuple[Piece, ...] = ()
    constant: int = 0
    signed: bool = False

    @property
    def bits(self) -> int:
        """The width of what the pieces make."""
        return max(piece.to + piece.width for piece in self.pieces)


@dataclass(frozen=True)
class Layout:
    """Where all operands come from. Many encodings share one."""

    rd: Source = Source()
    rs1: Source = Source()
    rs2: Source = Source()
    rs3: Source = Source()
    imm: Source = Source()
    integer: bool = False  # rd is an integer register: x0 is renamed


# --- Rows --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """An encoding, and the instruction that it is."""

    name: str
    encoding: Encoding
    needs: int
    index: int
    layout: Layout = field(default=Layout())


def _layout(
    encoding: Encoding, target: tuple[Operand, ...], implied: dict[str, int], name: str
) -> Layout:
    """The layout of an encoding, for an instruction with the operands `target`."""
    sources = {
        operand.place: Source(operand.pieces, operand.base, operand.signed)
        for operand in encoding.operands
        if operand.place
    }
    for operand in target:
        if operand.place and operand.name in implied:
            sources[operand.place] = Source(constant=implied[operand.name])
        elif operand.place and operand.place not in sources:
            raise ValueError(f"{name} has no {operand.name}")
    names = {operand.name for operand in target}
    return Layout(
        **{place: source for place, source in sources.items() if place}, integer="rd" in names
    )


def _base_row(index: int, base: Instruction) -> Row:
    layout = _layout(base.encoding, base.operands, {}, base.name)
    return Row(base.name, base.encoding, base.needs, index, layout)


def _compressed_row(row: Compressed) -> Row:
    base = row.instruction
    if base is None:
        return Row(row.name, row.encoding, row.needs, ILLEGAL)
    index = INSTRUCTIONS.index(base)
    layout = _layout(row.encoding, base.operands, row.implied, row.name)
    return Row(row.name, row.encoding, row.needs | base.needs, index, layout)


ROWS: tuple[Row, ...] = (
    *(_base_row(index, base) for index, base in enumerate(INSTRUCTIONS) if index != ILLEGAL),
    *(_compressed_row(row) for row in COMPRESSED),
)

# --- Buckets -----------------------------------------------------------------------------------
# 32-bit: opcode[6:2] and funct3. Compressed: quadrant and funct3, after those.

_COMPRESSED_BUCKETS = 32 * 8
_BUCKET_COUNT = _COMPRESSED_BUCKETS + 4 * 8
Bucket = Annotated[int, Range(0, _BUCKET_COUNT - 1)]


def bucket_of(raw: U32) -> Bucket:
    """The bucket of an instruction's bits."""
    if raw & 3 == 3:
        return ((raw >> 2) & 31) << 3 | ((raw >> 12) & 7)
    return _COMPRESSED_BUCKETS + ((raw & 3) << 3 | ((raw >> 13) & 7))


def _bucket_pattern(bucket: int) -> tuple[int, int, int]:
    """The length, mask and match of all instructions of a bucket."""
    if bucket < _COMPRESSED_BUCKETS:
        return 4, 7 << 12 | 0x7F, (bucket & 7) << 12 | (bucket >> 3) << 2 | 3
    return 2, 7 << 13 | 3, (bucket & 7) << 13 | (bucket - _COMPRESSED_BUCKETS) >> 3


def _rows_of(bucket: int) -> list[int]:
    """The rows that an instruction of this bucket may be, the most specific first."""
    length, mask, match = _bucket_pattern(bucket)
    found = [
        number
        for number, row in enumerate(ROWS)
        if row.encoding.length == length
        and (row.encoding.match ^ match) & row.encoding.mask & mask == 0
    ]
    return sorted(found, key=lambda number: -ROWS[number].encoding.mask.bit_count())


_BUCKETS = [_rows_of(bucket) for bucket in range(_BUCKET_COUNT)]
_LAYOUTS = list(dict.fromkeys(row.layout for row in ROWS))

# The rows of bucket b are CANDIDATES[START[b]:START[b + 1]].
START: tuple[int, ...] = tuple(
    sum(len(rows) for rows in _BUCKETS[:bucket]) for bucket in range(_BUCKET_COUNT + 1)
)
CANDIDATES: tuple[int, ...] = tuple(number for rows in _BUCKETS for number in rows)

MASK: tuple[int, ...] = tuple(row.encoding.mask for row in ROWS)
MATCH: tuple[int, ...] = tuple(row.encoding.match for row in ROWS)
NEEDS: tuple[int, ...] = tuple(row.needs for row in ROWS)
INDEX: tuple[int, ...] = tuple(row.index for row in ROWS)
LAYOUT: tuple[int, ...] = tuple(_LAYOUTS.index(row.layout) for row in ROWS)

# --- The model ---------------------------------------------------------------------------------


@inline
def _pieces(source: Static[Source], raw: U32) -> U64:
    value: U64 = 0
    for piece in source.pieces:
        value = value | (((raw >> piece.at) & ((1 << piece.width) - 1)) << piece.to)
    return value


@inline
def _register(source: Static[Source], raw: U32) -> U5:
    return ((_pieces(source, raw) & 31) + source.constant) & 31


def _extract(layout: Static[Layout], h: Hart, raw: U32) -> None:
    """Write the operands to the hart; those that there are not, as 0."""
    rd = _register(layout.rd, raw)
    if layout.integer and rd == 0:
        h.decoded_rd = X0_SINK
    else:
        h.decoded_rd = rd
    h.decoded_rs1 = _register(layout.rs1, raw)
    h.decoded_rs2 = _register(layout.rs2, raw)
    h.decoded_rs3 = _register(layout.rs3, raw)
    if layout.imm.signed:
        h.decoded_imm = i32(sext(_pieces(layout.imm, raw), layout.imm.bits))
    else:
        h.decoded_imm = i32(_pieces(layout.imm, raw) + layout.imm.constant)


_NOTHING = Layout()


def _no_operands(h: Hart, raw: U32) -> None:
    _extract(_NOTHING, h, raw)


_EXTRACT = Switch(
    {number: partial(_extract, layout) for number, layout in enumerate(_LAYOUTS)}, _no_operands
)


def _find(h: Hart, raw: U32, bucket: Bucket) -> U16:
    for candidate in range(START[bucket], START[bucket + 1]):
        row = CANDIDATES[candidate]
        if raw & MASK[row] == MATCH[row] and h.extensions & NEEDS[row] == NEEDS[row]:
            _EXTRACT(LAYOUT[row], h, raw)
            return INDEX[row]
    _no_operands(h, raw)
    return ILLEGAL


def decode(h: Hart, raw: U32) -> U16:
    """The index in INSTRUCTIONS of the instruction in `raw`, of which only the low half counts if
    that is a compressed one. Writes its operands and its length in bytes to the hart."""
    if raw & 3 == 3:
        h.insn_length = 4
        return _find(h, raw, bucket_of(raw))
    h.insn_length = 2
    return _find(h, raw & 0xFFFF, bucket_of(raw))


# --- For people --------------------------------------------------------------------------------


def row_of(raw: int, extensions: int) -> Row | None:
    """The row of an instruction's bits on a hart with these extensions: what `decode` finds."""
    if raw & 3 != 3:
        raw &= 0xFFFF
    for number in _BUCKETS[bucket_of(raw)]:
        row = ROWS[number]
        if raw & row.encoding.mask == row.encoding.match and extensions & row.needs == row.needs:
            return row if row.index != ILLEGAL else None
    return None
