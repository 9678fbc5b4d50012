"""riscv-tests, where they have been built: RVEMU_RISCV_TESTS names the folder with their ELF
files (`isa` in their source tree)."""

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from rvemu.conformance import workers
from rvemu.conformance.discover import Program, find_tests
from rvemu.conformance.results import Result
from rvemu.conformance.single import Options

VARIABLE = "RVEMU_RISCV_TESTS"

# Groups of tests for what rvemu has, each in the forms that there are of it.
GROUPS = (
    *(f"rv64u{name}-{form}" for name in "imafdc" for form in "pv"),
    *(f"rv64uz{name}-{form}" for name in ("ba", "bb", "bc", "bs", "fh") for form in "pv"),
    *("rv64mi-p", "rv64si-p", "rv64ssvnapot-p", "rv64mzicbo-p"),
)
# Groups that not every toolchain can build.
OPTIONAL = ("rv64uzicond-p", "rv64uzicond-v")

pytestmark = pytest.mark.skipif(
    not os.environ.get(VARIABLE), reason=f"{VARIABLE} does not name a folder of riscv-tests"
)


@cache
def programs() -> dict[str, list[Program]]:
    """The tests, by group."""
    groups: dict[str, list[Program]] = {}
    for program in find_tests([Path(os.environ[VARIABLE])], "rv64*").tests:
        groups.setdefault(program.group, []).append(program)
    return groups


@pytest.mark.parametrize("group", GROUPS + OPTIONAL)
def test_group(group: str, engine: str) -> None:
    tests = programs().get(group, [])
    if not tests and group in OPTIONAL:
        pytest.skip(f"{os.environ[VARIABLE]} has no tests {group}-*")
    assert tests, f"{os.environ[VARIABLE]} has no tests {group}-*"
    workers.prepare([engine])
    options = Options(memory=32 << 20)
    results: Iterator[Result]
    results = workers.run_all([(p, engine) for p in tests], options, os.cpu_count() or 1)
    problems = [f"{r.name}: {r.detail}" for r in results if not r.passed]
    assert not problems, "\n".join(problems)
