"""Why a machine stopped, and the functions of the host's that it calls while it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rvemu.outside import Outside


class Reason(StrEnum):
    """Why `Machine.run` returned."""

    EXITED = "exited"  # the guest ended the machine; its status is in `code`
    RESET = "reset"  # the guest asked for a reset
    BUDGET = "budget"  # as many instructions as asked for
    CONDITION = "condition"  # the `until` function said so
    IDLE = "idle"  # all harts wait for an interrupt that nothing in the machine will raise
    STUCK = "stuck"  # the harts repeat themselves, and nothing will ever change that
    INTERRUPTED = "interrupted"  # `Machine.stop` was called


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `code` is the guest's exit status, where it exited; `detail` says where
    and why, where it is idle or stuck."""

    reason: Reason
    code: int = 0
    detail: str = ""


@dataclass
class Hooks:
    """Functions that are called while the machine runs. Those on a hart take its number first.

    They may read and write anything of the machine, and call `Machine.stop`; only `between` may
    call `Machine.run`.
    """

    #: After a trap was taken, before its handler's first instruction: (hart).
    #: `rvemu.traps.last_trap` tells which.
    trap: list[Callable[[int], None]] = field(default_factory=list)
    #: The software of the levels that the host owns (`owned_levels` of the hart's state): called
    #: after a trap was taken into one, to do what its trap handler would: (hart).
    owner: Callable[[int], None] | None = None
    #: After a device access: (hart, address, width, value, whether it was a write).
    device: list[Callable[[int, int, int, int, bool], None]] = field(default_factory=list)
    #: After translations were made or refused (the `seen_*` of the hart's state): (hart).
    translation: list[Callable[[int], None]] = field(default_factory=list)
    #: Before an instruction that meets a breakpoint or watchpoint: (hart). The hook must have the
    #: hart pass it (`point_pass`) or end the run (`Scheduler.end_by`).
    point: list[Callable[[int], None]] = field(default_factory=list)
    #: Before and after each instruction: (hart). With any of these, harts are stepped: slowly.
    before: list[Callable[[int], None]] = field(default_factory=list)
    after: list[Callable[[int], None]] = field(default_factory=list)
    #: Between slices of instructions: the host's own affairs.
    between: list[Callable[[], None]] = field(default_factory=list)
    #: When all harts wait: (ticks of mtime until the next event inside the machine, None if there
    #: will be none). It returns how many ticks are to pass, 0 if it has changed something; None
    #: if nothing from outside will come either. Without it time skips to the event.
    idle: Callable[[int | None], int | None] | None = None
    #: What may have the machine go on beside its console, as a network. With any, an idle guest's
    #: time passes as on a clock.
    outside: "list[Outside]" = field(default_factory=list)
    #: Whether the console's input may still go on. Without it there is no input.
    input_open: Callable[[], bool] | None = None
