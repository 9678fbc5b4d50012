"""What fuzzing has reached: instructions that retired, CSRs accessed, traps taken."""

from collections import Counter
from collections.abc import Callable, Sequence

from rvemu.engine.reference import ReferenceEngine
from rvemu.hart.csr_view import implemented, name_of
from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import Ext
from rvemu.hart.state import Hart, Shared
from rvemu.isa import INSTRUCTIONS

_INTERRUPTS = dict(
    zip(
        (1, 2, 3, 5, 6, 7, 9, 10, 11, 12),
        ["SSI", "VSSI", "MSI", "STI", "VSTI", "MTI", "SEI", "VSEI", "MEI", "SGEI"],
        strict=True,
    )
)
_TARGETS = {3: "M", 1: "S", 5: "VS"}


class Coverage:
    """Counts."""

    def __init__(self) -> None:
        self.instructions: Counter[int] = Counter()
        self.csrs: Counter[int] = Counter()
        self.traps: Counter[tuple[int, int]] = Counter()

    def missing(self, extensions: int) -> dict[str, list[str]]:
        """What was never reached, of what there is with these extensions."""
        causes = {cause for cause, _ in self.traps}
        h = bool(extensions & Ext.H)
        impossible = set() if h else {10, 20, 21, 22, 23}
        if extensions & Ext.ZCA:
            impossible.add(Cause.INSTRUCTION_ADDRESS_MISALIGNED)
        if not extensions & (Ext.ZAAMO | Ext.ZALRSC):
            impossible |= {Cause.LOAD_ADDRESS_MISALIGNED, Cause.STORE_ADDRESS_MISALIGNED}
        interrupts = [n for n in _INTERRUPTS if h or n not in (2, 6, 10, 12)]
        hart = Hart(Shared())
        hart.extensions = extensions
        return {
            "instructions": [
                i.name
                for n, i in enumerate(INSTRUCTIONS)
                if extensions & i.needs == i.needs and not self.instructions[n] and n
                if i.name not in ("ecall", "ebreak")  # they never retire
            ],
            "CSRs": [c.name for c in implemented(hart) if not self.csrs[c.number]],
            "exceptions": [
                c.name.lower() for c in Cause if c not in causes and c not in impossible
            ],
            "interrupts": [
                _INTERRUPTS[n] for n in interrupts if not {1 << 63 | n, 1 << 63 | (n - 1)} & causes
            ],
        }

    def summary(self) -> str:
        """One line."""
        return (
            f"{len(self.instructions)} instructions, {len(self.csrs)} CSRs, "
            f"{len(self.traps)} kinds of traps reached"
        )

    def table(self) -> list[str]:
        """Lines of counts, the most frequent first."""
        lines = [
            f"  {INSTRUCTIONS[n].name:<16} {c:>10,}" for n, c in self.instructions.most_common()
        ]
        lines += [f"  {name_of(n):<16} {c:>10,}" for n, c in self.csrs.most_common()]
        for (cause, target), count in self.traps.most_common():
            lines.append(f"  {_cause_name(cause)} to {_TARGETS.get(target, target)} {count:>10,}")
        return lines


def _cause_name(cause: int) -> str:
    if cause >> 63:
        return _INTERRUPTS.get(cause & 63, str(cause & 63))
    return Cause(cause).name.lower()


# Decoded instructions that are kept, for each of so many sets of extensions: random programs bring
# new ones for ever.
_KEPT = 1 << 14
_SETS_KEPT = 12


class CountingEngine(ReferenceEngine):
    """The reference engine, which notes what it executes."""

    def __init__(self, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(shared, harts)
        self._counting: dict[int, Callable[..., None]] = {}
        self.count_in(Coverage())

    def count_in(self, coverage: Coverage) -> None:
        """Where to count from now on."""
        self._instructions = coverage.instructions
        self._csrs = coverage.csrs

    def _decode(self, h: Hart, raw: int) -> tuple[Callable[..., None], tuple[int, ...], int]:
        known = self._decoded[h.extensions]
        if len(known) >= _KEPT:
            known.clear()
        if len(self._decoded) > _SETS_KEPT:
            self._decoded = {h.extensions: known}
        return super()._decode(h, raw)

    def function_of(self, number: int) -> Callable[..., None]:
        if number not in self._counting:
            self._counting[number] = self._counted(number)
        return self._counting[number]

    def _counted(self, number: int) -> Callable[..., None]:
        """An instruction's function, and a count of how often it returns."""
        function = super().function_of(number)
        if INSTRUCTIONS[number].encoding.operand("csr"):

            def accessed(hart: Hart, csr: int, *arguments: int) -> None:
                function(hart, csr, *arguments)
                self._instructions[number] += 1
                self._csrs[csr] += 1

            return accessed

        def counted(hart: Hart, *arguments: int) -> None:
            function(hart, *arguments)
            self._instructions[number] += 1

        return counted
