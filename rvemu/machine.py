"""The public Python API: build a machine, load a guest, run it, look at it.

    from rvemu import Machine

    machine = Machine(memory=128 << 20)
    machine.load("guest.elf")
    outcome = machine.run(budget=1_000_000)
    print(outcome.reason, machine.hart["pc"], machine.hart["mcause"])

Runs repeat bit for bit: guest time is the number of instructions attempted, unless `clock="wall"`
has it follow the host's.
"""

import ctypes
import hashlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rvemu.board import RAM_BASE, Board, BoardConfig
from rvemu.boot import assemble
from rvemu.clock import CLOCKS_PER_TICK, TICKS_PER_SECOND, MachineClock, WallClock
from rvemu.devices.htif import Htif
from rvemu.devices.rtc import WallTime
from rvemu.devices.syscon import Ending
from rvemu.devices.virtio.console import Console as VirtioConsole
from rvemu.devices.virtio.device import VirtioDevice
from rvemu.engine import Engine, make_engine
from rvemu.errors import RvemuError
from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.extensions import DEFAULT_ISA, Ext, isa_string, parse_isa
from rvemu.hart.interrupts import clocks_to_timer
from rvemu.hart.reset import reset
from rvemu.hart.state import DEVICE_ABSENT, DEVICE_DONE, PAGE_DECODED, PAGE_WATCHED, Hart, Shared
from rvemu.hart.tlb import flush_all
from rvemu.harts import HartView
from rvemu.hooks import Hooks, Outcome, Reason
from rvemu.loader import Image, check_place, load_elf, load_raw, place
from rvemu.memory import Ram
from rvemu.output import GuestOutput
from rvemu.outside import Outside, wait_outside
from rvemu.scheduler import Scheduler
from rvemu.stuck import StuckDetector, describe_waiting

# How many instructions are run before the host looks at its own affairs (console, Ctrl-C): a few
# milliseconds' worth.
# (A virtual machine's engine returns sooner where there are many exits.)
SLICES = {"native": 2_000_000, "reference": 10_000}
# How long that is to be, in seconds, where guest time follows the host's clock in between; and how
# many instructions it may be.
_WALL_SLICE = 0.002
_SHORTEST, _LONGEST = 1_000, 2_000_000
# Or, if they are many, how many device accesses: those take Python's time. And how many bytes that
# devices move take as long as an access.
_SLICE_ACCESSES = 200
_ACCESS_BYTES = 1 << 16

# `clocks_to_timer` looks no further ahead than 2^40 ticks, 30 hours. Software says "never" with a
# compare register above 2^62; and what does not come in so many times 30 hours, never comes.
_FAR = 1 << 46
_NEVER = 1 << 62
_FAR_WAITS = 100

# What the guest's kernel starts its random numbers from, where runs repeat. Without it, Linux waits
# for randomness from its timer's jitter, and there is none: minutes of guest time.
RNG_SEED_LENGTH = 32
_RNG_SEED = hashlib.sha256(b"rvemu rng-seed").digest()

CLOCKS = ("instructions", "wall")

EngineMaker = Callable[[Shared, Sequence[Hart]], Engine]


