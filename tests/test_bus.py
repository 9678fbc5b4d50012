"""Guest memory and the physical memory map."""

import ctypes

import pytest

from rvemu.bus import Bus
from rvemu.devices.device import UnsupportedAccess
from rvemu.errors import RvemuError
from rvemu.memory import Ram


class Scratch:
    """A device of four 32-bit registers."""

    def __init__(self, name: str = "scratch", size: int = 16) -> None:
        self.name = name
        self.size = size
        self.words: dict[int, int] = {}

    def read(self, offset: int, width: int) -> int:
        if width != 4:
            raise UnsupportedAccess
        return self.words.get(offset, 0)

    def write(self, offset: int, width: int, value: int) -> None:
        if width != 4:
            raise UnsupportedAccess
        self.words[offset] = value

    def update(self) -> None:
        pass

    def reset(self) -> None:
        self.words.clear()


def test_memory_starts_zero_and_keeps_what_is_written():
    ram = Ram(0x8000_0000, 0x2000)
    assert ram.read(0x8000_0000, 0x2000) == bytes(0x2000)
    ram.write(0x8000_1FFC, b"\x01\x02\x03\x04")
    assert ram.read(0x8000_1FFB, 5) == b"\0\x01\x02\x03\x04"
    assert ram.view[0x1FFC] == 1


def test_host_address_is_the_same_memory():
    ram = Ram(0x8000_0000, 0x1000)
    ram.write(0x8000_0010, b"\x78\x56\x34\x12")
    assert ctypes.c_uint32.from_address(ram.host_address + 0x10).value == 0x1234_5678
    ctypes.c_uint8.from_address(ram.host_address + 0xFFF).value = 0xAB
    assert ram.read(0x8000_0FFF, 1) == b"\xab"


@pytest.mark.parametrize(
    ("address", "length"),
    [(0x7FFF_FFFF, 1), (0x8000_1000, 1), (0x8000_0FFD, 4), (0x8000_0000, -1), (0, 1 << 64)],
)
def test_access_outside_memory_is_refused_whole(address, length):
    ram = Ram(0x8000_0000, 0x1000)
    with pytest.raises(RvemuError, match=r"0x80000000\.\.0x80000fff"):
        ram.read(address, length)
    with pytest.raises(RvemuError, match="not all in RAM"):
        ram.zero(address, length)
    if 0 < length < 100:
        with pytest.raises(RvemuError, match="not all in RAM"):
            ram.write(address, b"\xff" * length)
        assert ram.read(0x8000_0000, 0x1000) == bytes(0x1000)


def test_writes_are_announced():
    ram = Ram(0x8000_0000, 0x1000)
    seen: list[tuple[int, int]] = []
    ram.on_write = lambda address, length: seen.append((address, length))
    ram.write(0x8000_0004, b"abc")
    ram.write(0x8000_0004, b"")
    ram.zero(0x8000_0000, 8)
    assert seen == [(0x8000_0004, 3), (0x8000_0000, 8)]
    assert ram.read(0x8000_0000, 8) == bytes(8)


def test_zero_leaves_neighbours_alone():
    ram = Ram(0, 0x30_0000)
    ram.write(0, b"\xff" * 0x30_0000)
    ram.zero(1, 0x30_0000 - 2)
    assert ram.read(0, 2) == b"\xff\0"
    assert ram.read(0x2F_FFFE, 2) == b"\0\xff"
    assert not any(ram.read(1, 0x30_0000 - 2))


def test_rom_can_be_programmed_by_the_host():
    rom = Ram(0x1000, 0x1000, writable=False, name="ROM")
    rom.write(0x1000, b"code")
    assert not rom.writable
    assert rom.read(0x1000, 4) == b"code"


@pytest.mark.parametrize("size", [0, -4096, 100, 4097])
def test_memory_size_must_be_whole_pages(size):
    with pytest.raises(RvemuError, match="multiple of 4096"):
        Ram(0x8000_0000, size)


@pytest.mark.parametrize("size", [1 << 55, 1 << 56, 1 << 80])
def test_more_memory_than_there_is(size):
    with pytest.raises(RvemuError) as failure:
        Ram(0x8000_0000, size)
    assert "\n" not in str(failure.value)


def test_a_large_guest_commits_nothing_at_first():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ram = Ram(0x8000_0000, 1 << 30)
    ram.zero(0x8000_0000, 1 << 30)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert (after - before) < 64 << 10  # KiB


def test_bus_finds_the_device_and_the_offset():
    bus = Bus()
    low, high = Scratch("low"), Scratch("high")
    bus.map(0x2000, high)
    bus.map(0x1000, low)
    assert bus.find(0x1000, 4) == (low, 0)
    assert bus.find(0x200C, 4) == (high, 12)
    assert bus.find(0xFFF, 1) is None
    assert bus.find(0x1010, 1) is None
    assert bus.find(0x200C, 8) is None, "half of it lies outside"
    assert [region.name for region in bus.regions()] == ["low", "high"]


def test_bus_reads_and_writes():
    bus = Bus()
    device = Scratch()
    bus.map(0x1000, device)
    assert bus.write(0x1004, 4, 0x1_2345_6789)
    assert device.words == {4: 0x2345_6789}, "the value is cut to the width"
    assert bus.read(0x1004, 4) == 0x2345_6789


def test_unanswered_accesses():
    bus = Bus()
    bus.map(0x1000, Scratch())
    assert bus.read(0x1000, 2) is None, "the device does not decode this width"
    assert not bus.write(0x1000, 2, 0)
    assert bus.read(0x1002, 4) is None, "misaligned"
    assert not bus.write(0x1002, 4, 0)
    assert bus.read(0x5000, 4) is None
    assert not bus.write(0x5000, 4, 0)


def test_memory_is_not_a_device():
    bus = Bus()
    bus.map_memory(Ram(0x8000_0000, 0x1000))
    assert bus.find(0x8000_0000, 4) is None
    assert bus.read(0x8000_0000, 4) is None


@pytest.mark.parametrize("base", [0x0FF8, 0x1000, 0x1008, 0x100F])
def test_overlaps_name_both(base):
    bus = Bus()
    bus.map(0x1000, Scratch("first"))
    with pytest.raises(ValueError, match=r"second at .* overlaps first at 0x1000..0x100f"):
        bus.map(base, Scratch("second"))
    assert len(list(bus.regions())) == 1


def test_memory_overlaps_count_too():
    bus = Bus()
    bus.map_memory(Ram(0x8000_0000, 0x1000))
    with pytest.raises(ValueError, match="overlaps RAM"):
        bus.map(0x8000_0800, Scratch())


def test_neighbours_do_not_overlap():
    bus = Bus()
    bus.map(0x1000, Scratch("a"))
    bus.map(0x1010, Scratch("b"))
    bus.map(0xFF0, Scratch("c"))
    assert [region.name for region in bus.regions()] == ["c", "a", "b"]


def test_a_device_answers_where_nothing_was_before():
    bus = Bus()
    assert bus.read(0x1004, 4) is None
    bus.map(0x1000, Scratch())
    assert bus.read(0x1004, 4) is not None
