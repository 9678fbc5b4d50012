"""The machine around the harts: memory map, wiring and device tree of the `virt` board.

Addresses, interrupt numbers and node names are those of QEMU's `virt` machine, so that one guest
image runs on both. A device is added with one `_add` in `Board.__init__`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from rvemu.bus import Bus
from rvemu.devices.aclint import Aclint
from rvemu.devices.device import Clock, Device, InterruptLine
from rvemu.devices.plic import Plic
from rvemu.devices.rtc import MachineTime, Rtc, TimeSource
from rvemu.devices.syscon import PASS, RESET, Ending, Finisher
from rvemu.devices.uart import Uart
from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.mmio import MmioTransport
from rvemu.errors import RvemuError
from rvemu.fdt import Node, cells, cells64, strings, to_dtb
from rvemu.loader import Reserved
from rvemu.memory import PAGE_SIZE, Ram
from rvemu.reset_vector import INFORMATION_OFFSET, reset_vector

ROM_BASE, ROM_SIZE = 0x1000, 0xF000
FINISHER_BASE = 0x10_0000
RTC_BASE, RTC_IRQ = 0x10_1000, 11
CLINT_BASE = 0x200_0000
PLIC_BASE, PLIC_SOURCES = 0xC00_0000, 96
UART_BASE, UART_IRQ = 0x1000_0000, 10
UART_CLOCK = 3_686_400  # Hz; a divisor of 2 gives 115200 baud
VIRTIO_BASE, VIRTIO_IRQ, VIRTIO_SLOTS = 0x1000_1000, 1, 8
RAM_BASE = 0x8000_0000

TIMEBASE_FREQUENCY = 10_000_000  # ticks of mtime in a second
CACHE_BLOCK_SIZE = 64  # bytes that cbo.* and prefetch.* act on

# Bits of mip that the board drives.
MSIP, MTIP, SEIP, MEIP = 3, 7, 9, 11

_MIB = 1 << 20
# Bytes behind the device tree, where firmware and boot loaders add to it.
_TREE_ROOM = 2 * PAGE_SIZE


class HartPorts(Protocol):
    """What the board needs of a hart."""

    #: The timer compare register, 64 bits; see `rvemu.devices.aclint.TimerPort`.
    mtimecmp: int

    def set_interrupt(self, bit: int, level: bool) -> None:
        """Drive an interrupt input: MSIP, MEIP or SEIP, by its bit in `mip`."""


@dataclass(frozen=True)
class BoardConfig:
    """What a user may choose."""

    #: Bytes of RAM, a multiple of the page size.
    ram_size: int = 128 * _MIB
    #: What the harts implement, as a `riscv,isa` string; it is only reported to the guest.
    isa: str = "rv64imafdc_zicsr_zifencei"
    #: The largest translation mode: "sv39", "sv48" or "sv57", or None without S-mode.
    mmu_type: str | None = "sv57"
    #: The kernel's command line.
    bootargs: str = ""
    #: Physical addresses of the initial RAM disk: its first byte and the one after its last.
    initrd: tuple[int, int] | None = None
    #: Randomness for the guest's kernel to start from. Fixed or absent, runs repeat.
    rng_seed: bytes | None = None


class PlacedTree(NamedTuple):
    """A device tree and the physical address where it is to be put."""

    address: int
    blob: bytes

    @property
    def reserved(self) -> Reserved:
        """The range that no guest image may touch."""
        return Reserved("device tree", self.address, len(self.blob))


@dataclass(frozen=True)
class _Slot:
    """A device's place on the board."""

    base: int
    device: Device
    node_name: str
    props: dict[str, bytes]


class _HartInput:
    """An interrupt line that ends at a hart."""

    def __init__(self, port: HartPorts, bit: int) -> None:
        self._port = port
        self._bit = bit

    def set(self, level: bool) -> None:
        self._port.set_interrupt(self._bit, level)


