"""Runs harts in native code."""

import ctypes
import mmap
from collections.abc import Sequence

from rvemu.engine.native.library import library
from rvemu.hart.decoded import LONE_SLOTS, POOL_STRIDE, SLOT_BYTES, release_all_decoded
from rvemu.hart.state import STOP_FLUSH, STOP_NONE, Hart, Shared

# Decoded pages in the pool: enough for 16 MiB of code. Memory is taken as they are used.
POOL_PAGES = 4096


class NativeEngine:
    """Runs the harts of one machine in native code."""

    name = "native"

    def __init__(self, shared: Shared, harts: Sequence[Hart]) -> None:
        self._library = library()
        self._run, self._step, self._execute = (
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._library.address(f"rvemu_{name}"))
            for name in ("run", "step", "execute")
        )
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
        self._lone: list[ctypes.Array[ctypes.c_uint64]] = []
        self._addresses: dict[int, int] = {}
        self._decoded_for = 0  # the extensions by which what is decoded was decoded
        for hart in harts:
            self.adopt(hart)

    def adopt(self, hart: Hart) -> None:
        """Be ready to `step` a hart, which may be of another machine."""
        lone = (ctypes.c_uint64 * (2 * LONE_SLOTS + 2))()
        self._lone.append(lone)
        hart.lone_slots = (ctypes.addressof(lone) + SLOT_BYTES - 1) & ~(SLOT_BYTES - 1)
        self._addresses[id(hart)] = ctypes.addressof(hart)

    def entry_point(self, name: str) -> int:
        """The host address of the C function that runs a hart ("run"), or executes its `insn`
        ("execute")."""
        return self._library.address(f"rvemu_{name}")

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

    def step(self, hart: Hart, raw: int | None = None) -> None:
        """Execute one instruction, as `ReferenceEngine.step`. What is decoded for it is not kept;
        the next instruction is polled before."""
        if raw is None:
            self._step(self._addresses[id(hart)])
        else:
            hart.insn = raw
            self._execute(self._addresses[id(hart)])
