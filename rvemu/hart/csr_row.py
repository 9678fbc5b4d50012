"""What a row of the table of CSRs (rvemu.hart.csr_table) says, and the reads and writes of CSRs
that just hold what is written to them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from rvemu.hart.extensions import Ext
from rvemu.hart.state import Hart
from rvemu.lang import M64, U64, Static


@dataclass(frozen=True)
class Csr:
    """A control and status register.

    Its number says who may access it: bits 9:8 are the least privilege, and where bits 11:10 are
    both set it is read-only ("CSR Address Mapping Conventions", csrs.adoc)."""

    number: int
    name: str
    # The value, and what a write does: model functions, called after all access checks.
    read: Callable[[Hart], int]
    write: Callable[[Hart, int], None] | None = None
    # A class of rvemu.hart.fields.
    fields: type | None = None
    # Extensions without which it does not exist (all of them).
    requires: int = Ext.I
    # A model function (h, priv, v) that says whether that mode may access it, where the number
    # alone does not decide.
    permit: Callable[[Hart, int, int], int] | None = None

    @property
    def read_only(self) -> bool:
        """Whether writing it is illegal."""
        return self.number >> 10 == 3

    @property
    def least_privilege(self) -> int:
        """0 U, 1 S, 2 HS (for CSRs that VS-mode may not access), 3 M."""
        return self.number >> 8 & 3


def read_plain(name: Static[str], h: Hart) -> U64:
    """A field of the hart."""
    value: U64 = getattr(h, name)
    return value


def write_plain(name: Static[str], mask: Static[int], h: Hart, value: U64) -> None:
    """Some bits of a field of the hart; the others are always 0."""
    setattr(h, name, value & mask)


def read_zero(h: Hart) -> U64:  # noqa: ARG001
    """A register, all of whose fields are read-only zero."""
    return 0


def write_nothing(h: Hart, value: U64) -> None:  # noqa: ARG001
    """A register, all of whose fields are read-only though its number is not."""
    return


def plain(
    number: int, name: str, fields: type | None = None, mask: int = M64, requires: int = Ext.I
) -> Csr:
    """A CSR that holds what is written to the bits of a mask, in the hart's field of its name."""
    return Csr(
        number,
        name,
        partial(read_plain, name),
        partial(write_plain, name, mask),
        fields,
        requires,
    )


def zero(number: int, name: str, fields: type | None = None, requires: int = Ext.I) -> Csr:
    """A CSR that always reads zero."""
    return Csr(number, name, read_zero, write_nothing, fields, requires)
