"""Software interrupts and the timer's registers."""

from dataclasses import dataclass

import pytest

from rvemu.devices.aclint import Aclint
from rvemu.devices.device import UnsupportedAccess

MTIMECMP, MTIME = 0x4000, 0xBFF8


@dataclass
class Line:
    level: bool = False

    def set(self, level: bool) -> None:
        self.level = level


@dataclass
class Timer:
    mtimecmp: int = (1 << 64) - 1


class Clock:
    ticks = 0x0123_4567_89AB_CDEF

    def time(self) -> int:
        return self.ticks

    def set_time(self, value: int) -> None:
        self.ticks = value


class Bench:
    def __init__(self, harts: int = 3) -> None:
        self.clock = Clock()
        self.timers = [Timer() for _ in range(harts)]
        self.lines = [Line() for _ in range(harts)]
        self.aclint = Aclint(self.clock, self.timers, self.lines)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_software_interrupts(bench):
    bench.aclint.write(4, 4, 1)
    assert [line.level for line in bench.lines] == [False, True, False]
    assert [bench.aclint.read(4 * hart, 4) for hart in range(3)] == [0, 1, 0]
    bench.aclint.write(4, 4, 0xFFFF_FFFE)
    assert not bench.lines[1].level, "only bit 0 is there"
    assert bench.aclint.read(4, 4) == 0


def test_mtimecmp_belongs_to_the_hart(bench):
    bench.aclint.write(MTIMECMP + 8, 8, 0x1122_3344_5566_7788)
    assert [timer.mtimecmp for timer in bench.timers] == [
        (1 << 64) - 1,
        0x1122_3344_5566_7788,
        (1 << 64) - 1,
    ]
    assert bench.aclint.read(MTIMECMP + 8, 8) == 0x1122_3344_5566_7788
    assert bench.aclint.read(MTIMECMP + 8, 4) == 0x5566_7788
    assert bench.aclint.read(MTIMECMP + 12, 4) == 0x1122_3344


def test_mtimecmp_in_halves(bench):
    bench.aclint.write(MTIMECMP + 4, 4, 0xAAAA_0001)
    assert bench.timers[0].mtimecmp == 0xAAAA_0001_FFFF_FFFF
    bench.aclint.write(MTIMECMP, 4, 0xBBBB_0002)
    assert bench.timers[0].mtimecmp == 0xAAAA_0001_BBBB_0002


def test_mtime_is_the_clock(bench):
    assert bench.aclint.read(MTIME, 8) == 0x0123_4567_89AB_CDEF
    assert bench.aclint.read(MTIME, 4) == 0x89AB_CDEF
    assert bench.aclint.read(MTIME + 4, 4) == 0x0123_4567
    bench.aclint.write(MTIME, 8, 100)
    assert bench.clock.ticks == 100
    bench.aclint.write(MTIME + 4, 4, 1)
    assert bench.clock.ticks == (1 << 32) + 100


def test_absent_harts(bench):
    for offset, width in ((12, 4), (0x3FFC, 4), (MTIMECMP + 24, 8), (MTIME - 8, 8)):
        bench.aclint.write(offset, width, 1)
        assert bench.aclint.read(offset, width) == 0
    assert not any(line.level for line in bench.lines)


@pytest.mark.parametrize(
    ("offset", "width"),
    [(0, 1), (0, 2), (0, 8), (MTIMECMP, 1), (MTIMECMP, 2), (0xC000, 4), (0xFFF8, 8)],
)
def test_unsupported_accesses(bench, offset, width):
    with pytest.raises(UnsupportedAccess):
        bench.aclint.read(offset, width)
    with pytest.raises(UnsupportedAccess):
        bench.aclint.write(offset, width, 0)


def test_reset_withdraws_software_interrupts(bench):
    bench.aclint.write(0, 4, 1)
    bench.aclint.reset()
    assert not bench.lines[0].level
    assert bench.aclint.read(0, 4) == 0
