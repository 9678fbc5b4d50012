"""Boot a guest under gdb.

Starts the machine, halted before the guest's first instruction, and a gdb attached to it. The guest
prints on the terminal; its console has no input (for that: rvemu run --gdb-wait, and gdb in another
terminal). `help` of `monitor` lists what this machine can show: try `monitor help`.

examples:
  rvemu debug guest.elf
  rvemu debug --guest tinyos -- -ex 'break kernel_main' -ex continue
  rvemu debug --smp 4 --gdb-program riscv64-unknown-elf-gdb guest.elf

The exit status is gdb's.
"""

import argparse
from pathlib import Path

from rvemu.cli.machine_options import add_engine_option, add_machine_options, build_machine
from rvemu.errors import RvemuError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("elf", nargs="?", metavar="guest.elf", help="the guest, an ELF file")
    add("gdb_arguments", nargs="*", metavar="-- ...", help="arguments for gdb")
    add("--guest", metavar="NAME", help="a guest that comes with rvemu")
    add("--gdb-program", metavar="PROGRAM", help="which gdb (default: the first that is found)")
    add_engine_option(parser)
    add_machine_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    from rvemu.debug.launch import debug, find_gdb

    extra = list(arguments.gdb_arguments)
    if arguments.guest is not None:
        from rvemu.guests import find_guest

        if arguments.elf is not None:
            extra.insert(0, arguments.elf)
        path = find_guest(arguments.guest)
    elif arguments.elf is not None:
        path = Path(arguments.elf)
    else:
        raise RvemuError("debug what? Give an ELF file, or --guest NAME")
    gdb = find_gdb(arguments.gdb_program)
    machine = build_machine(arguments)
    machine.load(path)
    return debug(machine, path, gdb, extra)
