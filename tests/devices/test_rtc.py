"""The goldfish real-time clock."""

import time

import pytest

from rvemu.devices.device import UnsupportedAccess
from rvemu.devices.rtc import DEFAULT_EPOCH, MachineTime, Rtc, WallTime

TIME_LOW, TIME_HIGH, ALARM_LOW, ALARM_HIGH = 0x00, 0x04, 0x08, 0x0C
IRQ_ENABLED, CLEAR_ALARM, ALARM_STATUS, CLEAR_INTERRUPT = 0x10, 0x14, 0x18, 0x1C


class Line:
    level = False

    def set(self, level: bool) -> None:
        self.level = level


class Clock:
    ticks = 0

    def time(self) -> int:
        return self.ticks

    def set_time(self, value: int) -> None:
        self.ticks = value


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.line = Line()
        self.rtc = Rtc(MachineTime(self.clock), self.line)

    def get(self, register: int) -> int:
        return self.rtc.read(register, 4)

    def put(self, register: int, value: int) -> None:
        self.rtc.write(register, 4, value)

    def date(self) -> int:
        low = self.get(TIME_LOW)
        return self.get(TIME_HIGH) << 32 | low

    def set_alarm(self, date: int) -> None:
        self.put(ALARM_HIGH, date >> 32)
        self.put(ALARM_LOW, date & 0xFFFF_FFFF)

    def advance(self, ticks: int) -> None:
        self.clock.ticks += ticks
        self.rtc.update()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_date_follows_the_machine(bench):
    assert bench.date() == DEFAULT_EPOCH
    assert time.gmtime(DEFAULT_EPOCH // 10**9)[:6] == (2024, 1, 1, 0, 0, 0)
    bench.advance(10_000_000)
    assert bench.date() == DEFAULT_EPOCH + 10**9


def test_wall_clock():
    before = time.time_ns()
    date = Rtc(WallTime()).now()
    assert before <= date <= time.time_ns()


def test_reading_the_low_half_latches_the_high_half(bench):
    bench.put(TIME_HIGH, 5)
    bench.put(TIME_LOW, 0xFFFF_FFFF)
    assert bench.get(TIME_LOW) == 0xFFFF_FFFF
    bench.advance(1)
    assert bench.get(TIME_HIGH) == 5
    assert bench.get(TIME_LOW) == 99
    assert bench.get(TIME_HIGH) == 6


def test_setting_the_date(bench):
    bench.advance(12345)
    date = 1_000_000_000 * 10**9
    bench.put(TIME_HIGH, date >> 32)
    bench.put(TIME_LOW, date & 0xFFFF_FFFF)
    assert bench.date() == date
    bench.advance(1)
    assert bench.date() == date + 100


def test_alarm(bench):
    bench.put(IRQ_ENABLED, 1)
    assert bench.get(IRQ_ENABLED) == 1
    assert bench.rtc.deadline() is None
    bench.set_alarm(DEFAULT_EPOCH + 1000)
    assert bench.get(ALARM_STATUS) == 1
    assert (bench.get(ALARM_HIGH) << 32 | bench.get(ALARM_LOW)) == DEFAULT_EPOCH + 1000
    assert bench.rtc.deadline() == 10
    bench.advance(9)
    assert not bench.line.level
    bench.advance(1)
    assert bench.line.level
    assert bench.get(ALARM_STATUS) == 0, "it rings once"
    assert bench.rtc.deadline() is None
    bench.put(CLEAR_INTERRUPT, 1)
    assert not bench.line.level
    bench.advance(1000)
    assert not bench.line.level


def test_deadline_is_never_too_early(bench):
    bench.set_alarm(DEFAULT_EPOCH + 101)
    assert bench.rtc.deadline() == 2
    bench.advance(2)
    assert bench.rtc.deadline() is None


def test_alarm_in_the_past_rings_at_once(bench):
    bench.put(IRQ_ENABLED, 1)
    bench.set_alarm(DEFAULT_EPOCH)
    assert bench.line.level
    assert bench.get(ALARM_STATUS) == 0


def test_interrupt_can_be_enabled_late(bench):
    bench.set_alarm(1)
    assert not bench.line.level
    bench.put(IRQ_ENABLED, 1)
    assert bench.line.level
    bench.put(IRQ_ENABLED, 0)
    assert not bench.line.level


def test_reading_sees_an_alarm_that_is_due(bench):
    bench.put(IRQ_ENABLED, 1)
    bench.set_alarm(DEFAULT_EPOCH + 1000)
    bench.clock.ticks = 10
    assert bench.get(ALARM_STATUS) == 0
    assert bench.line.level


def test_clearing_the_alarm(bench):
    bench.put(IRQ_ENABLED, 1)
    bench.set_alarm(DEFAULT_EPOCH + 1000)
    bench.put(CLEAR_ALARM, 1)
    assert bench.get(ALARM_STATUS) == 0
    bench.advance(100)
    assert not bench.line.level


def test_other_registers_and_widths(bench):
    for register in (CLEAR_ALARM, CLEAR_INTERRUPT, 0x20, 0xFFC):
        bench.put(register, 0xFFFF_FFFF)
        assert bench.get(register) == 0
    bench.put(ALARM_STATUS, 1)
    assert bench.get(ALARM_STATUS) == 0
    for width in (1, 2, 8):
        with pytest.raises(UnsupportedAccess):
            bench.rtc.read(0, width)
        with pytest.raises(UnsupportedAccess):
            bench.rtc.write(0, width, 0)


def test_reset(bench):
    bench.put(IRQ_ENABLED, 1)
    bench.put(TIME_HIGH, 0)
    bench.set_alarm(1)
    bench.rtc.reset()
    assert not bench.line.level
    assert bench.date() == DEFAULT_EPOCH
    assert bench.get(IRQ_ENABLED) == 0
    assert bench.rtc.deadline() is None
