"""The SBI firmware that comes with rvemu, for guests that start in S-mode.

An installed rvemu carries it ready built; in a source tree it is built when first asked for, and
kept in the user's cache directory.
"""

from pathlib import Path

from rvemu import guest_build
from rvemu.guests import built

INSTALLED = Path(__file__).parent / "_firmware" / "firmware.elf"
SOURCES = Path(__file__).parent.parent / "firmware"
DESCRIPTION = "firmware.toml"


def find_firmware() -> Path:
    """Its ELF file, built first if need be. Raises `RvemuError` where there is neither a built one
    nor a compiler."""
    if INSTALLED.is_file():
        return INSTALLED
    return built(guest_build.Recipe.load(SOURCES, DESCRIPTION), "the SBI firmware")
