"""Tells a user whose guest prints nothing so: it may run well, and only lack a console."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from rvemu.errors import RvemuError

if TYPE_CHECKING:
    from rvemu.machine import Machine
    from rvemu.statistics import Statistics

#: How many instructions without a word are many; and for Linux, whose console comes late: without
#: earlycon, Debian's kernel prints its first line after 630 M.
MANY, MANY_LINUX = 300_000_000, 1_000_000_000

# What Linux calls the consoles that a machine can have: the UART, and firmware's or virtio's.
_CONSOLES = ("console=ttyS0", "console=uart", "console=hvc")


class SilenceNote:
    """Says once, if a guest has printed nothing in so many instructions, where it is, and what may
    be the reason.

    firmware: whether M-mode is firmware's, whose own words and instructions do not count. advice:
    what to do about it, empty if nothing is known.
    """

    def __init__(
        self,
        machine: "Machine",
        statistics: "Statistics",
        say: Callable[[str], None],
        *,
        firmware: bool = False,
        advice: str = "",
        many: int = MANY,
    ) -> None:
        if machine.output is None:
            raise RvemuError("without a console nobody sees what a guest prints")
        self._machine = machine
        self._statistics = statistics
        self._say = say
        self._advice = advice
        self._firmware = firmware
        self._many = many
        self._over = False
        self._take = machine.output
        machine.output = self._printed
        machine.hooks.between.append(self._look)

    def _printed(self, data: bytes) -> None:
        self._take(data)
        # Firmware's words come before its kernel has run.
        if not self._firmware or self._statistics.retired_below_m:
            self._leave()

    def _look(self) -> None:
        statistics = self._statistics
        retired = statistics.retired_below_m if self._firmware else statistics.retired
        if self._over or retired < self._many:
            return
        text = f"the guest has printed nothing in {retired // 1_000_000} M "
        text += f"instructions; {statistics.places()}"
        self._say(f"{text}; {self._advice}" if self._advice else text)
        self._leave()

    def _leave(self) -> None:
        """There is nothing more to look for."""
        self._over = True
        if self._machine.output == self._printed:
            self._machine.output = self._take


def linux_advice(command_line: str) -> str | None:
    """What to do about a Linux kernel that prints nothing, by its command line. None where it is
    to be quiet."""
    words = command_line.split()
    if "quiet" in words:
        return None
    consoles = [word for word in words if word.startswith("console=")]
    if not consoles:
        return "the kernel's command line has no console=: try --append console=ttyS0"
    if not any(console.startswith(_CONSOLES) for console in consoles):
        return f"this machine has no {consoles[-1]}: try --append console=ttyS0"
    if not any(word.startswith("earlycon") for word in words):
        return "earlycon on the kernel's command line has it print sooner"
    return ""
