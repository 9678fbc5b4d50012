"""Arguments that say what machine to build, shared by the commands that build one."""

import argparse
import os
from collections.abc import Callable

from rvemu.cli.quantities import size
from rvemu.engine import ENGINES
from rvemu.errors import RvemuError
from rvemu.hart.extensions import DEFAULT_ISA
from rvemu.machine import Machine

DEFAULT_MEMORY = 128 << 20


def add_machine_options(parser: argparse.ArgumentParser) -> None:
    """Add them."""
    group = parser.add_argument_group("the machine")
    add_memory_option(group, "RAM")
    group.add_argument("--smp", type=int, metavar="N", help="harts (default: 1)")
    add_isa_option(group, "what the harts implement")
    group.add_argument(
        "--pmp", type=int, default=16, metavar="N", help="PMP entries, 0 to 64 (default: 16)"
    )
    group.add_argument("--append", default="", metavar="TEXT", help="the kernel's command line")


def add_memory_option(group: argparse._ArgumentGroup, what: str) -> None:
    """Add --memory."""
    group.add_argument(
        "-m",
        "--memory",
        type=size,
        default=DEFAULT_MEMORY,
        metavar="SIZE",
        help=f"{what}, as 128M or 2G; a bare number is in MiB (default: 128M)",
    )


def add_isa_option(group: argparse._ArgumentGroup, what: str) -> None:
    """Add --isa."""
    group.add_argument(
        "--isa",
        default=DEFAULT_ISA,
        metavar="STRING",
        help=f"{what}, as rv64imac_zicsr (default: all that rvemu has)",
    )


def add_engine_option(parser: argparse.ArgumentParser) -> None:
    """Add --engine."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="native",
        help="native: compiled, fast; reference: the model in Python, slow (default: native)",
    )


def build_machine(
    arguments: argparse.Namespace,
    *,
    engine: str | None = None,
    harts: int | None = None,
    clock: str = "instructions",
    output: Callable[[bytes], None] | None = None,
) -> Machine:
    """The machine that the arguments describe. harts: how many, if --smp does not say; clock: what
    its time follows."""
    check_command_line(arguments.append)
    _check_memory(arguments.memory)
    return Machine(
        memory=arguments.memory,
        harts=(harts or 1) if arguments.smp is None else arguments.smp,
        isa=arguments.isa,
        engine=engine or arguments.engine,
        pmp=arguments.pmp,
        bootargs=arguments.append,
        output=output,
        clock=clock,
    )


def check_command_line(text: str) -> None:
    """Raise `RvemuError` if --append is no kernel's command line."""
    if not text.isascii() or "\0" in text:
        raise RvemuError("--append: a command line is ASCII text")


def _check_memory(wanted: int) -> None:
    """Refuse more memory than this computer has: it could be had, as long as it is not used."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return
    if wanted > there:
        raise RvemuError(
            f"-m {wanted >> 20}M is more memory than this computer has ({there >> 20}M)"
        )
