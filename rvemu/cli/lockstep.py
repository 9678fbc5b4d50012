"""Run the native and the reference engine side by side, and show where they differ.

Either a guest, on two machines that are built alike, or random states and programs (--fuzz).

examples:
  rvemu lockstep --guest tinyos
  rvemu lockstep guest.elf --limit 5M
  rvemu lockstep --fuzz                    a million random instructions
  rvemu lockstep --fuzz 100M --seed 7      many more
  rvemu lockstep --fuzz --time 3600 --features h --coverage
  rvemu lockstep --fuzz --seed 7 --features h --case 1234

exit status:
  0  no difference
  1  the engines differ (or one of them failed); the first difference is shown
  2  a mistake in how rvemu was called
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

from rvemu.cli.machine_options import add_machine_options, build_machine
from rvemu.cli.quantities import count
from rvemu.cli.status_line import StatusLine
from rvemu.errors import RvemuError
from rvemu.hart.extensions import DEFAULT_ISA
from rvemu.lockstep import Lockstep
from rvemu.machine import Machine

DIFFERENT = 1
_FUZZ_INSTRUCTIONS = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("elf", nargs="?", metavar="guest.elf", help="the guest, an ELF file")
    add("--guest", metavar="NAME", help="a guest that comes with rvemu")
    add("--limit", type=count, metavar="N", help="compare N instructions at most")
    add("--every", type=count, metavar="N", help="compare every N instructions")
    add_machine_options(parser)
    fuzz = parser.add_argument_group("random programs")
    fuzz.add_argument(
        "--fuzz",
        nargs="?",
        type=count,
        const=_FUZZ_INSTRUCTIONS,
        metavar="N",
        help="compare N instructions of random programs (default: 1M)",
    )
    fuzz.add_argument("--seed", type=int, metavar="S", help="which random programs")
    fuzz.add_argument("--time", type=float, metavar="SECONDS", help="stop after that long")
    fuzz.add_argument(
        "--features",
        metavar="LIST",
        help="what harts implement: names of rvemu.fuzz.fuzzer.FEATURES, or ISA strings",
    )
    fuzz.add_argument("--case", type=int, metavar="N", help="only that case")
    fuzz.add_argument(
        "--coverage", action="store_true", help="list what was reached, and what never was"
    )


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    fuzzing = arguments.fuzz is not None or arguments.case is not None
    guests = [g for g in (arguments.elf, arguments.guest) if g is not None]
    if fuzzing and guests:
        raise RvemuError("--fuzz makes its own programs: no guest can be given")
    if fuzzing and arguments.isa != DEFAULT_ISA:
        raise RvemuError("--isa is for a guest; for random programs --features takes ISA strings")
    if fuzzing:
        return _fuzz(arguments)
    if len(guests) != 1:
        raise RvemuError("name one guest: an ELF file, or --guest NAME (or use --fuzz)")
    return _guest(arguments)


# --- A guest -------------------------------------------------------------------------------------


def _guest(arguments: argparse.Namespace) -> int:
    source = _source(arguments)

    def build(engine: str, output: Callable[[bytes], None]) -> Machine:
        machine = build_machine(arguments, engine=engine, output=output)
        machine.load(source)
        return machine

    began = time.monotonic()
    with StatusLine() as line:

        def progress(done: int) -> None:
            line.show(f"{done:,} instructions equal, {done / (time.monotonic() - began):,.0f}/s")

        report = Lockstep(build).run(arguments.limit, arguments.every, progress)
    if report.equal:
        how = f"; the guest {report.outcome.reason}" if report.outcome is not None else ""
        print(
            f"no difference in {report.retired:,} instructions, {report.instructions:,} clocks{how}"
        )
        return 0
    print(f"the engines differ after {report.instructions:,} instructions")
    print(*report.listing, sep="\n")
    print(f"\n{'':<28} {'reference':<18} native")
    print(*report.differences, sep="\n")
    return DIFFERENT


def _source(arguments: argparse.Namespace) -> Path:
    if arguments.guest is None:
        return Path(arguments.elf)
    from rvemu.guests import find_guest

    return find_guest(arguments.guest)


# --- Random programs -----------------------------------------------------------------------------


def _fuzz(arguments: argparse.Namespace) -> int:
    from rvemu.fuzz.fuzzer import parse_features
    from rvemu.fuzz.guard import Note, guarded

    features = parse_features(arguments.features)
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed

    def work(note: Note) -> int:
        return _fuzz_here(arguments, seed, features, note)

    def crashed(name: str, note: str) -> int:
        print(f"the native engine crashed ({name})\nagain: {note}")
        return DIFFERENT

    return guarded(work, crashed)


def _fuzz_here(
    arguments: argparse.Namespace, seed: int, features: tuple[str, ...], note: Callable[[str], None]
) -> int:
    from rvemu.fuzz.fuzzer import Fuzzer, Progress, again

    fuzzer = Fuzzer(seed, features)
    fuzzer.note = lambda name, number: note(again(seed, name, number))
    if arguments.case is not None:
        failures = []
        for name in dict.fromkeys(features):
            fuzzer.note(name, arguments.case)
            failures.append(fuzzer.check(name, arguments.case)[1])
        shown = [str(failure) for failure in failures if failure is not None]
        print(*(shown or ["no difference"]), sep="\n\n")
        return DIFFERENT if shown else 0
    limit = arguments.fuzz if arguments.time is None else None
    with StatusLine() as line:

        def report(progress: Progress) -> None:
            line.show(
                f"seed {seed}: {progress.cases:,} cases, {progress.instructions:,} instructions "
                f"equal, {progress.rate:,.0f}/s"
            )

        progress = fuzzer.run(limit, arguments.time, report)
    print(*progress.failures, sep="\n\n")
    print(
        f"seed {seed}: {len(progress.failures)} differences in {progress.instructions:,} "
        f"instructions of {progress.cases:,} cases, {progress.rate:,.0f}/s"
    )
    if arguments.coverage:
        print(*fuzzer.describe_coverage(), sep="\n")
    return DIFFERENT if progress.failures else 0