class Board:
    """RAM, ROM, bus and devices, wired to the harts whose ports are given (hart ids from 0).

    `date` is where the RTC gets the date from, by default the machine's own clock. Raises
    `RvemuError` when the host has not the memory that `config` asks for.
    """

    def __init__(
        self,
        config: BoardConfig,
        clock: Clock,
        ports: Sequence[HartPorts],
        *,
        date: TimeSource | None = None,
        on_output: Callable[[bytes], None] | None = None,
        on_exit: Callable[[int, Ending], None] | None = None,
    ) -> None:
        assert ports, "a board without harts"
        self.config = config
        self.harts = len(ports)
        self.ram = Ram(RAM_BASE, config.ram_size)
        self.rom = Ram(ROM_BASE, ROM_SIZE, writable=False, name="ROM")
        self.bus = Bus()
        self.bus.map_memory(self.rom)
        self.bus.map_memory(self.ram)
        self._slots: list[_Slot] = []

        def hart_lines(*bits: int) -> list[InterruptLine]:
            return [_HartInput(port, bit) for port in ports for bit in bits]

        self.finisher = Finisher(on_exit)
        self.aclint = Aclint(clock, ports, hart_lines(MSIP))
        self.plic = Plic(hart_lines(MEIP, SEIP), PLIC_SOURCES)
        self.rtc = Rtc(date or MachineTime(clock), self.plic.line(RTC_IRQ))
        self.uart = Uart(self.plic.line(UART_IRQ), on_output)

        self._add(
            FINISHER_BASE,
            self.finisher,
            "test",
            compatible=strings("sifive,test1", "sifive,test0", "syscon"),
            phandle=cells(self._finisher_phandle),
        )
        self._add(RTC_BASE, self.rtc, "rtc", irq=RTC_IRQ, compatible=strings("google,goldfish-rtc"))
        self._add(
            CLINT_BASE,
            self.aclint,
            "clint",
            compatible=strings("sifive,clint0", "riscv,clint0"),
            interrupts_extended=self._hart_interrupts(MSIP, MTIP),
        )
        self._add(
            PLIC_BASE,
            self.plic,
            "plic",
            compatible=strings("sifive,plic-1.0.0", "riscv,plic0"),
            address_cells=cells(0),
            interrupt_cells=cells(1),
            interrupt_controller=b"",
            interrupts_extended=self._hart_interrupts(MEIP, SEIP),
            ndev=cells(PLIC_SOURCES - 1),
            phandle=cells(self._plic_phandle),
        )
        self._add(
            UART_BASE,
            self.uart,
            "serial",
            irq=UART_IRQ,
            compatible=strings("ns16550a"),
            clock_frequency=cells(UART_CLOCK),
        )
        # All slots are there, as on QEMU's board; an empty one has device id 0.
        self.virtio: list[MmioTransport] = []
        self._plugged: list[MmioTransport] = []
        for n in range(VIRTIO_SLOTS):
            slot = MmioTransport(self.ram, self.plic.line(VIRTIO_IRQ + n))
            self.virtio.append(slot)
            self._add(
                VIRTIO_BASE + n * slot.size,
                slot,
                "virtio_mmio",
                irq=VIRTIO_IRQ + n,
                compatible=strings("virtio,mmio"),
            )

    def plug(self, device: VirtioDevice) -> MmioTransport:
        """Put a virtio device into the first empty slot. Raises `RvemuError` if there is none."""
        for slot in self.virtio:
            if slot.device is None:
                slot.plug(device)
                self._plugged.append(slot)
                return slot
        raise RvemuError(f"{device.name}: the board has {VIRTIO_SLOTS} virtio slots, all taken")

    @property
    def moved(self) -> int:
        """How many bytes virtio devices have moved, and what counts as much."""
        return sum(slot.device.moved for slot in self._plugged if slot.device is not None)

    def may_store(self, input_open: bool) -> bool:
        """Whether a virtio device may store to memory though the guest leaves all devices alone: it
        has work left, or gets input from outside (input_open: which may come)."""
        return any(
            slot.running and (slot.backlog or (input_open and slot.device.receives))
            for slot in self._plugged
            if slot.device is not None
        )

    def reset(self) -> None:
        """Return all devices to the state after power-on. Memory keeps its content."""
        for slot in self._slots:
            slot.device.reset()

    def deadline(self) -> int | None:
        """In how many ticks of `mtime` `update` has to be called, however quiet the guest is;
        None if nothing is due."""
        for slot in self._plugged:
            if slot.backlog:
                return 1
        return self.rtc.deadline()

    def update(self) -> None:
        """Let the devices see the time."""
        self.rtc.update()
        for slot in self._plugged:
            if slot.backlog:
                slot.update()

    def program_reset_vector(self, entry: int, device_tree: int, next_entry: int = 0) -> int:
        """Put code into the ROM that starts a hart as `rvemu.reset_vector` says; a hart that
        starts at `ROM_BASE` runs it. Returns the address that it puts into a2."""
        self.rom.write(ROM_BASE, reset_vector(entry, device_tree, next_entry))
        return ROM_BASE + INFORMATION_OFFSET

    def place_device_tree(self) -> PlacedTree:
        """Make the device tree's blob and choose where it goes: at the end of RAM, but below
        3 GiB, where every guest can reach it. Nothing is written.

        Raises `RvemuError` when there is no room, or when the initial RAM disk is in the way.
        """
        blob = to_dtb(self.device_tree())
        # Large alignment lets a kernel map the tree with one large page, where there is room.
        alignment = 2 * _MIB if self.ram.size >= 16 * _MIB else PAGE_SIZE
        end = min(self.ram.end, 3 << 30)
        room = _TREE_ROOM if self.ram.size >= _MIB else 0  # firmware takes as much
        address = (end - room - len(blob)) // alignment * alignment
        if address < self.ram.base:
            raise RvemuError(
                f"RAM of {self.ram.size:#x} bytes has no room for the device tree "
                f"({len(blob)} bytes); give the machine more memory"
            )
        if self.config.initrd is not None:
            start, stop = self.config.initrd
            if start < address + len(blob) and address < stop:
                raise RvemuError(
                    f"the initrd at {start:#x}..{stop - 1:#x} overlaps the device tree at "
                    f"{address:#x}..{address + len(blob) - 1:#x}"
                )
        return PlacedTree(address, blob)

    def device_tree(self) -> Node:
        """The board as its guest is to see it."""
        root = Node(
            "",
            {
                "#address-cells": cells(2),
                "#size-cells": cells(2),
                "compatible": strings("riscv-virtio"),
                "model": strings("riscv-virtio,rvemu"),
            },
        )
        self._chosen(root)
        root.add("aliases", {"serial0": strings(f"/soc/serial@{UART_BASE:x}")})
        root.add(
            f"memory@{RAM_BASE:x}",
            {"device_type": strings("memory"), "reg": cells64(RAM_BASE, self.ram.size)},
        )
        self._cpus(root)
        for name, value in (("poweroff", PASS), ("reboot", RESET)):
            root.add(
                name,
                {
                    "compatible": strings(f"syscon-{name}"),
                    "regmap": cells(self._finisher_phandle),
                    "offset": cells(0),
                    "value": cells(value),
                },
            )
        soc = root.add(
            "soc",
            {
                "#address-cells": cells(2),
                "#size-cells": cells(2),
                "compatible": strings("simple-bus"),
                "ranges": b"",
            },
        )
        for slot in self._slots:
            reg = cells64(slot.base, slot.device.size)
            soc.add(f"{slot.node_name}@{slot.base:x}", {"reg": reg, **slot.props})
        return root

    def _add(
        self, base: int, device: Device, node_name: str, irq: int | None = None, **props: bytes
    ) -> None:
        """Put a device on the bus and into the device tree.

        Properties are given by their names in `_PROPERTY_NAMES`; `irq` is its PLIC source.
        """
        self.bus.map(base, device)
        named = {_PROPERTY_NAMES.get(name, name): value for name, value in props.items()}
        if irq is not None:
            named["interrupts"] = cells(irq)
            named["interrupt-parent"] = cells(self._plic_phandle)
        self._slots.append(_Slot(base, device, node_name, named))

    # Phandles: the harts' interrupt controllers, the PLIC, the finisher, the harts themselves.

    def _intc_phandle(self, hart: int) -> int:
        return 1 + hart

    @property
    def _plic_phandle(self) -> int:
        return 1 + self.harts

    @property
    def _finisher_phandle(self) -> int:
        return 2 + self.harts

    def _cpu_phandle(self, hart: int) -> int:
        return 3 + self.harts + hart

    def _hart_interrupts(self, *bits: int) -> bytes:
        """Inputs of every hart, in the order in which a controller drives them."""
        return b"".join(
            cells(self._intc_phandle(hart), bit) for hart in range(self.harts) for bit in bits
        )

    def _chosen(self, root: Node) -> None:
        chosen = root.add("chosen", {"stdout-path": strings(f"/soc/serial@{UART_BASE:x}")})
        if self.config.bootargs:
            chosen.props["bootargs"] = self.config.bootargs.encode() + b"\0"
        if self.config.initrd is not None:
            start, end = self.config.initrd
            chosen.props["linux,initrd-start"] = cells64(start)
            chosen.props["linux,initrd-end"] = cells64(end)
        if self.config.rng_seed is not None:
            chosen.props["rng-seed"] = self.config.rng_seed

    def _cpus(self, root: Node) -> None:
        cpus = root.add(
            "cpus",
            {
                "#address-cells": cells(1),
                "#size-cells": cells(0),
                "timebase-frequency": cells(TIMEBASE_FREQUENCY),
            },
        )
        isa = isa_properties(self.config.isa)
        for hart in range(self.harts):
            cpu = cpus.add(
                f"cpu@{hart:x}",
                {
                    "device_type": strings("cpu"),
                    "reg": cells(hart),
                    "status": strings("okay"),
                    "compatible": strings("riscv"),
                    **isa,
                    "phandle": cells(self._cpu_phandle(hart)),
                },
            )
            if self.config.mmu_type is not None:
                cpu.props["mmu-type"] = strings(f"riscv,{self.config.mmu_type}")
            cpu.add(
                "interrupt-controller",
                {
                    "#address-cells": cells(0),
                    "#interrupt-cells": cells(1),
                    "interrupt-controller": b"",
                    "compatible": strings("riscv,cpu-intc"),
                    "phandle": cells(self._intc_phandle(hart)),
                },
            )
        cluster = cpus.add("cpu-map").add("cluster0")
        for hart in range(self.harts):
            cluster.add(f"core{hart}", {"cpu": cells(self._cpu_phandle(hart))})


