"""The disassembler: an instruction's bits as the text that GNU objdump prints."""

import re
from collections.abc import Callable
from typing import Protocol

from rvemu.hart.csr_view import name_of
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.aliases import ALIASES, Alias
from rvemu.isa.compressed import COMPRESSED
from rvemu.isa.decoder import Row, row_of

_ROUNDING_MODES = ("rne", "rtz", "rdn", "rup", "rmm", "unknown", "unknown", "dyn")
_DYNAMIC = 7

ALL_EXTENSIONS = (1 << 64) - 1


class Symbols(Protocol):
    """What knows names of addresses: `rvemu.symbols.SymbolTable`."""

    def lookup(self, address: int) -> tuple[str, int] | None:
        """The name at or below an address, and the distance from it in bytes."""
        ...


def disassemble(
    raw: int,
    pc: int | None = None,
    symbols: Symbols | None = None,
    extensions: int = ALL_EXTENSIONS,
    aliases: bool = True,
) -> str:
    """An instruction as text, as in `addi sp,sp,-16`.

    pc: its address; without it, targets are shown as distances. symbols: names for targets.
    extensions: bits of `h.extensions`; what is not among them is not an instruction.
    aliases: use pseudoinstructions (`ret`, `li`) and the names of base instructions; otherwise
    compressed instructions keep their own (`c.addi`).
    """
    row = row_of(raw, extensions)
    if row is None and raw & 0xFFFF == 0:
        return "unimp" if aliases else "c.unimp"
    if row is None:
        return f".insn 4,0x{raw:08x}" if raw & 3 == 3 else f".insn 2,0x{raw & 0xFFFF:04x}"
    values = {operand.name: operand.extract(raw) for operand in row.encoding.operands}
    name, syntax = _notation(row, values, aliases)
    if values.get("aq") or values.get("rl"):
        name += "." + "aq" * values["aq"] + "rl" * values["rl"]

    def written(match: re.Match[str]) -> str:
        operand = match[0]
        if operand == "target":
            return _target(values["imm"], pc, symbols)
        if operand not in values:
            return operand  # a fixed part of the syntax
        return _SHOW.get((row.name, operand), _SHOW_ANY.get(operand, str))(values[operand])

    text = re.sub(r"[a-z]+\d?", written, syntax.replace(" ", "")).removesuffix(",")
    return f"{name} {text}" if text else name


# --- Names -------------------------------------------------------------------------------------

_COMPRESSED = {row.name: row for row in COMPRESSED}
_ALIASES: dict[str, list[Alias]] = {}
for _alias in ALIASES:
    _ALIASES.setdefault(_alias.instruction, []).append(_alias)


def _notation(row: Row, values: dict[str, int], aliases: bool) -> tuple[str, str]:
    """The name and syntax to use. Completes `values` with what a compressed instruction implies,
    under the names of the base instruction."""
    base = INSTRUCTIONS[row.index]
    compressed = _COMPRESSED.get(row.name)
    if compressed is not None:
        if not aliases:
            return compressed.name, compressed.syntax
        values.update(compressed.implied)
        if "uimm" in values:
            values["imm"] = values["uimm"]
    # A compressed HINT is not what its base instruction's aliases say, unless they are about x0.
    is_hint = compressed is not None and (
        values.get("rd") == 0
        or values.get("shamt") == 0
        or (row.name == "c.addi" and values["imm"] == 0)
    )
    if aliases:
        for alias in (*_ALIASES.get(row.name, ()), *_ALIASES.get(base.name, ())):
            fits = all(values[k] == values.get(str(v), v) for k, v in alias.where.items())
            if fits and (not is_hint or "rd" in alias.where):
                return alias.name, alias.syntax
    if compressed is not None and is_hint:
        return compressed.name, compressed.syntax
    return base.name, base.syntax


# --- Operands ----------------------------------------------------------------------------------


def _rounding_mode(rm: int) -> str:
    return "" if rm == _DYNAMIC else _ROUNDING_MODES[rm]


def _rounding_mode_of_exact(rm: int) -> str:
    """Of a conversion that is always exact: assemblers write 0."""
    return "" if rm == 0 else _ROUNDING_MODES[rm]


def _fence_set(bits: int) -> str:
    return "".join(letter for i, letter in enumerate("iorw") if bits & (8 >> i)) or "unknown"


def _upper(imm: int) -> str:
    return hex((imm >> 12) & 0xFFFFF)


def _integer_register(number: int) -> str:
    return INTEGER_REGISTERS[number]


def _float_register(number: int) -> str:
    return FLOAT_REGISTERS[number]


# How operands are shown, if not in decimal.
_SHOW_ANY: dict[str, Callable[[int], str]] = {
    **dict.fromkeys(("rd", "rs1", "rs2", "rs3"), _integer_register),
    **dict.fromkeys(("fd", "fs1", "fs2", "fs3"), _float_register),
    "shamt": hex,
    "csr": name_of,
    "rm": _rounding_mode,
    "pred": _fence_set,
    "succ": _fence_set,
}
_EXACT = ("fcvt.d.w", "fcvt.d.wu", "fcvt.d.s", "fcvt.d.h", "fcvt.s.h")
_SHOW: dict[tuple[str, str], Callable[[int], str]] = {
    **{(name, "rm"): _rounding_mode_of_exact for name in _EXACT},
    ("lui", "imm"): _upper,
    ("auipc", "imm"): _upper,
    ("c.lui", "imm"): _upper,
}


def _target(offset: int, pc: int | None, symbols: Symbols | None) -> str:
    if pc is None:
        return f"{offset:+d}"
    address = (pc + offset) & ((1 << 64) - 1)
    text = f"{address:x}"
    found = symbols.lookup(address) if symbols else None
    if found:
        name, distance = found
        text += f" <{name}+{distance:#x}>" if distance else f" <{name}>"
    return text
