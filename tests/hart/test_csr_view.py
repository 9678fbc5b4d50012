"""CSRs as the monitor and the debugger see them."""

import pytest

from rvemu.errors import RvemuError
from rvemu.hart import csr_view
from rvemu.hart.csr_table import CSRS
from tests.hart.model_hart import VU, WITHOUT_H, enter, new_hart, read


def test_peek_knows_no_privilege() -> None:
    h = new_hart()
    enter(h, VU)
    for csr in CSRS:
        assert 0 <= csr_view.peek(h, csr.name) < 1 << 64
    csr_view.poke(h, "mscratch", 5)
    assert csr_view.peek(h, 0x340) == 5
    csr_view.poke(h, "sscratch", 6)  # by its own name: not vsscratch
    assert (h.sscratch, h.vsscratch) == (6, 0)


def test_fields() -> None:
    h = new_hart()
    csr_view.poke_field(h, "mstatus", "MPP", 1)
    assert csr_view.peek_field(h, "mstatus", "mpp") == 1
    decoded = dict(csr_view.decode("mstatus", csr_view.peek(h, "mstatus")))
    assert (decoded["MPP"], decoded["UXL"], decoded["SD"]) == (1, 2, 0)
    assert csr_view.decode("mscratch", 5) == []
    assert [name for name, _ in csr_view.decode("satp", 0)] == ["PPN", "ASID", "MODE"]


def test_counters_hold_what_is_poked() -> None:
    h = new_hart()
    for name in ("mcycle", "minstret"):
        csr_view.poke(h, name, 7)
        assert read(h, name) == 7


def test_which_exist() -> None:
    assert csr_view.exists(new_hart(), "hgatp")
    without = new_hart(WITHOUT_H)
    assert not csr_view.exists(without, "hgatp")
    assert "hgatp" not in [c.name for c in csr_view.implemented(without)]
    assert csr_view.name_of(0x300) == "mstatus"
    assert csr_view.name_of(0x5C0) == "0x5c0"


@pytest.mark.parametrize("bad", ["nonesuch", 0x5C0])
def test_unknown(bad) -> None:
    with pytest.raises(RvemuError, match="no CSR"):
        csr_view.peek(new_hart(), bad)


def test_mistakes_are_named() -> None:
    h = new_hart()
    with pytest.raises(RvemuError, match="read-only"):
        csr_view.poke(h, "cycle", 0)
    with pytest.raises(RvemuError, match="no field XYZ; it has SIE, MIE"):
        csr_view.peek_field(h, "mstatus", "XYZ")
