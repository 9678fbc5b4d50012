"""CSRs for hosts: the monitor, the debugger, traces, the Python API. Not part of the model."""

from rvemu.errors import RvemuError
from rvemu.hart.counters import clock, instret
from rvemu.hart.csr_row import Csr
from rvemu.hart.csr_table import BY_NAME, BY_NUMBER, CSRS
from rvemu.hart.fields import COUNTINHIBIT, fields_of
from rvemu.hart.state import Hart
from rvemu.lang import Field, get, put


def find(csr: int | str) -> Csr:
    """A CSR by number or name; RvemuError if there is none."""
    found = BY_NUMBER.get(csr) if isinstance(csr, int) else BY_NAME.get(csr.lower())
    if found is None:
        shown = hex(csr) if isinstance(csr, int) else f"'{csr}'"
        raise RvemuError(f"no CSR {shown}")
    return found


def exists(h: Hart, csr: int | str) -> bool:
    """Whether the hart, with the extensions that it has now, has the CSR."""
    row = find(csr)
    return not row.requires & ~h.extensions


def implemented(h: Hart) -> list[Csr]:
    """The CSRs that the hart has, by number."""
    return [csr for csr in CSRS if not csr.requires & ~h.extensions]


def name_of(number: int) -> str:
    """A CSR's name, or its number in hexadecimal where it has none."""
    row = BY_NUMBER.get(number)
    return row.name if row else f"{number:#x}"


def peek(h: Hart, csr: int | str) -> int:
    """The value of a CSR, by its own name: neither privilege nor V has a say, nor whether FS is
    off."""
    return find(csr).read(h)


def poke(h: Hart, csr: int | str, value: int) -> None:
    """Write a CSR as an instruction of M-mode would, between instructions. RvemuError if it is
    read-only."""
    row = find(csr)
    if row.write is None:
        raise RvemuError(f"CSR {row.name} is read-only")
    value &= (1 << 64) - 1
    # Here there is no instruction, whose increment a write would replace.
    if row.name == "mcycle" and not h.mcountinhibit & COUNTINHIBIT.CY.mask:
        h.mcycle_offset = value - clock(h)
    elif row.name == "minstret" and not h.mcountinhibit & COUNTINHIBIT.IR.mask:
        h.minstret_offset = value - instret(h)
    else:
        row.write(h, value)


def decode(csr: int | str, value: int) -> list[tuple[str, int]]:
    """The fields of a value, lowest first: [("SIE", 0), ...]. Empty for a CSR without fields."""
    row = find(csr)
    if row.fields is None:
        return []
    return [(name, get(value, field)) for name, field in fields_of(row.fields).items()]


def peek_field(h: Hart, csr: int | str, field: str) -> int:
    """A field of a CSR, by its name in the specification."""
    return get(peek(h, csr), _field(csr, field))


def poke_field(h: Hart, csr: int | str, field: str, value: int) -> None:
    """Write a field of a CSR, and leave the others."""
    poke(h, csr, put(peek(h, csr), _field(csr, field), value))


def _field(csr: int | str, name: str) -> Field:
    row = find(csr)
    known = fields_of(row.fields) if row.fields else {}
    if name.upper() not in known:
        names = ", ".join(known) or "none"
        raise RvemuError(f"CSR {row.name} has no field {name}; it has {names}")
    return known[name.upper()]
