"""Print a machine's device tree as source text.

It is what the machine passes to its guest in a1, and dtc accepts it.

examples:
  rvemu dts
  rvemu dts --smp 4 -m 2G
  rvemu dts --isa rv64imac --append 'console=ttyS0'
"""

import argparse

from rvemu.cli.machine_options import add_machine_options, build_machine
from rvemu.fdt import to_dts


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_machine_options(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    machine = build_machine(arguments, engine="reference")
    machine.board.place_device_tree()
    print(to_dts(machine.board.device_tree()), end="")
    return 0
