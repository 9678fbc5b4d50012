"""HLV, HLVX and HSV: sizes and extension. (Their translation is tested with the hart.)"""

import pytest

from tests.isa.lone_hart import BASE, LoneHart

DATA = bytes.fromhex("88c7b6a594837261")

LOADS = {
    "hlv.b": (1, True),
    "hlv.bu": (1, False),
    "hlv.h": (2, True),
    "hlv.hu": (2, False),
    "hlvx.hu": (2, False),
    "hlv.w": (4, True),
    "hlv.wu": (4, False),
    "hlvx.wu": (4, False),
    "hlv.d": (8, False),
}


@pytest.fixture
def hart() -> LoneHart:
    return LoneHart()


@pytest.mark.parametrize("name", LOADS)
def test_loads(hart: LoneHart, name: str) -> None:
    size, signed = LOADS[name]
    hart.ram.write(BASE + 16, DATA)
    wanted = int.from_bytes(DATA[:size], "little", signed=signed) % 2**64
    assert hart.compute(name, BASE + 16) == wanted


@pytest.mark.parametrize(("name", "size"), [("hsv.b", 1), ("hsv.h", 2), ("hsv.w", 4), ("hsv.d", 8)])
def test_stores(hart: LoneHart, name: str, size: int) -> None:
    hart.ram.write(BASE, b"\xa5" * 16)
    hart.x[11], hart.x[12] = BASE + 3, int.from_bytes(DATA, "little")
    hart.do(name, rs1=11, rs2=12)
    assert hart.ram.read(BASE, 16) == b"\xa5" * 3 + DATA[:size] + b"\xa5" * (13 - size)
