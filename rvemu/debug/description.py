"""The target description: which registers there are, and what their bits mean.

Source: GDB manual, "Target Description Format" and "RISC-V Features". CSRs with fields are `flags`,
so that `info registers mstatus` prints them, and those that hold addresses are pointers, so that
their symbols are printed.
"""

from collections.abc import Iterator

from rvemu.debug import registers
from rvemu.hart.csr_row import Csr
from rvemu.hart.csr_table import CSRS
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import fields_of
from rvemu.hart.registers import FLOAT_REGISTERS, INTEGER_REGISTERS
from rvemu.hart.state import Hart
from rvemu.lang import Field

_POINTERS = {"ra": "code_ptr", "sp": "data_ptr", "gp": "data_ptr", "tp": "data_ptr"}
_CODE_CSRS = ("mepc", "sepc", "vsepc")
_DATA_CSRS = ("mtval", "stval", "vstval")
_IN_FPU = ("fflags", "frm", "fcsr")

# What the values of some fields are called.
_ENUMS = {
    "privilege": ("U", "S", None, "M"),
    "extension_state": ("Off", "Initial", "Clean", "Dirty"),
    "translation": ("Bare", *[None] * 7, "Sv39", "Sv48", "Sv57"),
}
_FIELD_ENUMS = {"MPP": "privilege", "SPP": "privilege", "SPVP": "privilege"} | dict.fromkeys(
    ("FS", "VS", "XS"), "extension_state"
)


def target_description(h: Hart) -> str:
    """The document for harts built as this one."""
    lines = [
        '<?xml version="1.0"?>',
        '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
        '<target version="1.0">',
        "<architecture>riscv:rv64</architecture>",
        # Otherwise a gdb for many systems takes the guest for a Linux process, and steps it by
        # breakpoints at the instructions that come next as it believes: wrong where one traps.
        "<osabi>none</osabi>",
        '<feature name="org.gnu.gdb.riscv.cpu">',
        *_integer(),
        "</feature>",
    ]
    if h.extensions_built & Ext.F:
        lines += ['<feature name="org.gnu.gdb.riscv.fpu">', *_float(h), "</feature>"]
    lines += ['<feature name="org.gnu.gdb.riscv.csr">', *_csrs(h), "</feature>"]
    lines += ['<feature name="org.gnu.gdb.riscv.virtual">', *_modes(h), "</feature>"]
    return "\n".join([*lines, "</target>", ""])


def _register(name: str, number: int, kind: str, *, bits: int = 64, group: str = "") -> str:
    where = f' group="{group}"' if group else ""
    return f'<reg name="{name}" bitsize="{bits}" type="{kind}" regnum="{number}"{where}/>'


def _integer() -> Iterator[str]:
    for number, name in enumerate(INTEGER_REGISTERS):
        name = "fp" if name == "s0" else name
        yield _register(name, number, _POINTERS.get(name, "int64"))
    yield _register("pc", registers.PC, "code_ptr")


def _float(h: Hart) -> Iterator[str]:
    yield '<union id="riscv_double">'
    yield '<field name="float" type="ieee_single"/><field name="double" type="ieee_double"/>'
    yield "</union>"
    for number, name in enumerate(FLOAT_REGISTERS):
        yield _register(name, registers.F0 + number, "riscv_double", group="float")
    for csr in _present(h):
        if csr.name in _IN_FPU:
            yield from _csr(csr, "float")


def _csrs(h: Hart) -> Iterator[str]:
    for name, values in _ENUMS.items():
        yield f'<enum id="{name}" size="8">'
        for value, text in enumerate(values):
            if text is not None:
                yield f'<evalue name="{text}" value="{value}"/>'
        yield "</enum>"
    for csr in _present(h):
        if csr.name not in _IN_FPU:
            yield from _csr(csr, "csr")


def _present(h: Hart) -> list[Csr]:
    return [csr for csr in CSRS if registers.exists(h, registers.CSR0 + csr.number)]


def _csr(csr: Csr, group: str) -> Iterator[str]:
    kind = "int64"
    if csr.name in _CODE_CSRS:
        kind = "code_ptr"
    elif csr.name in _DATA_CSRS:
        kind = "data_ptr"
    elif csr.fields is not None:
        kind = f"{csr.name}_fields"
        yield f'<flags id="{kind}" size="8">'
        for name, field in fields_of(csr.fields).items():
            yield _field(csr, name, field)
        yield "</flags>"
    yield _register(csr.name, registers.CSR0 + csr.number, kind, group=group)


def _field(csr: Csr, name: str, field: Field) -> str:
    last = field.low + field.width - 1
    kind = _FIELD_ENUMS.get(name)
    if name == "MODE" and csr.name.endswith("atp"):
        kind = "translation"
    if kind == "extension_state" and field.width != 2:
        kind = None
    if kind is None:
        kind = "bool" if field.width == 1 else "uint64"
    return f'<field name="{name}" start="{field.low}" end="{last}" type="{kind}"/>'


def _modes(h: Hart) -> Iterator[str]:
    yield _register("priv", registers.PRIV, "int", bits=8, group="general")
    if h.extensions_built & Ext.H:
        yield _register("virt", registers.VIRT, "int", bits=8, group="general")
