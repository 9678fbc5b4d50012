"""The reference engine: CPython calls the model. Slow, obvious, and right by definition."""

from collections.abc import Callable, Sequence
from typing import Any

from rvemu.hart.access import fetch_instruction
from rvemu.hart.interrupts import poll
from rvemu.hart.points import stop_at_breakpoint
from rvemu.hart.state import DEVICE_NONE, STOP_FLUSH, STOP_NONE, Hart, Shared
from rvemu.hart.traps import take_trap
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.decoder import decode
from rvemu.lang import M64, Stop, Trap

_Decoded = tuple[Callable[..., None], tuple[int, ...], int]

# Decoded instructions that are kept, for programs that make ever new ones.
_DECODED_MAX = 1 << 18

_PARAMETERS = [
    tuple(
        operand.place
        for name in i.function.__code__.co_varnames[1 : i.function.__code__.co_argcount]
        if (operand := i.encoding.operand(name)) is not None
    )
    for i in INSTRUCTIONS
]


class ReferenceEngine:
    """Runs harts by calling the model."""

    name = "reference"

    def __init__(self, shared: Shared, harts: Sequence[Hart]) -> None:
        del shared, harts  # it keeps nothing beside the harts' state
        # By extensions, and then by bits: harts may have switched off different ones (misa).
        self._decoded: dict[int, dict[int, _Decoded]] = {}

    def adopt(self, hart: Hart) -> None:
        """Any hart can be stepped."""

    def entry_point(self, name: str) -> int:
        """There are none."""
        del name
        return 0

    def function_of(self, number: int) -> Callable[..., None]:
        """What executes an instruction, by its index."""
        return INSTRUCTIONS[number].function

    def _decode(self, h: Hart, raw: int) -> _Decoded:
        number = decode(h, raw)
        operands = tuple(getattr(h, f"decoded_{place}") for place in _PARAMETERS[number])
        decoded = (self.function_of(number), operands, h.insn_length)
        known = self._decoded[h.extensions]
        if len(known) >= _DECODED_MAX:
            known.clear()
        known[raw] = decoded
        return decoded

    def step(self, h: Hart, raw: int | None = None) -> None:
        """Execute one instruction, whatever is pending; a trap is delivered, a Stop left in
        `stop_reason` with the instruction to be started over. raw: its bits, if they are known
        and need not be fetched."""
        try:
            if raw is None:
                raw = fetch_instruction(h, h.pc)
            known = self._decoded.setdefault(h.extensions, {})
            function, operands, length = known.get(raw) or self._decode(h, raw)
            h.insn = raw
            h.insn_length = length
            h.next_pc = (h.pc + length) & M64
            function(h, *operands)
            h.pc = h.next_pc
        except Trap as trap:
            trap.__traceback__ = None
            take_trap(h)
        except Stop as stop:
            stop.__traceback__ = None
            h.restart = 0
            return
        h.budget -= 1

    def run(self, hart: Hart) -> int:
        """Run until the hart stops; the reason (`STOP_*`), which is also in `stop_reason`."""
        h = hart
        shared = h.shared
        h.stop_reason = STOP_NONE
        known: dict[int, Any] = self._decoded.setdefault(h.extensions, {})
        # A device access that the host has made belongs to the instruction at hand: no interrupt
        # may come between them.
        begun = h.device_state != DEVICE_NONE
        while True:
            if h.budget < 0 or not begun:
                begun = True
                if h.stop_reason == STOP_NONE:
                    poll(h)
                if h.stop_reason == STOP_FLUSH:
                    known = self._decoded.setdefault(h.extensions, {})
                    h.stop_reason = STOP_NONE
                    continue
                if h.stop_reason != STOP_NONE:
                    return int(h.stop_reason)
            try:
                if shared.breakpoint_count:
                    stop_at_breakpoint(h)
                raw = fetch_instruction(h, h.pc)
                function, operands, length = known.get(raw) or self._decode(h, raw)
                h.insn = raw
                h.insn_length = length
                h.next_pc = (h.pc + length) & M64
                function(h, *operands)
                h.pc = h.next_pc
            except Trap as trap:
                trap.__traceback__ = None  # there is one Trap, which would keep all frames
                take_trap(h)
                if h.stop_reason != STOP_NONE:
                    h.budget -= 1
                    return int(h.stop_reason)
            except Stop as stop:
                stop.__traceback__ = None
                h.restart = 0
                return int(h.stop_reason)
            h.budget -= 1
