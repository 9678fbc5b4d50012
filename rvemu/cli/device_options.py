"""Arguments that plug devices into the board: disks, a network, random numbers, a console."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rvemu.errors import RvemuError
from rvemu.machine import RNG_SEED_LENGTH, Machine

if TYPE_CHECKING:
    from rvemu.drives import Drive, DriveOptions


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("virtio devices (docs/virtio.md)")
    add_drive_options(group)
    add = group.add_argument
    add(
        "--netdev",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="a network: user[,hostfwd=tcp:127.0.0.1:2222-:22]..., "
        "stream,addr.type=unix,addr.path=SOCKET, or tap,ifname=tap0",
    )
    add(
        "--share",
        action="append",
        default=[],
        metavar="FOLDER[,writable=on]",
        help="a folder of the host's that the guest may read, and write if that is said, by 9P; "
        "the first one's tag is share0, the second one's share1...",
    )
    add(
        "--rng",
        nargs="?",
        const="seed=0",
        metavar="SOURCE",
        help="random numbers: seed=N, the same in every run (default: seed=0), or host",
    )
    add(
        "--virtio-console",
        action="store_true",
        help="a second console, hvc0 in Linux, which gets the input instead of the UART",
    )


def add_drive_options(group: argparse._ArgumentGroup, more: str = "") -> None:
    """Add those of disks alone. more: what can be said of a drive beyond `DriveOptions`."""
    group.add_argument(
        "--drive",
        action="append",
        default=[],
        metavar="OPTIONS",
        help="a disk, as file=disk.img,format=raw[,readonly=on][,snapshot=on][,serial=NAME]"
        f"[,offset=N,size=N]{more}; with offset and size (as 64M), a slice of the image",
    )
    group.add_argument(
        "--snapshot",
        action="store_true",
        help="leave all disks' images as they are: what the guest writes is lost at the end",
    )


def names_devices(arguments: argparse.Namespace) -> bool:
    """Whether the arguments plug in any device."""
    lists = (arguments.drive, arguments.netdev, arguments.share)
    return any(lists) or arguments.virtio_console or arguments.rng is not None


@contextlib.contextmanager
def devices(arguments: argparse.Namespace, machine: Machine) -> Iterator[None]:
    """Plug in what the arguments say, in the order: disks, networks, folders, the
    console, random numbers.
    Raises `RvemuError` where something cannot be had."""
    with contextlib.ExitStack() as stack:
        if arguments.drive:
            from rvemu.devices.virtio.block import Block
            from rvemu.drives import DriveOptions

            def plug(drive: Drive) -> None:
                machine.plug(Block(drive))

            wanted = [(plug, DriveOptions.parse(text)) for text in arguments.drive]
            stack.enter_context(drives(wanted, snapshot=arguments.snapshot))
        for n, text in enumerate(arguments.netdev):
            _plug_network(text, n, machine, stack)
        for n, text in enumerate(arguments.share):
            _plug_share(text, n, machine, stack)
        if arguments.virtio_console:
            from rvemu.devices.virtio.console import Console

            machine.plug(Console())
        if arguments.rng is not None:
            _plug_entropy(arguments.rng, machine)
        yield


@contextlib.contextmanager
def drives(
    wanted: Sequence[tuple[Callable[[Drive], None], DriveOptions]], *, snapshot: bool = False
) -> Iterator[None]:
    """Open disks, and plug each in by the function beside it. snapshot: all images stay as they
    are. Raises `RvemuError` where one cannot be had."""
    from rvemu.drives import open_drives

    every = [replace(options, snapshot=options.snapshot or snapshot) for _, options in wanted]
    with contextlib.ExitStack() as stack:
        opened = open_drives(every)
        for drive in opened:
            stack.callback(drive.close)
        for (plug, _), drive in zip(wanted, opened, strict=True):
            plug(drive)
        yield


def _plug_network(text: str, n: int, machine: Machine, stack: contextlib.ExitStack) -> None:
    from rvemu.netdev import NetdevOptions, Network

    network = Network(NetdevOptions.parse(text, n))
    stack.callback(network.close)
    machine.plug(network.device, network)


def _plug_share(text: str, n: int, machine: Machine, stack: contextlib.ExitStack) -> None:
    from rvemu.devices.virtio.p9 import P9
    from rvemu.share import Share, ShareOptions

    options = ShareOptions.parse(text)
    share = Share(options.path, writable=options.writable)
    stack.callback(share.close)
    machine.plug(P9(share, f"share{n}"))


def _plug_entropy(text: str, machine: Machine) -> None:
    from rvemu.devices.virtio.entropy import Entropy, HostEntropy, SeededEntropy

    key, _, seed = text.partition("=")
    source: HostEntropy | SeededEntropy
    if text == "host":
        source = HostEntropy()
    elif key == "seed" and seed.isascii() and seed.isdigit():
        source = SeededEntropy(int(seed))
    else:
        raise RvemuError(f"--rng {text}: is neither `host` nor a seed, as seed=42")
    # A kernel begins with what the device tree has, before it has a driver.
    board = machine.board
    board.config = replace(board.config, rng_seed=source.take(RNG_SEED_LENGTH))
    machine.plug(Entropy(source))
