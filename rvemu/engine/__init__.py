"""Engines run harts. All run the same model, and differ only in speed.

`reference`: CPython calls the model. `native`: the model compiled to machine code; `compiler` makes
LLVM IR of the model's Python, and `jit` machine code of that. `lockstep` compares what two engines
make of one hart.
"""

import sys
from collections.abc import Sequence
from typing import Protocol

from rvemu.errors import RvemuError
from rvemu.hart.state import Hart, Shared

ENGINES = ("native", "reference")


class Engine(Protocol):
    """Runs the harts of one machine."""

    name: str

    def run(self, hart: Hart) -> int:
        """Run a hart until it stops, at `clock_stop` at the latest; why (`STOP_*`)."""


class Stepper(Engine, Protocol):
    """An engine that executes single instructions as well, of harts of other machines too: what a
    VMM emulates by."""

    def adopt(self, hart: Hart) -> None:
        """Be ready to step a hart."""

    def entry_point(self, name: str) -> int:
        """The host address of the C function that runs a hart ("run"), or executes its `insn`
        ("execute"); 0 if the engine is not native."""

    def step(self, hart: Hart, raw: int | None = None) -> None:
        """Execute one instruction, whatever is pending; a trap is delivered, a stop left in
        `stop_reason` with the instruction to be started over. raw: its bits, if they are known
        and need not be fetched."""


def make_engine(name: str, shared: Shared, harts: Sequence[Hart]) -> Stepper:
    """The engine of a name in ENGINES. Where native code can't be had, the reference engine, with
    a line on stderr that says so."""
    if name == "native":
        from rvemu.engine.native.engine import NativeEngine

        try:
            return NativeEngine(shared, harts)
        except (ImportError, OSError, RuntimeError) as e:
            reason = str(e).splitlines()[0] if str(e) else type(e).__name__
            print(
                f"rvemu: no native code on this platform ({reason}); "
                "using the reference engine, which is slow",
                file=sys.stderr,
            )
    elif name != "reference":
        raise RvemuError(f"no engine {name!r}; there are: {', '.join(ENGINES)}")
    from rvemu.engine.reference import ReferenceEngine

    return ReferenceEngine(shared, harts)
