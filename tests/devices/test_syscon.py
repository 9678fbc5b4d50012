"""The test finisher."""

import pytest

from rvemu.devices.device import UnsupportedAccess
from rvemu.devices.syscon import Ending, Finisher


@pytest.mark.parametrize(
    ("value", "width", "expected"),
    [
        (0x5555, 4, (0, Ending.PASS)),
        (0x5555, 2, (0, Ending.PASS)),
        (0x0007_5555, 4, (0, Ending.PASS)),
        (0x0007_3333, 4, (7, Ending.FAIL)),
        (0xFFFF_3333, 4, (0xFFFF, Ending.FAIL)),
        (0x3333, 4, (1, Ending.FAIL)),
        (0x7777, 4, (0, Ending.RESET)),
    ],
)
def test_endings(value, width, expected):
    seen: list[tuple[int, Ending]] = []
    Finisher(lambda code, ending: seen.append((code, ending))).write(0, width, value)
    assert seen == [expected]


def test_other_writes_do_nothing():
    seen: list[tuple[int, Ending]] = []
    finisher = Finisher(lambda code, ending: seen.append((code, ending)))
    finisher.write(0, 4, 0x1234)
    finisher.write(4, 4, 0x5555)
    assert seen == []
    assert finisher.read(0, 4) == 0
    Finisher().write(0, 4, 0x5555)


@pytest.mark.parametrize("width", [1, 8])
def test_unsupported_widths(width):
    finisher = Finisher()
    with pytest.raises(UnsupportedAccess):
        finisher.read(0, width)
    with pytest.raises(UnsupportedAccess):
        finisher.write(0, width, 0x55)
