"""Without H, by the ISA string or by misa, nothing of it is there; and the default has it."""

import pytest

from rvemu.hart.extensions import DEFAULT_ISA, Ext, parse_isa
from rvemu.hart.fields import MSTATUS
from rvemu.lang import M64
from rvemu.machine import Machine
from tests.hypervisor.lab import BY_NAME, DATA, ILLEGAL, WITH_H, Lab, Taken, causes, encode, number
from tests.hypervisor.test_h_csrs import H_CSRS, VS_CSRS

MISA_H = 1 << 7
INSTRUCTIONS = [name for name, i in BY_NAME.items() if "h" in i.extensions]
WITHOUT = WITH_H.replace("h_", "_", 1)


@pytest.fixture(params=["isa", "misa"])
def without(request: pytest.FixtureRequest, engine: str) -> Lab:
    """A machine that never had H, and one where software has switched it off."""
    if request.param == "isa":
        return Lab(engine, WITHOUT)
    lab = Lab(engine)
    # Leave traces of a guest.
    for name in ("hideleg", "hedeleg", "hvip", "hgeie", "hie", "hstatus"):
        lab[name] = M64 & ~(0x3F << 12)
    lab["mstatus"] |= MSTATUS.MPV.mask | MSTATUS.GVA.mask
    misa = lab["misa"]
    assert misa & MISA_H
    assert lab.csrw("M", "misa", misa & ~MISA_H) is None
    assert lab["misa"] == misa & ~MISA_H
    return lab


def test_the_default_has_h(engine: str) -> None:
    machine = Machine(memory=1 << 20, engine=engine)
    assert parse_isa(DEFAULT_ISA) & Ext.H
    assert machine.hart["misa"] & MISA_H


@pytest.mark.norm("misa_h_op")
@pytest.mark.parametrize("name", [*H_CSRS, *VS_CSRS, "mtval2", "mtinst"])
def test_no_csrs(without: Lab, name: str) -> None:
    for mode in ("M", "S", "U"):
        assert causes(without.csrr(mode, name)) == [ILLEGAL]
        assert causes(without.csrw(mode, name)) == [ILLEGAL]


@pytest.mark.norm("misa_h_op")
def test_no_instructions(without: Lab) -> None:
    assert len(INSTRUCTIONS) == 17
    for name in INSTRUCTIONS:
        for mode in ("M", "S", "U"):
            assert causes(without.do(mode, name)) == [ILLEGAL]


@pytest.mark.norm("misa_h_op")
def test_no_bits(without: Lab) -> None:
    """In the registers that H adds some to."""
    for name in ("mie", "mip", "mideleg"):
        without.csrw("M", name, M64)
        assert without[name] & 0x1444 == 0
    without.csrw("M", "medeleg", M64)
    assert without["medeleg"] >> 20 & 0xF == 0 and without["medeleg"] >> 10 & 1 == 0
    without.csrw("M", "mstatus", M64)
    assert without["mstatus.MPV"] == without["mstatus.GVA"] == 0


@pytest.mark.norm("misa_h_op")
def test_no_virtual_mode(without: Lab) -> None:
    """MRET and SRET go to S and U."""
    without["mepc"] = without["sepc"] = DATA
    without["mstatus"] = 1 << MSTATUS.MPP.low | 1 << MSTATUS.MPV.low
    assert without.do("M", "mret") is None and without.hart.mode == "S"
    without["mstatus.SPP"] = 0
    assert without.do("S", "sret") is None and without.hart.mode == "U"
    taken = without.do("U", "ecall")
    assert isinstance(taken, Taken) and taken.cause == 8 and without["mstatus.MPV"] == 0


@pytest.mark.norm("misa_h_op")
def test_h_can_come_back(lab: Lab) -> None:
    misa = lab["misa"]
    lab.csrw("M", "misa", misa & ~MISA_H)
    assert causes(lab.csrr("S", "hstatus")) == [ILLEGAL]
    lab.csrw("M", "misa", misa)
    assert lab["misa"] == misa
    assert not isinstance(lab.csrr("S", "hstatus"), Taken)
    assert not isinstance(lab.access("S", "hlv.d", DATA), Taken)
    assert lab["mideleg"] & 0x1444 == 0x1444
    lab["mepc"] = DATA
    lab["mstatus"] = 1 << MSTATUS.MPP.low | 1 << MSTATUS.MPV.low
    assert lab.do("M", "mret") is None and lab.hart.mode == "VS"


def test_mtinst_is_not_written(without: Lab) -> None:
    """A page fault's trap leaves no trace in registers that are not there."""
    without["satp"] = 8 << 60 | DATA >> 12
    taken = without.execute("S", encode("ld", rs1=10, rd=11))
    assert taken is not None and (taken.tval2, taken.tinst) == (0, 0)
    assert number("mtval2") == 0x34B
