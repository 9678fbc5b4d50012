"""Boot a guest."""

import argparse

from rvemu.machine import Machine


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("guest", help="an ELF file")


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    machine = Machine()
    machine.load(arguments.guest)
    return machine.run().code & 0xFF
