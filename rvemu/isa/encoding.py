"""Encodings: what the string in `@instruction` says, as data.

An encoding is written as the manual's tables are, from the highest bit to bit 0:

    0000000 rs2 rs1 000 rd 0110011                 registers
    imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011   an immediate in pieces
    000 shamt[5] rd/rs1 shamt[4:0] 10              one field that is two operands
    010 uimm[5:3] rs1' uimm[2|6] rd' 00            registers x8-x15

- `rd rs1 rs2 rs3` are integer registers and `fd fs1 fs2 fs3` floating-point registers, 5 bits each,
  or 3 bits with a prime.
- `imm` is sign-extended from its highest bit, `uimm` and `shamt` are not. Their pieces are named in
  brackets.
- `csr` (12 bits), `rm` (3) and `zimm` (5, an immediate in the place of rs1) have no pieces.
- `aq rl` (1 bit each) and `fm pred succ` (4 each) are only shown, never decoded: a hart that
  executes one instruction at a time has nothing to order.
- `-` bits may be anything.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rvemu.hart.extensions import BY_NAME

# Where the decoder puts each operand: the hart's field `decoded_<place>`. An instruction has at
# most one operand for each place. The order is that of operands in assembly.
PLACES = {
    "rd": "rd",
    "fd": "rd",
    "csr": "imm",
    "rs1": "rs1",
    "fs1": "rs1",
    "zimm": "rs1",
    "rs2": "rs2",
    "fs2": "rs2",
    "rs3": "rs3",
    "fs3": "rs3",
    "imm": "imm",
    "uimm": "imm",
    "shamt": "imm",
    "rm": "imm",
}

_WIDTHS = {
    **dict.fromkeys(("rd", "rs1", "rs2", "rs3", "fd", "fs1", "fs2", "fs3", "zimm"), 5),
    **dict.fromkeys(("aq", "rl"), 1),
    **dict.fromkeys(("fm", "pred", "succ"), 4),
    "csr": 12,
    "rm": 3,
}

FLOAT_REGISTERS = frozenset(("fd", "fs1", "fs2", "fs3"))


@dataclass(frozen=True)
class Piece:
    """`width` bits, from bit `at` of the instruction, that go to bit `to` of the value."""

    at: int
    width: int
    to: int


@dataclass(frozen=True)
class Operand:
    """A named field of an encoding."""

    name: str
    pieces: tuple[Piece, ...]
    signed: bool = False
    base: int = 0  # added to the value: 8 for the registers of compressed instructions

    @property
    def place(self) -> str | None:
        """The hart's field `decoded_<place>` that takes the value; None if it is only shown."""
        return PLACES.get(self.name)

    @property
    def bits(self) -> int:
        """The value's width."""
        return max(piece.to + piece.width for piece in self.pieces)

    @property
    def mask(self) -> int:
        """The bits of the instruction that it is in."""
        mask = 0
        for piece in self.pieces:
            mask |= ((1 << piece.width) - 1) << piece.at
        return mask

    def extract(self, raw: int) -> int:
        """The operand's value in an instruction."""
        value = 0
        for piece in self.pieces:
            value |= ((raw >> piece.at) & ((1 << piece.width) - 1)) << piece.to
        if self.signed and value >> (self.bits - 1):
            value -= 1 << self.bits
        return value + self.base

    def insert(self, value: int) -> int:
        """The bits that an instruction has for a value, or a ValueError if it can't have it."""
        raw = 0
        for piece in self.pieces:
            raw |= (((value - self.base) >> piece.to) & ((1 << piece.width) - 1)) << piece.at
        if self.extract(raw) != value:
            raise ValueError(f"{self.name} can't be {value}")
        return raw


@dataclass(frozen=True)
class Encoding:
    """The fixed bits of an instruction (`raw & mask == match`) and its operands."""

    length: int  # bytes
    mask: int
    match: int
    operands: tuple[Operand, ...]

    def operand(self, name: str) -> Operand | None:
        """The operand of that name, if there is one."""
        return next((operand for operand in self.operands if operand.name == name), None)

    def encode(self, **values: int) -> int:
        """The instruction with these operands; those not given are 0 (x8 where that is first)."""
        raw = self.match
        for operand in self.operands:
            raw |= operand.insert(values.pop(operand.name, operand.base))
        if values:
            raise ValueError(f"no such operand: {', '.join(values)}")
        return raw


