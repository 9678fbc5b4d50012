"""What `rvemu vm` runs: ELF files, guests that come with rvemu, an operating system's kernel."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from rvemu.cli.boot_options import NONE, add_kernel_options, find_kernel
from rvemu.cli.machine_options import DEFAULT_MEMORY, check_command_line
from rvemu.errors import RvemuError
from rvemu.vmm.host import MOST_HARTS
from rvemu.vmm.virtual_machine import (
    MODES,
    PARAVIRT,
    TRANSPARENT,
    VirtualMachine,
    is_paravirtual,
)


@dataclass(frozen=True)
class Guest:
    """What to run."""

    path: Path
    #: It starts in S-mode, on firmware of the VMM's.
    sbi: bool
    #: The name of the same guest, built to make hypercalls, if there is one.
    paravirt: str = ""
    #: It may be anything that kernels come as, not only an ELF file.
    is_kernel: bool = False
    initrd: Path | None = None
    command_line: str = ""
    #: Bytes of RAM, where --memory does not say.
    memory: int = DEFAULT_MEMORY
    #: How many virtual harts it has.
    harts: int = 1

    def path_for(self, mode: str) -> Path:
        """The file for a mode."""
        if mode == PARAVIRT and self.paravirt:
            from rvemu.guests import find_guest

            return find_guest(self.paravirt)
        return self.path

    def modes(self) -> tuple[str, ...]:
        """The modes in which it does the same. (Where the VMM is not its firmware, firmware of its
        own prints too.)"""
        if self.is_kernel or self.harts > 1:
            return TRANSPARENT
        return MODES if is_paravirtual(self.path) or (self.paravirt and self.sbi) else TRANSPARENT

    def why_not_paravirtual(self) -> str:
        """What keeps mode paravirt out of `modes`, as the end of a sentence."""
        if self.harts > 1:
            return f"has {self.harts} harts, and a paravirtual guest has one"
        if self.paravirt:
            return "prints in M-mode too, which is not there (--mode paravirt runs its kernel)"
        return "was not built to make hypercalls"

    def load(self, machine: VirtualMachine) -> None:
        """Make a virtual machine ready to start it."""
        if self.is_kernel:
            machine.boot(self.path, self.initrd)
        else:
            machine.load(self.path_for(machine.mode))


def add_guest_options(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name guests."""
    add = parser.add_argument
    add("elf", nargs="*", metavar="guest.elf", help="guests, ELF files")
    add(
        "--guest", action="append", default=[], metavar="NAME", help="a guest that comes with rvemu"
    )
    add("--sbi", action="store_true", help="guests start in S-mode, on firmware of the VMM's")
    kernel = add_kernel_options(parser)
    kernel.add_argument("--append", default="", metavar="TEXT", help="the kernel's command line")


def add_harts_option(group: argparse._ArgumentGroup) -> None:
    """Add --smp."""
    group.add_argument(
        "--smp",
        type=int,
        metavar="N",
        help=f"virtual harts of each guest, 1 to {MOST_HARTS}, and in mode paravirt 1 (default: 1, "
        "or as many as a guest of rvemu's is shown with)",
    )


def how_many_guests(arguments: argparse.Namespace) -> int:
    """How many guests arguments name."""
    has_kernel = arguments.linux or arguments.kernel is not None
    return len(arguments.elf) + len(arguments.guest) + has_kernel


def find_guests(arguments: argparse.Namespace) -> list[Guest]:
    """The guests that arguments name, the kernel last. Raises `RvemuError` if there are none."""
    harts = 1 if arguments.smp is None else arguments.smp
    found = [Guest(Path(elf), arguments.sbi, harts=harts) for elf in arguments.elf]
    found += _bundled(arguments)
    check_command_line(arguments.append)
    if (kernel := find_kernel(arguments, NONE, with_devices=bool(arguments.drive))) is not None:
        assert kernel.program is not None
        found.append(
            Guest(
                kernel.program,
                sbi=True,
                is_kernel=True,
                initrd=kernel.initrd,
                command_line=" ".join(filter(None, (kernel.command_line, arguments.append))),
                memory=kernel.memory,
                harts=harts,
            )
        )
    elif arguments.initrd is not None or arguments.append:
        raise RvemuError("--initrd and --append are for a kernel: give --kernel FILE or --linux")
    if not found:
        raise RvemuError("run what? Give an ELF file, --guest NAME, --kernel FILE or --linux")
    return found


def _bundled(arguments: argparse.Namespace) -> list[Guest]:
    if not arguments.guest:
        return []
    from rvemu.guests import find_guest, list_guests

    known = {guest.name: guest for guest in list_guests()}
    found = []
    for name in arguments.guest:
        if name in known and known[name].needs_h:
            raise RvemuError(f"guest {name} needs the H extension; a virtual hart has none")
        path = find_guest(name)
        info = known[name]
        harts = info.harts if arguments.smp is None else arguments.smp
        sbi = info.needs_sbi or arguments.sbi
        found.append(Guest(path, sbi, info.paravirt, harts=harts))
    return found
