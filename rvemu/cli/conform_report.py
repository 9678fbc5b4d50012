"""How `rvemu conform` shows results: lines, and on a terminal a live table below them."""

import sys
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rvemu.conformance.results import Result, Tally, Verdict
from rvemu.conformance.workers import Work


def make_report(work: Iterable[Work], verbose: bool = False) -> "Report":
    """A report on standard output, for the tests that will run."""
    kind = LiveReport if sys.stdout.isatty() else Report
    return kind(work, verbose)


class Report:
    """Lines: for each test that did not pass as it ends, for each group as it is done, and for all
    at the end. A context manager, whose end prints the last line whatever happened."""

    def __init__(self, work: Iterable[Work], verbose: bool = False) -> None:
        self.verbose = verbose
        self.groups: dict[tuple[str, str], Tally] = {}
        for program, engine in work:
            self.groups.setdefault((program.group, engine), Tally()).total += 1
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or kind is KeyboardInterrupt:
            self.say(self.summary(interrupted=kind is not None))

    def say(self, line: str) -> None:
        """Print a line."""
        print(line, flush=True)

    def add(self, result: Result) -> None:
        """Take a result, and show what is worth showing."""
        count = self.groups[result.group, result.engine]
        count.add(result)
        for line in describe(result, self.verbose):
            self.say(line)
        if count.done == count.total:
            self.group_done(result.group, result.engine, count)

    def group_done(self, group: str, engine: str, count: Tally) -> None:
        """Show a group whose tests all have results."""
        failed = f", {count.failed} failed" if count.failed else ""
        self.say(f"{group} on {engine}: {count.passed} of {count.total} passed{failed}")

    def summary(self, interrupted: bool) -> str:
        """The last line."""
        total, passed, failed = (
            sum(getattr(count, name) for count in self.groups.values())
            for name in ("total", "passed", "failed")
        )
        missing = total - passed - failed
        parts = [f"{total} tests: {passed} passed", f"{failed} failed"]
        if missing:
            parts.append(f"{missing} not run")
        seconds = time.monotonic() - self._started
        return ", ".join(parts) + f" in {seconds:.1f} s" + (" (interrupted)" * interrupted)


class LiveReport(Report):
    """The same on a terminal, with a table of the groups in place of their lines."""

    def __init__(self, work: Iterable[Work], verbose: bool = False) -> None:
        super().__init__(work, verbose)
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=8)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, trace)
        super().__exit__(kind, error, trace)

    def say(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def group_done(self, group: str, engine: str, count: Tally) -> None:
        """The table shows it."""

    def _table(self) -> Table:
        engines = sorted({engine for _, engine in self.groups})
        table = Table(box=None, pad_edge=False)
        table.add_column("group")
        for engine in engines:
            table.add_column(engine, justify="right")
        for group in dict.fromkeys(group for group, _ in self.groups):
            table.add_row(Text(group), *(self._cell(group, engine) for engine in engines))
        return table

    def _cell(self, group: str, engine: str) -> Text:
        count = self.groups.get((group, engine), Tally())
        if count.failed:
            return Text(f"{count.passed}/{count.total}, {count.failed} failed", style="red")
        style = "green" if count.done == count.total else ""
        return Text(f"{count.passed}/{count.total}", style=style)


def describe(result: Result, verbose: bool) -> list[str]:
    """The lines that show a result; none for a pass, unless all is to be shown."""
    title = f"{result.name} on {result.engine}"
    if result.passed and not verbose:
        return []
    if result.passed:
        lines = [f"{Verdict.PASSED}: {title}, {result.instructions:,} instructions"]
    else:
        lines = [f"{result.verdict.upper()}: {title}: {result.detail}"]
    if verbose:
        lines += [f"    | {printable(line)}" for line in result.output.splitlines()]
    return lines + [f"    {line}" for line in result.trail]


def printable(text: str) -> str:
    """A guest's text, without what would change the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
