"""Measure the engines, beside QEMU and Spike where they are on PATH.

Each benchmark guest runs on the native engine, on qemu-system-riscv64 and on spike in turn, and the
best of several rounds counts. What start-up and loading take is measured with no work, and left
out. Compare the ratios, not the figures of different machines or runs; docs/benchmarks.md has the
method.

examples:
  rvemu bench                        all benchmarks
  rvemu bench bench-int --rounds 5   one, more carefully
  rvemu bench --json results.json    for programs
"""

import argparse
import json
from pathlib import Path

from rvemu.bench import Result, benchmark_guests, measure, others
from rvemu.cli.status_line import StatusLine
from rvemu.errors import RvemuError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("guests", nargs="*", metavar="GUEST", help="benchmarks; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is run (default: 3)")
    parser.add_argument("--scale", type=int, default=1, help="times as much work (default: 1)")
    parser.add_argument("--no-reference", action="store_true", help="without the reference engine")
    parser.add_argument("--json", metavar="FILE", help="write the figures to a file")


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    if arguments.rounds < 1 or arguments.scale < 1:
        raise RvemuError("--rounds and --scale are at least 1")
    known = benchmark_guests()
    for name in arguments.guests:
        if name not in known:
            raise RvemuError(f"no benchmark {name}; there are: {', '.join(known)}")
    emulators = ["native", *others()] + ([] if arguments.no_reference else ["reference"])
    print(f"{'MIPS':14}" + "".join(f"{name:>12}" for name in emulators), end="")
    print("".join(f"{'native/' + name:>18}" for name in emulators[1:]))
    results = []
    for name in arguments.guests or known:
        with StatusLine() as line:
            result = measure(
                name,
                rounds=arguments.rounds,
                scale=arguments.scale,
                reference=not arguments.no_reference,
                progress=line.show,
            )
        results.append(result)
        _print(result, emulators)
    if arguments.json:
        _write(Path(arguments.json), results)
    return 0


def _print(result: Result, emulators: list[str]) -> None:
    ran = result.seconds
    figures = "".join(f"{result.mips(n):12.1f}" if n in ran else f"{'-':>12}" for n in emulators)
    ratios = "".join(
        f"{result.ratio(n):18.2f}" if n in ran else f"{'-':>18}" for n in emulators[1:]
    )
    print(f"{result.guest:14}{figures}{ratios}", flush=True)


def _write(path: Path, results: list[Result]) -> None:
    content = [
        {
            "guest": r.guest,
            "instructions": r.instructions,
            "seconds": r.seconds,
            "mips": {name: r.mips(name) for name in r.seconds},
        }
        for r in results
    ]
    try:
        path.write_text(json.dumps(content, indent=2) + "\n")
    except OSError as e:
        raise RvemuError(f"{path}: {e.strerror}") from None
