"""Guests and virtual machines for tests of the VMM."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from rvemu.devices.virtio.device import VirtioDevice
from rvemu.guests import find_guest, list_guests
from rvemu.hart.extensions import DEFAULT_ISA
from rvemu.hart.state import Hart
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import VirtualMachine

# Modes of direct execution; the first mode, emulation, is what they must equal.
DIRECT = ("trap-and-emulate", "hardware")
# The first of these, with --patch.
PATCHED = "trap-and-emulate --patch"


class Output(bytearray):
    """Collects what a guest prints."""

    def __call__(self, data: bytes) -> None:
        self += data


def virtual_machine(
    mode: str,
    guest: bytes | Path,
    *,
    host: Host | None = None,
    memory: int = 32 << 20,
    harts: int = 1,
    sbi: bool = False,
    name: str = "guest",
    quirks: int = 0,
    patch: bool = False,
    engine: str = "native",
    isa: str = DEFAULT_ISA,
    devices: Sequence[VirtioDevice] = (),
) -> tuple[VirtualMachine, Output]:
    """A virtual machine with a guest loaded, and what it will print."""
    output = Output()
    machine = VirtualMachine(
        mode,
        host,
        memory=memory,
        harts=harts,
        sbi=sbi,
        output=output,
        name=name,
        quirks=quirks,
        patch=patch,
        engine=engine,
        isa=isa,
    )
    for device in devices:
        machine.machine.plug(device)
    machine.load(guest)
    return machine, output


@cache
def bundled(name: str) -> tuple[Path, bool]:
    """A guest that comes with rvemu, and whether it needs firmware."""
    info = {guest.name: guest for guest in list_guests()}[name]
    return find_guest(name), info.needs_sbi


# What a guest can see of its hart: all of it. (The rest of a Hart is the engine's.)
_CSRS = (
    *(
        "mstatus",
        "medeleg",
        "mideleg",
        "mie",
        "mip",
        "mtvec",
        "mepc",
        "mcause",
        "mtval",
        "mscratch",
    ),
    *("mcounteren", "mcountinhibit", "menvcfg", "mcycle_offset", "minstret_offset", "mtimecmp"),
    *("stvec", "sepc", "scause", "stval", "sscratch", "scounteren", "senvcfg", "satp", "stimecmp"),
    *("fflags", "frm"),
)


def ram_of(machine: VirtualMachine) -> bytes:
    """A guest's memory."""
    ram = machine.machine.board.ram
    return ram.read(ram.base, ram.size)


def visible_harts(machine: VirtualMachine) -> list[dict[str, int | Sequence[int]]]:
    """The state of all its harts, as its guest can see it."""
    return [visible(hart.state) for hart in machine.machine.harts]


def visible(h: Hart) -> dict[str, int | Sequence[int]]:
    """The state of a hart as its guest can see it: registers, CSRs, privilege, time."""
    state: dict[str, int | Sequence[int]] = {name: int(getattr(h, name)) for name in _CSRS}
    state["pc"] = int(h.pc)
    state["priv"] = int(h.priv)
    state["x"] = list(h.x[0:32])
    state["f"] = list(h.f[0:32])
    state["clock"] = int(h.clock_end - h.budget) & (1 << 64) - 1
    state["instret"] = int(h.retire_end - h.budget) & (1 << 64) - 1
    return state
