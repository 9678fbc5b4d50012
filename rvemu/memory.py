"""Guest memory: one contiguous range of physical addresses, backed by host memory.

Native code reads and writes it through `Ram.host_address`. Everything else in Python goes
through `read` and `write`, which check bounds and tell the engine what they changed.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable

from rvemu.errors import RvemuError

PAGE_SIZE = 4096

_ZEROS = bytes(1 << 20)


class Ram:
    """`size` bytes of memory at physical address `base`, zero at first.

    The host commits a page only when it is first touched, so a large guest costs what it uses.
    `writable=False` makes a ROM: the engine refuses the guest's stores, while `write` (the host
    programming the ROM) still works.

    Raises `RvemuError` when the size is no positive multiple of the page size, when the range
    does not fit the physical address space, or when the host has not that much memory.
    """

    def __init__(self, base: int, size: int, *, writable: bool = True, name: str = "RAM") -> None:
        if size <= 0 or size % PAGE_SIZE:
            raise RvemuError(
                f"{name} of {size:#x} bytes: the size must be a positive multiple of {PAGE_SIZE}"
            )
        if base % PAGE_SIZE or base < 0:
            raise ValueError(f"{name} at {base:#x} does not start on a page")
        if base + size > 1 << 56:
            # RV64 physical addresses are 56 bits wide in every translation mode.
            raise RvemuError(f"{name} of {size:#x} bytes at {base:#x} ends above 2**56")
        self.name = name
        self.base = base
        self.size = size
        self.writable = writable
        #: Called after every `write` with the physical address and the length in bytes, so that
        #: an engine can drop the instructions that it decoded from there.
        self.on_write: Callable[[int, int], None] | None = None
        self._map = _allocate(size, name)
        #: All of it, as bytes to index from 0. Writing here skips `on_write`.
        self.view = memoryview(self._map)
        #: Where the first byte stands in this process; valid as long as this object lives.
        self.host_address = ctypes.addressof(ctypes.c_char.from_buffer(self._map))

    @property
    def end(self) -> int:
        """The first physical address after this memory."""
        return self.base + self.size

    def contains(self, address: int, length: int) -> bool:
        """Whether all of `length` bytes at a physical address lie in this memory."""
        return length >= 0 and self.base <= address and address + length <= self.end

    def read(self, address: int, length: int) -> bytes:
        """`length` bytes at a physical address; `RvemuError` if any of them is outside."""
        offset = self._offset(address, length)
        return bytes(self.view[offset : offset + length])

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Put bytes at a physical address; `RvemuError`, and nothing written, if any would fall
        outside. Works on a ROM as well."""
        length = len(data)
        offset = self._offset(address, length)
        self.view[offset : offset + length] = data
        if self.on_write is not None and length:
            self.on_write(address, length)

    def zero(self, address: int, length: int) -> None:
        """Clear `length` bytes at a physical address; `RvemuError` if any of them is outside.

        Pages that nothing has touched stay uncommitted: clearing a huge .bss costs no memory.
        """
        offset = self._offset(address, length)
        end = offset + length
        for start in range(offset, end, len(_ZEROS)):
            stop = min(start + len(_ZEROS), end)
            zeros = _ZEROS[: stop - start]
            if bytes(self.view[start:stop]) != zeros:
                self.view[start:stop] = zeros
        if self.on_write is not None and length:
            self.on_write(address, length)

    def _offset(self, address: int, length: int) -> int:
        if not self.contains(address, length):
            raise RvemuError(
                f"{length} bytes at {address:#x} are not all in {self.name}, "
                f"which is {self.base:#x}..{self.end - 1:#x}"
            )
        return address - self.base

    def __repr__(self) -> str:
        return f"Ram({self.name!r}, {self.base:#x}..{self.end - 1:#x})"


def _allocate(size: int, name: str) -> mmap.mmap:
    try:
        if hasattr(mmap, "MAP_PRIVATE"):
            # Not MAP_NORESERVE: the kernel then refuses what is plainly more than the machine
            # has, here and with a clear message, instead of killing the process much later.
            return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return mmap.mmap(-1, size)
    except (OSError, OverflowError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RvemuError(
            f"no memory for {size / (1 << 20):.0f} MiB of {name}: {reason}; ask for less"
        ) from error