class Machine:
    """A RISC-V machine: harts, memory, and the devices of QEMU's `virt` board.

    memory: bytes of RAM at 0x80000000. harts: how many. isa: an ISA string, as `rv64gc_zba`.
    engine: "native" or "reference", or a function that makes one of them for the harts (a virtual
    machine's, rvemu.vmm). pmp: PMP entries of each hart, 0 to 64. bootargs: the kernel's command
    line. output: takes what the guest prints, some bytes at a time; without it that goes to
    stdout. clock: what guest time follows, "instructions", so that runs repeat, or "wall", the
    host's clock. Raises `RvemuError` where these can't be had.
    """

    def __init__(
        self,
        *,
        memory: int = 128 << 20,
        harts: int = 1,
        isa: str = DEFAULT_ISA,
        engine: str | EngineMaker = "native",
        pmp: int = 16,
        bootargs: str = "",
        output: Callable[[bytes], None] | None = None,
        clock: str = "instructions",
    ) -> None:
        if clock not in CLOCKS:
            raise RvemuError(f"no clock {clock}: there are {' and '.join(CLOCKS)}")
        if not 1 <= harts <= 64:
            raise RvemuError(f"{harts} harts: a machine has 1 to 64")
        if not 0 <= pmp <= 64:
            raise RvemuError(f"{pmp} PMP entries: a hart has 0 to 64")
        self.extensions = parse_isa(isa)
        #: What is called while the machine runs.
        self.hooks = Hooks()
        self._output = GuestOutput(output)
        #: How many device accesses were answered so far.
        self.device_accesses = 0
        self.shared = Shared()
        self._stop_requested = False
        self._far_waits = 0
        #: What the host has done for the guest so far, in device accesses and what takes as long.
        self.host_work = 0
        self._slice_end = 0  # when there has been so much of it
        self._wall_slice = _SHORTEST
        self._ending: Outcome | None = None
        self._states = [Hart(self.shared) for _ in range(harts)]
        #: The harts, by their ids.
        self.harts = [HartView(state, self) for state in self._states]
        config = BoardConfig(
            ram_size=memory,
            isa=isa_string(self.extensions),
            mmu_type=self._mmu_type(),
            bootargs=bootargs,
            rng_seed=os.urandom(RNG_SEED_LENGTH) if clock == "wall" else _RNG_SEED,
        )
        machine_clock: MachineClock
        #: What guest time follows, if that is the host's clock.
        self.wall_clock: WallClock | None = None
        if clock == "wall":
            machine_clock = self.wall_clock = WallClock(self.shared, self._states, lambda: self.now)
        else:
            machine_clock = MachineClock(self.shared, self._states, lambda: self.now)
        self.board = Board(
            config,
            machine_clock,
            self.harts,
            on_output=self._output.add,
            on_exit=self._finish,
            date=WallTime() if clock == "wall" else None,
        )
        #: Which physical address is meant by one that page tables give. (A paravirtual guest's have
        #: the addresses of the machine that it runs on.)
        self.guest_physical: Callable[[int], int] = lambda address: address
        #: The privilege whose permissions page tables give to the harts, if it is not their own. (A
        #: paravirtual guest's kernel has its memory as processes have.)
        self.translated_as: int | None = None
        #: Whether the host may write to a byte of memory by itself, given its address in this
        #: process; if it does that at all.
        self.changes_by_itself: Callable[[int], bool] | None = None
        self.htif: Htif | None = None
        self.virtio_console: VirtioConsole | None = None
        #: What was loaded.
        self.image: Image | None = None
        self._pmp = pmp
        self._share_memory()
        self.engine = self._make_engine(engine)
        self.scheduler = Scheduler(self._states, self.engine, self.hooks, self._access_device)
        self.stuck = StuckDetector(self)
        self.reset()

    # --- Building ----------------------------------------------------------------------------

    def _mmu_type(self) -> str | None:
        for bit, name in ((Ext.SV57, "sv57"), (Ext.SV48, "sv48"), (Ext.SV39, "sv39")):
            if self.extensions & bit:
                return name
        return None

    def _make_engine(self, engine: str | EngineMaker) -> Engine:
        if isinstance(engine, str):
            return make_engine(engine, self.shared, self._states)
        return engine(self.shared, self._states)

    def _share_memory(self) -> None:
        """Tell the harts where memory is."""
        shared = self.shared
        self._page_words: list[ctypes.Array[ctypes.c_uint32]] = []
        for n, ram in enumerate((self.board.ram, self.board.rom)):
            words = (ctypes.c_uint32 * (ram.size // 4096))()
            self._page_words.append(words)
            shared.region_base[n] = ram.base
            shared.region_size[n] = ram.size
            shared.region_host[n] = ram.host_address
            shared.region_writable[n] = int(ram.writable)
            shared.region_pages[n] = ctypes.addressof(words)
            ram.on_write = self._memory_written
        shared.clock_per_tick = CLOCKS_PER_TICK
        shared.hart_count = len(self._states)
        for n, state in enumerate(self._states):
            shared.harts[n] = ctypes.addressof(state)

    def _memory_written(self, address: int, length: int) -> None:
        """The host wrote to guest memory."""
        if self.shared.pool_used and self._may_be_decoded(address, length):
            invalidate_physical(self._states[0], address, length)
        for state in self._states:
            state.reservation_size = 0

    def _may_be_decoded(self, address: int, length: int) -> bool:
        """Whether instructions may have been decoded from some bytes. (Devices write often, and
        hardly ever there.)"""
        first, last = (at - RAM_BASE >> 12 for at in (address, address + length - 1))
        return first < 0 or any(
            word & PAGE_DECODED for word in self._page_words[0][first : last + 1]
        )

    def reset(self) -> None:
        """Return harts and devices to their state after power-on. Memory keeps its content."""
        for n, state in enumerate(self._states):
            reset(state, n, self.extensions, self._pmp)
        self.board.reset()
        if self.htif is not None:
            self.htif.reset()
        self.scheduler.reset()
        self.stuck.reset()
        self.shared.time_offset = 0
        if self.wall_clock is not None:
            self.wall_clock.go_on()
        self._ending = None

    def load(self, source: Path | str | bytes, *, address: int | None = None) -> Image:
        """Load a guest, an ELF file (or a raw image at a physical address), and make it ready to
        start in M-mode at its entry, with the hart's id in a0 and the device tree's address in a1.
        Raises `RvemuError`, with nothing changed, if it can't be."""
        image = load_elf(source) if address is None else load_raw(source, address)
        self._place(image)
        return image

    def boot(
        self,
        kernel: Path | str | None = None,
        *,
        firmware: Path | str | None = None,
        initrd: Path | str | None = None,
    ) -> Image:
        """Load what makes a system: firmware, which starts in M-mode (without it, the kernel does),
        a kernel (ELF or Linux `Image`), and the kernel's initial RAM disk. Raises `RvemuError`,
        with nothing changed, if it can't be."""
        image = assemble(self.board, firmware=firmware, kernel=kernel, initrd=initrd)
        self._place(image)
        return image

    def reboot(self) -> None:
        """Reset the machine and load its guest once more. (Memory that the guest's image does not
        cover keeps its content, as on a board.)"""
        self.reset()
        if self.image is not None:
            self._place(self.image)

    def _place(self, image: Image) -> None:
        before = self.board.config
        self.board.config = replace(before, initrd=image.initrd)
        try:
            tree = self.board.place_device_tree()
            check_place(image, self.board.ram, [tree.reserved])
            htif = self._htif_of(image)
            place(image, self.board.ram, [tree.reserved])
        except RvemuError:
            self.board.config = before
            raise
        self.board.ram.write(tree.address, tree.blob)
        information = self.board.program_reset_vector(
            image.entry, tree.address, image.next_entry or 0
        )
        self.image = image
        self._watch(htif)
        for n, hart in enumerate(self.harts):
            hart["pc"] = image.entry
            hart["a0"] = n
            hart["a1"] = tree.address
            hart["a2"] = information

    def _htif_of(self, image: Image) -> Htif | None:
        """The host interface at an image's `tohost` and `fromhost`, if it has these."""
        if image.tohost is None:
            return None
        return Htif(
            self.board.ram,
            image.tohost,
            image.fromhost,
            on_exit=self._htif_exit,
            on_output=self._output.add,
            read_input=self.htif.read_input if self.htif is not None else None,
        )

    def _watch(self, htif: Htif | None) -> None:
        """Have stores to the host interface's words come to the host."""
        self.htif = htif
        for n in range(len(self.shared.watched)):
            old = self.shared.watched[n]
            if old:
                self._page_words[0][(old - RAM_BASE) // 4096] &= ~PAGE_WATCHED
            self.shared.watched[n] = 0
        for n, word in enumerate(htif.words if htif is not None else ()):
            self.shared.watched[n] = word
            self._page_words[0][(word - RAM_BASE) // 4096] |= PAGE_WATCHED
        # A page that a TLB already holds for stores would not be seen.
        for state in self._states:
            flush_all(state)

    def plug(self, device: VirtioDevice, outside: Outside | None = None) -> None:
        """Put a virtio device into the board's first empty slot, before the guest is loaded.
        outside: what on the host works for it. A console prints where the UART does, and gets the
        input instead of it. Raises `RvemuError` if all slots are taken."""
        self.board.plug(device)
        if isinstance(device, VirtioConsole):
            device.on_output = self._output.add
            self.virtio_console = device
        if outside is not None:
            self.hooks.outside.append(outside)
            self.hooks.between.append(outside.poll)

    # --- Running -----------------------------------------------------------------------------

    @property
    def hart(self) -> HartView:
        """The first hart."""
        return self.harts[0]

    @property
    def output(self) -> Callable[[bytes], None] | None:
        """Takes what the guest prints; without it that goes to stdout. It can be set."""
        return self._output.take

    @output.setter
    def output(self, take: Callable[[bytes], None] | None) -> None:
        self._output.take = take

    @property
    def input_open(self) -> bool:
        """Whether input may still come from outside."""
        hooks = self.hooks
        return bool(hooks.outside) or (hooks.input_open is not None and hooks.input_open())

    @property
    def now(self) -> int:
        """The machine's clock: instructions attempted by all harts, and clocks spent waiting."""
        return self.scheduler.now

    @property
    def guest_time(self) -> float:
        """The seconds that have passed for the guest, since the reset or what it has set."""
        return self.board.aclint.clock.time() / TICKS_PER_SECOND

    def stop(self) -> None:
        """Have `run` return soon. May be called by hooks, signal handlers and other threads."""
        self._stop_requested = True
        for state in self._states:
            state.host_request = 1

    def run(
        self,
        budget: int | None = None,
        until: Callable[[], bool] | None = None,
        *,
        detect_stuck: bool | None = None,
    ) -> Outcome:
        """Run until the guest ends the machine, the clock has advanced by `budget`, or `until()`,
        which is asked between slices of instructions, some milliseconds long, is true.

        The clock counts the instructions that all harts together attempt, exactly; and what passes
        while all of them wait, one for each nanosecond.

        detect_stuck: whether to look for guests that only repeat themselves; by default if there
        is no budget. What all harts wait for in vain is noticed in any case."""
        scheduler = self.scheduler
        end = None if budget is None else scheduler.now + budget
        if detect_stuck is None:
            detect_stuck = budget is None
        slice_length = SLICES.get(self.engine.name, SLICES["native"])
        scheduler.stopping = False
        wall = self.wall_clock
        if wall is not None:
            wall.go_on()
        try:
            while self._ending is None:
                self._output.flush()
                for between in self.hooks.between:
                    between()
                if self._stop_requested:
                    return self._interrupted()
                if until is not None and until():
                    return Outcome(Reason.CONDITION)
                if end is not None and scheduler.now >= end:
                    return Outcome(Reason.BUDGET)
                if detect_stuck and (stuck := self.stuck.look(end)):
                    return Outcome(Reason.STUCK, detail=stuck)
                if wall is not None:
                    wall.follow()
                    slice_length = self._wall_slice
                limit = scheduler.now + slice_length
                if end is not None:
                    limit = min(limit, end)
                if not self._run_slice(limit) and not self._wait(end):
                    return Outcome(Reason.IDLE, detail=describe_waiting(self))
            return self._ending
        finally:
            self._output.flush()

    def _interrupted(self) -> Outcome:
        self._stop_requested = False
        for state in self._states:
            state.host_request = 0
        return Outcome(Reason.INTERRUPTED)

    def _run_slice(self, limit: int) -> bool:
        """Run until the clock reaches a limit, or a device wants to see the time. False if all
        harts wait."""
        due = self._device_due()
        self._slice_end = self.host_work + _SLICE_ACCESSES
        before, started = self.now, time.perf_counter()
        running = self.scheduler.run(limit if due is None else min(limit, due))
        if ran := self.now - before:
            # As many as would have taken the right time.
            rate = ran / max(time.perf_counter() - started, 1e-6)
            self._wall_slice = min(max(int(rate * _WALL_SLICE), _SHORTEST), _LONGEST)
        if due is not None and self.now >= due:
            self._update_devices()
        return running

    def _update_devices(self) -> None:
        """Let the devices see the time, and do what is left to do."""
        moved = self.board.moved
        self.board.update()
        self.worked((self.board.moved - moved) // _ACCESS_BYTES)

    def _device_due(self) -> int | None:
        """The clock at which a device wants to see the time; None if none does."""
        ticks = self.board.deadline()
        if ticks is None:
            return None
        per_tick = int(self.shared.clock_per_tick)
        return (self.now // per_tick + ticks) * per_tick

    def _wait(self, end: int | None) -> bool:
        """All harts wait: let time pass until something happens inside the machine, or outside.
        False if nothing will."""
        now = self.now
        event = min(clocks_to_timer(state) for state in self._states)
        self._far_waits = self._far_waits + 1 if event >= _FAR else 0
        if self._far_waits > _FAR_WAITS or (event >= _FAR and not self._timers_are_set()):
            event = _NEVER
        due = self._device_due()
        if due is not None:
            event = min(event, max(due - now, 1))
        per_tick = int(self.shared.clock_per_tick)
        passed = ticks = None if event >= _NEVER else -(-event // per_tick)
        if self.hooks.idle is not None:
            self._output.flush()
            passed = self.hooks.idle(ticks)
        elif self.hooks.outside or (self.wall_clock is not None and ticks is not None):
            self._output.flush()
            passed = wait_outside(self.hooks.outside, ticks)
        if passed is None:
            return False
        event = min(event, passed * per_tick)
        self.scheduler.skip(event if end is None else min(event, end - now))
        if due is not None and self.now >= due:
            self._update_devices()
        return True

    def _timers_are_set(self) -> bool:
        """Whether any timer's compare register means anything but "never"."""
        return any(
            min(state.mtimecmp, state.stimecmp, state.vstimecmp) < _NEVER for state in self._states
        )

    # --- What the guest does to the machine --------------------------------------------------

    def _access_device(self, number: int, write: bool) -> None:
        """Do the device access that a hart waits for."""
        state = self._states[number]
        address, width = int(state.device_address), int(state.device_width)
        value = int(state.device_value)
        done = True
        moved = self.board.moved
        offset = self.htif.offset_of(address, width) if self.htif is not None else None
        if write and self.htif is not None and offset is not None:
            self.htif.write(offset, width, value)
        elif write:
            done = self.board.bus.write(address, width, value)
        else:
            answer = self.board.bus.read(address, width)
            done = answer is not None
            value = state.device_value = answer or 0
        state.device_state = DEVICE_DONE if done else DEVICE_ABSENT
        self.device_accesses += done
        self.worked(1 + (self.board.moved - moved) // _ACCESS_BYTES)
        if write and (due := self._device_due()) is not None:
            self.scheduler.end_by(due)
        for on_device in self.hooks.device:
            on_device(number, address, width, value, write)

    def worked(self, accesses: int) -> None:
        """The host has worked for the guest as long as so many device accesses take. If that was
        much, it looks at its own affairs."""
        self.host_work += accesses
        if self.host_work >= self._slice_end:
            self.scheduler.end_by(self.now)

    def _finish(self, code: int, kind: Ending) -> None:
        self._end(Outcome(Reason.RESET if kind is Ending.RESET else Reason.EXITED, code))

    def _htif_exit(self, code: int) -> None:
        self._end(Outcome(Reason.EXITED, code))

    def _end(self, outcome: Outcome) -> None:
        self._ending = outcome
        self.scheduler.stopping = True

    # --- Memory ------------------------------------------------------------------------------

    def _memory_at(self, address: int, length: int) -> Ram:
        for ram in (self.board.ram, self.board.rom):
            if ram.contains(address, length):
                return ram
        raise RvemuError(f"{length} bytes at physical address {address:#x} are not in memory")

    def read_physical(self, address: int, length: int) -> bytes:
        """Bytes of memory. Raises `RvemuError` where there is none."""
        return self._memory_at(address, length).read(address, length)

    def write_physical(self, address: int, data: bytes) -> None:
        """Write bytes to memory. Raises `RvemuError` where there is none."""
        self._memory_at(address, len(data)).write(address, data)

    def lookup(self, address: int) -> str:
        """An address with the symbol that it belongs to, as `0x80000040 <main+0x4>`, where the
        loaded guest has one."""
        found = self.image.lookup(address) if self.image is not None else None
        if found is None:
            return f"{address:#x}"
        name, offset = found
        return f"{address:#x} <{name}+{offset:#x}>" if offset else f"{address:#x} <{name}>"

    def symbol(self, name: str) -> int:
        """The address of a symbol of the loaded guest. Raises `RvemuError` if it has none."""
        if self.image is None or not self.image.has_symbol(name):
            raise RvemuError(f"the guest has no symbol {name}")
        return self.image.symbols[name]


__all__: Sequence[str] = ["Hooks", "Machine", "Outcome", "Reason"]
