"""Run conformance tests.

Each PATH is a test, a bare-metal ELF file that ends through HTIF as those of riscv-tests and
riscv-arch-test do, or a folder of them. The exit status is 0 if all passed, 1 if some did not.

  rvemu conform isa/                            everything there, on the native engine
  rvemu conform --engine both --filter 'rv64u*-v-*' isa/
  rvemu conform --signature-dir out add-01.elf  for a comparison with another model's
"""

import argparse
import os
import signal
from collections import Counter
from contextlib import closing
from pathlib import Path

from rvemu.cli.conform_report import make_report
from rvemu.cli.quantities import count, size
from rvemu.conformance.discover import Found, find_tests
from rvemu.conformance.junit import write_junit
from rvemu.conformance.results import Result
from rvemu.conformance.single import Options
from rvemu.conformance.workers import Work, prepare, run_all
from rvemu.engine import ENGINES
from rvemu.errors import RvemuError
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.signature import DEFAULT_GRANULARITY

FAILURES = 1
INTERRUPTED = 128 + signal.SIGINT


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="an ELF file, or a folder of them")
    add(
        "--engine",
        choices=(*ENGINES, "both"),
        default="native",
        help="what runs them (default: native)",
    )
    add("--jobs", "-j", type=count, metavar="N", help="processes (default: one for each CPU)")
    add("--isa", default=DEFAULT_ISA, metavar="STRING", help="what the hart implements")
    add("-m", "--memory", type=size, default=128 << 20, metavar="SIZE", help="(default: 128M)")
    add(
        "--limit",
        type=count,
        metavar="INSTRUCTIONS",
        help="after which a test has no result (default: 5M, on the reference engine 1M)",
    )
    add("--filter", metavar="GLOB", help="only tests whose name matches, as 'rv64u[im]-p-*'")
    add("--list", action="store_true", help="only list the tests, and what is none")
    add("--trail", type=count, default=Options.trail, metavar="N", help="show the last N "
        f"instructions of a test that does not pass (default: {Options.trail})")  # fmt: skip
    add("--verbose", "-v", action="store_true", help="show passes too, and what tests print")
    add("--junit", type=Path, metavar="FILE", help="write results as JUnit XML")
    signatures = parser.add_mutually_exclusive_group()
    signatures.add_argument(
        "--signature", type=Path, metavar="FILE", help="write the signature of the one test"
    )
    signatures.add_argument(
        "--signature-dir",
        type=Path,
        metavar="FOLDER",
        help="write those of all tests, as FOLDER/ENGINE/NAME.signature",
    )
    add(
        "--signature-granularity",
        type=count,
        default=DEFAULT_GRANULARITY,
        metavar="N",
        help=f"bytes in a line of a signature (default: {DEFAULT_GRANULARITY})",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    parse_isa(arguments.isa)
    found = find_tests(arguments.paths, arguments.filter)
    if arguments.list:
        return _list(found)
    _say_rejected(found)
    if not found.tests:
        matching = f" that match {arguments.filter!r}" if arguments.filter else ""
        raise RvemuError(f"no tests{matching} in {', '.join(map(str, arguments.paths))}")
    engines = ENGINES if arguments.engine == "both" else (arguments.engine,)
    work = [(program, engine) for program in found.tests for engine in engines]
    if arguments.signature is not None and len(work) > 1:
        raise RvemuError(
            f"--signature is for one test on one engine, and there are {len(work)}; "
            "use --signature-dir"
        )
    prepare(engines)
    results: list[Result] = []
    try:
        _run(work, arguments, results)
        status = FAILURES if any(not r.passed for r in results) else 0
    except KeyboardInterrupt:
        status = INTERRUPTED
    if arguments.junit is not None:
        write_junit(results, arguments.junit)
    return status


def _run(work: list[Work], arguments: argparse.Namespace, results: list[Result]) -> None:
    """Run tests and show results, which are added to `results` as they come."""
    options = Options(
        isa=arguments.isa,
        memory=arguments.memory,
        limit=arguments.limit,
        trail=arguments.trail,
        signature_folder=arguments.signature_dir,
        signature_file=arguments.signature,
        signature_granularity=arguments.signature_granularity,
    )
    jobs = arguments.jobs or os.cpu_count() or 1
    with (
        make_report(work, arguments.verbose) as report,
        closing(run_all(work, options, jobs)) as running,
    ):
        for result in running:
            results.append(result)
            report.add(result)


def _list(found: Found) -> int:
    for program in found.tests:
        print(program.name)
    for path, reason in found.rejected:
        print(f"# {path}: {reason}")
    return 0


def _say_rejected(found: Found) -> None:
    """A line for each reason why files are no tests."""
    for reason, number in Counter(reason for _, reason in found.rejected).items():
        first = next(path for path, why in found.rejected if why == reason)
        more = f" and {number - 1} more (see --list)" if number > 1 else ""
        print(f"not run: {first}{more}: {reason}")
