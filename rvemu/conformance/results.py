"""What came of tests, as plain data that goes between processes."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How a test ended."""

    PASSED = "passed"  # it exited with 0
    FAILED = "failed"  # it exited with something else, or ended in no way that a test may
    NO_RESULT = "no result"  # it did not end within its limit
    ERROR = "error"  # it could not be run


@dataclass(frozen=True)
class Result:
    """What came of one test on one engine."""

    name: str
    group: str
    engine: str
    verdict: Verdict
    #: One line: which case failed, where it hung, or why it could not be run.
    detail: str = ""
    #: Instructions attempted.
    instructions: int = 0
    seconds: float = 0.0
    #: The last instructions of a test that did not pass, one line each.
    trail: tuple[str, ...] = ()
    #: What the test printed.
    output: str = ""

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return self.verdict is Verdict.PASSED


@dataclass
class Tally:
    """How many tests there are of a group on an engine, and what came of them so far."""

    total: int = 0
    passed: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        """Tests that have a result."""
        return self.passed + self.failed

    def add(self, result: Result) -> None:
        """Count a result."""
        if result.passed:
            self.passed += 1
        else:
            self.failed += 1


def tally(results: Iterable[Result]) -> Tally:
    """The count of some results."""
    count = Tally()
    for result in results:
        count.total += 1
        count.add(result)
    return count
