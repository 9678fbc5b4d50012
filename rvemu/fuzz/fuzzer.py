"""Runs cases on the native and the reference engine, and compares what comes out."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from rvemu.engine.lockstep import Difference, describe_next, differences, memory_differences
from rvemu.engine.native.engine import NativeEngine
from rvemu.errors import RvemuError
from rvemu.fuzz.cases import Case, Generator
from rvemu.fuzz.coverage import CountingEngine, Coverage
from rvemu.fuzz.layout import RAM_BASE
from rvemu.fuzz.rig import Rig
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa

# Sets of extensions to choose from, by name.
FEATURES: dict[str, str] = {
    "full": DEFAULT_ISA.replace("rv64imafdch", "rv64imafdc"),
    "h": DEFAULT_ISA,
    "base": "rv64i_zicsr",
    "embedded": "rv64imac_zicsr_zifencei_zicntr_zba_zbb_zbs_zicond_sv39",
    "float": "rv64imfd_zicsr_zifencei_zicntr_zihpm_zfh_svadu_svnapot_svpbmt_svinval",
}
DEFAULT_FEATURES = ("full", "h", "h", "base", "embedded", "float")

# In a long run, how many cases in a row have the same features.
_ROUND = 20


@dataclass(frozen=True)
class Failure:
    """A case in which the engines differ."""

    case: Case
    features: str
    instructions: int  # that must be executed to see it; the last one differs
    report: str

    def __str__(self) -> str:
        return self.report


@dataclass
class Progress:
    """How far a run has come."""

    cases: int = 0
    instructions: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Instructions compared per second."""
        return self.instructions / self.seconds if self.seconds else 0.0


def again(seed: int, features: str, number: int) -> str:
    """The command that runs a case."""
    return f"rvemu lockstep --fuzz --seed {seed} --features {features} --case {number}"


def parse_features(text: str | None) -> tuple[str, ...]:
    """Names of sets of extensions, or ISA strings, separated by commas."""
    if not text:
        return DEFAULT_FEATURES
    names = tuple(part.strip() for part in text.split(","))
    for name in names:
        if name not in FEATURES and not name.startswith("rv"):
            known = ", ".join(FEATURES)
            raise RvemuError(f"no features {name!r}; there are: {known}, and ISA strings")
    return names