_TOKEN = re.compile(
    r"(?P<bits>[01-]+)|(?P<names>[a-z]+\d?'?(/[a-z]+\d?'?)?)(\[(?P<pieces>[0-9:|]+)\])?"
)


def _split(pieces: str) -> list[tuple[int, int]]:
    """`12|10:5` as (width, lowest bit of the value), highest piece of the instruction first."""
    result = []
    for piece in pieces.split("|"):
        high, _, low = piece.partition(":")
        lowest = int(low or high)
        result.append((int(high) - lowest + 1, lowest))
    return result


def parse(encoding: str) -> Encoding:
    """The encoding that a string says; 16 or 32 bits."""
    fixed: list[tuple[int, str]] = []  # (lowest bit, bits), counted from the end of the string
    found: dict[str, list[Piece]] = {}
    bases: dict[str, int] = {}
    at = 0
    for token in reversed(encoding.split()):
        matched = _TOKEN.fullmatch(token)
        if not matched:
            raise ValueError(f"{token!r} in the encoding {encoding!r}")
        if bits := matched["bits"]:
            fixed.append((at, bits))
            at += len(bits)
            continue
        names = matched["names"].split("/")
        if matched["pieces"]:
            split = _split(matched["pieces"])
        else:
            split = [(3 if names[0].endswith("'") else _WIDTHS[names[0]], 0)]
        for width, to in reversed(split):
            for name in names:
                plain = name.removesuffix("'")
                found.setdefault(plain, []).append(Piece(at, width, to))
                bases[plain] = 0 if name == plain else 8
            at += width
    if at not in (16, 32):
        raise ValueError(f"{at} bits in the encoding {encoding!r}")
    mask = match = 0
    for low, bits in fixed:
        mask |= int(bits.replace("0", "1").replace("-", "0"), 2) << low
        match |= int(bits.replace("-", "0"), 2) << low
    operands = tuple(
        Operand(name, tuple(reversed(pieces)), name == "imm", bases[name])
        for name, pieces in reversed(found.items())
    )
    return Encoding(at // 8, mask, match, operands)


def extension_bits(names: tuple[str, ...]) -> int:
    """The bits of `h.extensions` of some extensions."""
    bits = 0
    for name in names:
        bits |= BY_NAME[name]
    return bits


@dataclass(frozen=True)
class Instruction:
    """An instruction: its name in assembly, encoding, and the model function that executes it."""

    name: str
    encoding: Encoding
    extensions: tuple[str, ...]  # all of them must be implemented
    function: Callable[..., None]  # (h, operands...), its parameters named as the operands
    slow: bool  # has only the slow handler: see docs/model.md
    syntax: str  # of the operands in assembly

    @property
    def needs(self) -> int:
        """The bits of `h.extensions` that must all be on."""
        return extension_bits(self.extensions)

    @property
    def mask(self) -> int:
        """The bits that are fixed."""
        return self.encoding.mask

    @property
    def match(self) -> int:
        """The values of the fixed bits."""
        return self.encoding.match

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The operands, in the order of the encoding."""
        return self.encoding.operands


_F = TypeVar("_F", bound=Callable[..., None])


def instruction(
    name: str, encoding: str, *extensions: str, slow: bool = False, syntax: str | None = None
) -> Callable[[_F], _F]:
    """Make a function an instruction.

    `extensions` are names in `rvemu.hart.extensions`; all of them are needed. `syntax` says how the
    operands are written in assembly, as `rd, imm(rs1)`; without it they are listed in the usual
    order. In it, `target` is the address pc + imm. One function may be several instructions.
    """
    parsed = parse(encoding)
    names = {operand.name for operand in parsed.operands}
    if syntax is None:
        syntax = ", ".join(operand for operand in PLACES if operand in names)

    def mark(function: _F) -> _F:
        new = Instruction(name, parsed, extensions, function, slow, syntax)
        # Decorators apply from the last to the first.
        function.__dict__["instructions"] = (new, *function.__dict__.get("instructions", ()))
        return function

    return mark


def instructions_of(module: Any) -> tuple[Instruction, ...]:
    """The instructions that a module defines, in the order of its source."""
    found: list[Instruction] = []
    for function in vars(module).values():
        if getattr(function, "__module__", None) == module.__name__:
            found += getattr(function, "__dict__", {}).get("instructions", ())
    return tuple(found)
