"""Runs harts in native code."""

import ctypes
import mmap
from collections.abc import Sequence

from rvemu.engine.native.library import library
from rvemu.engine.native.slots import LONE_SLOTS
from rvemu.hart.decoded import POOL_STRIDE, SLOT_BYTES, release_all_decoded
from rvemu.hart.state import STOP_FLUSH, STOP_NONE, Hart, Shared

# Decoded pages in the pool: enough for 16 MiB of code. Memory is taken as they are used.
POOL_PAGES = 4096


class NativeEngine:
    """Runs the harts of one machine in native code."""

    name = "native"

    def __init__(self, shared: Shared, harts: Sequence[Hart]) -> None:
        self._library = library()
        self._run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address("rvemu_run"))
        self._pool = mmap.mmap(-1, POOL_PAGES * POOL_STRIDE + 4096)
        self._pool_view = (ctypes.c_char * 1).from_buffer(self._pool)
        self._owners = (ctypes.c_uint64 * POOL_PAGES)()
        shared.pool_host = (ctypes.addressof(self._pool_view) + 15) & ~15
        shared.pool_pages = POOL_PAGES
        shared.pool_used = 0
        shared.pool_owner = ctypes.addressof(self._owners)
        for name in ("undecoded", "straddling", "page_end"):
            address = ctypes.CFUNCTYPE(ctypes.c_uint64)(self._library.address(f"rvemu_{name}"))()
            setattr(shared, name, address)
        self._lone = [(ctypes.c_uint64 * (2 * LONE_SLOTS + 2))() for _ in harts]
        self._addresses: dict[int, int] = {}
        self._decoded_for = 0  # the extensions by which what is decoded was decoded
        for hart, lone in zip(harts, self._lone, strict=True):
            hart.lone_slots = (ctypes.addressof(lone) + SLOT_BYTES - 1) & ~(SLOT_BYTES - 1)
            self._addresses[id(hart)] = ctypes.addressof(hart)

    def run(self, hart: Hart) -> int:
        """Run until the hart stops; the reason (`STOP_*`), which is also in `stop_reason`."""
        address = self._addresses[id(hart)]
        if hart.extensions != self._decoded_for:  # of several harts, one may lack some (misa)
            release_all_decoded(hart)
            self._decoded_for = hart.extensions
        while True:
            hart.stop_reason = STOP_NONE
            self._run(address)
            reason = hart.stop_reason
            if reason != STOP_FLUSH:
                return int(reason)
            release_all_decoded(hart)
            self._decoded_for = hart.extensions
