"""rvemu: a RISC-V machine and virtualization laboratory.

`Machine` is the Python API; see rvemu.machine.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvemu.machine import Machine as Machine
    from rvemu.machine import Outcome as Outcome
    from rvemu.machine import Reason as Reason

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the API when it is asked for, so that the command line starts quickly."""
    if name in ("Machine", "Outcome", "Reason"):
        from rvemu import machine

        return getattr(machine, name)
    raise AttributeError(f"module 'rvemu' has no attribute {name!r}")
