"""Arguments that say what a machine boots: a guest, or firmware with a kernel and its RAM disk."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from rvemu.cli.device_options import names_devices
from rvemu.cli.machine_options import DEFAULT_MEMORY
from rvemu.errors import RvemuError
from rvemu.loader import Image
from rvemu.machine import Machine

NONE, _DEFAULT = "none", "default"


def add_boot_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    add = parser.add_argument
    add("elf", nargs="?", metavar="guest.elf", help="the guest, an ELF file")
    add("--guest", metavar="NAME", help="a guest that comes with rvemu")
    add("--list-guests", action="store_true", help="name the guests that come with rvemu")
    add(
        "--load-address",
        type=_address,
        metavar="ADDR",
        help="the guest is a raw image, to be loaded and entered there",
    )
    group = add_kernel_options(parser)
    group.add_argument(
        "--bios",
        metavar="FILE",
        help="SBI firmware, as OpenSBI's fw_dynamic.bin; `default`: rvemu's own; `none`: the guest "
        "starts in M-mode (default: rvemu's own for --kernel and for guests that need it)",
    )


def add_kernel_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add those that name an operating system's kernel; their group."""
    group = parser.add_argument_group("operating systems")
    group.add_argument(
        "--kernel", metavar="FILE", help="a Linux Image (plain, gzip, zboot) or an ELF file"
    )
    group.add_argument("--initrd", metavar="FILE", help="the kernel's initial RAM disk")
    group.add_argument(
        "--linux",
        action="store_true",
        help="a Debian kernel with busybox, fetched by the system's apt when first used",
    )
    return group


@dataclass(frozen=True)
class Start:
    """What a machine is to boot, and what it needs to."""

    #: The guest, or the kernel; None where firmware is all there is.
    program: Path | None
    firmware: Path | None = None
    initrd: Path | None = None
    load_address: int | None = None
    #: Whether the program may be anything that kernels come as, not only an ELF file.
    is_kernel: bool = False
    #: How many harts to show it with, where --smp does not say.
    harts: int = 1
    #: Bytes of RAM, where --memory does not say.
    memory: int = DEFAULT_MEMORY
    #: What comes first on the kernel's command line.
    command_line: str = ""

    @property
    def elf(self) -> Path | None:
        """The program, if it is an ELF file, for debuggers to read symbols from."""
        if self.program is None or self.load_address is not None:
            return None
        with self.program.open("rb") as file:
            return self.program if file.read(4) == b"\x7fELF" else None

    def load(self, machine: Machine) -> Image:
        """Load it."""
        if self.program is None or self.is_kernel or self.firmware or self.initrd:
            return machine.boot(self.program, firmware=self.firmware, initrd=self.initrd)
        return machine.load(self.program, address=self.load_address)


def names_guest(arguments: argparse.Namespace) -> bool:
    """Whether the arguments say what to run."""
    given = (arguments.elf, arguments.guest, arguments.kernel, arguments.bios)
    return arguments.linux or any(name is not None for name in given)


def find_start(arguments: argparse.Namespace) -> Start:
    """What the arguments ask for. Raises `RvemuError` where they contradict each other, or name
    nothing."""
    named = [
        name
        for name, given in (
            ("--guest NAME", arguments.guest is not None),
            ("a file", arguments.elf is not None),
            ("--kernel FILE", arguments.kernel is not None),
            ("--linux", arguments.linux),
        )
        if given
    ]
    if len(named) > 1:
        raise RvemuError(f"give {' or '.join(named)}, not both")
    initrd = Path(arguments.initrd) if arguments.initrd is not None else None
    if arguments.load_address is not None and (arguments.elf is None or initrd or arguments.bios):
        raise RvemuError("--load-address is for a raw image alone: rvemu run --load-address A FILE")
    bios, with_devices = arguments.bios or _DEFAULT, names_devices(arguments)
    if (kernel := find_kernel(arguments, bios, with_devices=with_devices)) is not None:
        return kernel
    if arguments.guest is not None:
        return _guest(arguments, initrd)
    bios = arguments.bios or NONE
    if arguments.elf is None and bios in (NONE, _DEFAULT):
        raise RvemuError(
            "run what? Give an ELF file, --guest NAME (--list-guests names them), --kernel FILE or "
            "--linux"
        )
    firmware = _firmware(bios)
    if arguments.elf is not None:
        elf = Path(arguments.elf)
        return Start(elf, firmware, initrd, load_address=arguments.load_address)
    return Start(None, firmware, initrd)


def find_kernel(arguments: argparse.Namespace, bios: str, *, with_devices: bool) -> Start | None:
    """The operating system that the arguments name, on some firmware, and with the drivers of
    virtio devices if it needs them; None if they name none."""
    initrd = Path(arguments.initrd) if arguments.initrd is not None else None
    if arguments.linux:
        return _linux(bios, initrd, with_devices=with_devices)
    if arguments.kernel is not None:
        return Start(Path(arguments.kernel), _firmware(bios), initrd, is_kernel=True)
    return None


def _linux(bios: str, initrd: Path | None, *, with_devices: bool) -> Start:
    from rvemu.linux import COMMAND_LINE, MEMORY, find_linux
    from rvemu.user_cache import cache_folder

    found = find_linux(cache_folder())
    return Start(
        found.kernel,
        _firmware(bios),
        initrd or (found.initrd_with_modules if with_devices else found.initrd),
        is_kernel=True,
        memory=MEMORY,
        command_line=COMMAND_LINE + _terminal_size(),
    )


def _terminal_size() -> str:
    """What the first process of --linux is told of the user's terminal, if there is one."""
    from rvemu.session import STDIN
    from rvemu.terminal import Terminal

    if not Terminal.is_ours(STDIN):
        return ""
    size = os.get_terminal_size(STDIN)
    return f" columns={size.columns} rows={size.lines}" if size.lines else ""


def _guest(arguments: argparse.Namespace, initrd: Path | None) -> Start:
    from rvemu.guests import find_guest, list_guests

    known = {guest.name: guest for guest in list_guests()}
    info = known.get(arguments.guest)
    needs_sbi = info is not None and info.needs_sbi
    if needs_sbi and arguments.bios == NONE:
        raise RvemuError(
            f"guest {arguments.guest} starts in S-mode on SBI firmware, and --bios none gives it "
            "none"
        )
    path = find_guest(arguments.guest)
    firmware = _firmware(arguments.bios or (_DEFAULT if needs_sbi else NONE))
    return Start(path, firmware, initrd, harts=info.harts if info is not None else 1)


def _firmware(name: str) -> Path | None:
    if name == NONE:
        return None
    if name != _DEFAULT:
        return Path(name)
    from rvemu.firmware import find_firmware

    return find_firmware()


def list_guests() -> int:
    """Print the guests that come with rvemu; the exit status."""
    from rvemu.guests import list_guests

    guests = list_guests()
    width = max((len(guest.name) for guest in guests), default=0)
    for guest in guests:
        print(f"{guest.name:<{width}}  {guest.description}")
    return 0


def _address(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not an address, as 0x80000000") from None