_PROPERTY_NAMES = {
    "address_cells": "#address-cells",
    "interrupt_cells": "#interrupt-cells",
    "interrupt_controller": "interrupt-controller",
    "interrupts_extended": "interrupts-extended",
    "clock_frequency": "clock-frequency",
    "ndev": "riscv,ndev",
}

_BLOCK_SIZES = {
    "zicbom": "riscv,cbom-block-size",
    "zicbop": "riscv,cbop-block-size",
    "zicboz": "riscv,cboz-block-size",
}


def isa_properties(isa: str) -> dict[str, bytes]:
    """A hart's properties that follow from a valid `riscv,isa` string.

    Source: the `riscv,cpus` and `riscv,isa-extensions` bindings of the Linux kernel.
    """
    isa = isa.lower()
    letters, *rest = isa.split("_")
    # Multi-letter extensions may follow the single letters without an underscore.
    found = re.fullmatch(r"(rv\d+)([a-rt-wy]*)([szx].*)?", letters)
    assert found is not None, f"{isa!r} is no riscv,isa string"
    base, singles, first = found.groups()
    extensions: list[str] = []
    for letter in singles:
        extensions += ["i", "m", "a", "f", "d", "zicsr", "zifencei"] if letter == "g" else [letter]
    extensions += [first] if first else []
    extensions += [name for name in rest if name not in extensions]
    props = {
        "riscv,isa": strings(isa),
        "riscv,isa-base": strings(base + extensions[0]),
        "riscv,isa-extensions": strings(*extensions),
    }
    for extension, name in _BLOCK_SIZES.items():
        if extension in extensions:
            props[name] = cells(CACHE_BLOCK_SIZE)
    return props