class Fuzzer:
    """Two rigs, one for each engine, and what they run."""

    def __init__(self, seed: int, features: tuple[str, ...] = DEFAULT_FEATURES) -> None:
        self.seed = seed
        self.features = features
        self.coverage: dict[str, Coverage] = {}
        #: Called before each case, with its features and number: what to name if it crashes.
        self.note: Callable[[str, int], None] | None = None
        self._native = Rig(NativeEngine)
        self._reference = Rig(CountingEngine)
        self._generators: dict[str, Generator] = {}

    # --- Many cases ----------------------------------------------------------------------------

    def run(
        self,
        instructions: int | None = None,
        seconds: float | None = None,
        report: Callable[[Progress], None] | None = None,
        max_failures: int = 1,
    ) -> Progress:
        """Run cases until as many instructions were compared, so much time has passed, or
        engines differed in `max_failures` cases. `report` is called about once a second."""
        progress = Progress()
        begun = reported = time.monotonic()
        try:
            while True:
                name = self.features[progress.cases // _ROUND % len(self.features)]
                if self.note is not None:
                    self.note(name, progress.cases)
                done, failure = self.check(name, progress.cases)
                progress.cases += 1
                progress.instructions += done
                now = time.monotonic()
                progress.seconds = now - begun
                if failure is not None:
                    progress.failures.append(failure)
                if report is not None and now - reported >= 1:
                    reported = now
                    report(progress)
                if (
                    len(progress.failures) >= max_failures
                    or (instructions is not None and progress.instructions >= instructions)
                    or (seconds is not None and progress.seconds >= seconds)
                ):
                    return progress
        except KeyboardInterrupt:
            return progress

    def describe_coverage(self) -> list[str]:
        """Lines that say what was reached, and what never was, for each set of extensions."""
        lines = []
        for name, coverage in self.coverage.items():
            lines += [f"{name}: {coverage.summary()}", *coverage.table()]
            for kind, names in coverage.missing(parse_isa(FEATURES.get(name, name))).items():
                lines.append(f"  never reached, {kind}: {' '.join(names) or 'none'}")
        return lines

    # --- One case ------------------------------------------------------------------------------

    def generator(self, features: str) -> Generator:
        """What makes the cases for a set of extensions."""
        if features not in self._generators:
            isa = FEATURES.get(features, features)
            self._generators[features] = Generator(self.seed, isa, parse_isa(isa))
            self.coverage[features] = Coverage()
        return self._generators[features]

    def check(self, features: str, number: int) -> tuple[int, Failure | None]:
        """Run a case on both engines: the instructions compared, and what differed."""
        case = self.generator(features).case(number)
        engine = self._reference.engine
        assert isinstance(engine, CountingEngine)
        engine.count_in(self.coverage[features])
        done, found = self._compare(case, None)
        for cause, target in self._reference.traps:
            self.coverage[features].traps[cause, target] += 1
        if not found:
            return done, None
        return done, self._explain(case, features)

    def _compare(self, case: Case, limit: int | None) -> tuple[int, list[str]]:
        """Run a case on both from the start; how many instructions, and what differs."""
        done = []
        for rig in (self._reference, self._native):
            rig.load(case)
            try:
                done.append(rig.run(case, limit))
            except Exception:
                return 0, [f"the {rig.engine.name} engine failed:\n{traceback.format_exc()}"]
        reference, native = self._reference, self._native
        found: list[str] = []
        for n in range(len(case.heads)):
            pairs = differences(reference.harts[n], native.harts[n])
            found += [_line(f"hart {n} " if len(case.heads) > 1 else "", pair) for pair in pairs]
        pairs = memory_differences(RAM_BASE, reference.ram.view, native.ram.view)
        found += [_line("memory ", pair) for pair in pairs]
        if reference.accesses != native.accesses:
            pair_of = zip(reference.accesses + [None], native.accesses + [None], strict=False)
            first = next(p for p in pair_of if p[0] != p[1])
            found.append(f"device accesses: {first[0]} (reference), {first[1]} (native)")
        if reference.traps != native.traps and not found:
            found.append("the traps taken differ")
        return done[0], found

    def _explain(self, case: Case, features: str) -> Failure:
        """Find the first instruction after which the engines differ."""
        low, high = 0, case.length
        while high - low > 1:
            middle = (low + high) // 2
            if self._compare(case, middle)[1]:
                high = middle
            else:
                low = middle
        lines = [
            f"the engines differ in case {case.number} of seed {case.seed}, features {features}, "
            f"at instruction {high}",
            f"again: {again(case.seed, features, case.number)}",
            "",
            *self._listing(case, low),
            "",
            f"{'':<28} {'reference':<18} native",
            *self._compare(case, high)[1],
        ]
        return Failure(case, features, high, "\n".join(lines))

    def _listing(self, case: Case, last: int) -> list[str]:
        """The instructions that led to a point, on the reference engine."""
        lines = []
        for n in range(max(0, last - 12), last + 1):
            self._reference.load(case)
            try:
                self._reference.run(case, n)
            except Exception:
                break
            number = _turn_of(case, n)
            lines.append(f"{n + 1:>6} hart {number} {describe_next(self._reference.harts[number])}")
        return lines


def _line(where: str, pair: Difference) -> str:
    return f"{where + pair.name:<28} {pair.left:#018x} {pair.right:#018x}"


def _turn_of(case: Case, n: int) -> int:
    """Which hart executes an instruction, counted over all harts from 0."""
    for turn in case.turns:
        if n < turn.count:
            return turn.hart
        n -= turn.count
    return case.turns[-1].hart
