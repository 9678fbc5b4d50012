"""Which device answers at a physical address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from rvemu.devices.device import Device, UnsupportedAccess
from rvemu.memory import Ram


@dataclass(frozen=True)
class Region:
    """A range of physical addresses and what answers there: a device, or memory."""

    base: int
    size: int
    target: Device | Ram

    @property
    def name(self) -> str:
        """What the memory map calls it."""
        return self.target.name

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.base + self.size


class Bus:
    """The physical memory map.

    Memory is registered so that nothing can overlap it, but reading and writing it is the
    engine's work: the bus answers for devices only.
    """

    def __init__(self) -> None:
        self._regions: list[Region] = []
        self._bases: list[int] = []
        # A guest accesses few registers, and those over and over.
        self._find = lru_cache(maxsize=256)(self.find)

    def map(self, base: int, device: Device) -> None:
        """Let `device` answer from physical address `base`; `ValueError` on an overlap."""
        self._insert(Region(base, device.size, device))

    def map_memory(self, memory: Ram) -> None:
        """Register RAM or ROM at its own base; `ValueError` on an overlap."""
        self._insert(Region(memory.base, memory.size, memory))

    def regions(self) -> Iterator[Region]:
        """All regions, by rising address."""
        return iter(self._regions)

    def find(self, address: int, width: int) -> tuple[Device, int] | None:
        """The device that holds all `width` bytes at `address`, and the offset in it."""
        index = bisect_right(self._bases, address) - 1
        if index < 0:
            return None
        region = self._regions[index]
        offset = address - region.base
        if offset + width > region.size or isinstance(region.target, Ram):
            return None
        return region.target, offset

    def read(self, address: int, width: int) -> int | None:
        """Read `width` (1, 2, 4 or 8) bytes from a device: an unsigned value.

        None when no device is there, when the address is not a multiple of the width, or when
        the device does not decode the access: the guest takes a load access fault.
        """
        found = self._find(address, width)
        if found is None or address % width:
            return None
        device, offset = found
        try:
            value = device.read(offset, width)
        except UnsupportedAccess:
            return None
        assert 0 <= value < 1 << 8 * width, f"{device.name} gave {value:#x} for {width} bytes"
        return value

    def write(self, address: int, width: int, value: int) -> bool:
        """Write the low `width` bytes of `value` to a device.

        False where `read` would give None: the guest takes a store access fault.
        """
        found = self._find(address, width)
        if found is None or address % width:
            return False
        device, offset = found
        value &= (1 << 8 * width) - 1
        try:
            device.write(offset, width, value)
        except UnsupportedAccess:
            return False
        return True

    def _insert(self, region: Region) -> None:
        for other in self._regions:
            if region.base < other.end and other.base < region.end:
                raise ValueError(
                    f"{region.name} at {region.base:#x}..{region.end - 1:#x} overlaps "
                    f"{other.name} at {other.base:#x}..{other.end - 1:#x}"
                )
        index = bisect_right(self._bases, region.base)
        self._regions.insert(index, region)
        self._bases.insert(index, region.base)
        self._find.cache_clear()
