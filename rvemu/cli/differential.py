"""Compare with Spike on random programs about the hypervisor extension.

Each program is a row of steps. A step sets CSRs, page tables and registers, enters a mode, executes
a few instructions there (accesses to CSRs, hypervisor loads and stores, faults, fences, returns),
and looks at what became of them. Both simulators execute the program; the first difference of each
is shown, unless the specification allows it.

A Spike must be on PATH, or be given. The exit status is 0 if nothing differs, else 1.

  rvemu differential --count 1000 --seed 7          1000 programs
  rvemu differential --seed 7 --only 12             number 12 of them, once more
"""

import argparse
from collections import Counter
from pathlib import Path

from rvemu.cli.quantities import count as quantity
from rvemu.differential.cases import Case, Generator
from rvemu.differential.follow import Difference, Follower
from rvemu.differential.known import KNOWN
from rvemu.differential.layout import RAM_MIB
from rvemu.engine import ENGINES
from rvemu.spike import Spike

# (Spike has misaligned accesses only with Zicclsm.)
ISA = "rv64gch_zicbom_zicboz_zicclsm_zicntr_zihpm_zfh_zba_zbb_zbs_sstc_svadu_svinval_svnapot_svpbmt"

# More than a step takes, unless it has lost its way.
_INSTRUCTIONS_PER_STEP = 1000


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("--spike", metavar="PATH", help="the Spike to run (default: the one on PATH)")
    add("--count", type=quantity, default=100, metavar="N", help="programs (default: 100)")
    add("--steps", type=quantity, default=32, metavar="N", help="of each (default: 32)")
    add("--seed", type=int, default=0, help="which programs (default: 0)")
    add("--only", type=int, metavar="NUMBER", help="only one of the programs")
    add("--isa", default=ISA, metavar="STRING", help="what both implement")
    add("--engine", choices=ENGINES, default="reference", help="of rvemu (default: reference)")
    add("--verbose", "-v", action="store_true", help="tell which traps there were")
    add("--keep", type=Path, metavar="FOLDER", help="where to put programs that differ")


def execute(arguments: argparse.Namespace) -> int:
    """Run the command."""
    spike = Spike(arguments.spike)
    generator = Generator(arguments.seed, arguments.steps)
    numbers = range(arguments.count) if arguments.only is None else [arguments.only]
    explained: Counter[str] = Counter()
    traps: Counter[str] = Counter()
    executed = different = 0
    for number in numbers:
        case = generator.make(number)
        follower = Follower(case.elf, arguments.isa, arguments.engine)
        limit = arguments.steps * _INSTRUCTIONS_PER_STEP
        events = spike.run(case.elf, arguments.isa, memory_mib=RAM_MIB, limit=limit)
        difference = follower.follow(events, limit)
        explained += follower.explained
        traps += follower.traps
        executed += follower.executed
        if difference is not None:
            different += 1
            _report(case, difference, arguments.keep)
    steps = len(numbers) * arguments.steps
    print(f"{len(numbers)} programs, {steps} steps, {executed} instructions: ", end="")
    print(f"{different} programs differ" if different else "no difference")
    for known in KNOWN:
        if explained[known.name]:
            print(f"  {explained[known.name]} times {known.name} ({known.rule}): ", end="")
            print(known.explanation)
    if arguments.verbose:
        print("traps:")
        for trap, times in sorted(traps.items()):
            print(f"  {times:8} {trap}")
    return int(different > 0)


def _report(case: Case, difference: Difference, folder: Path | None) -> None:
    print(f"program {case.number} (--seed {case.seed} --only {case.number}):")
    print(difference, flush=True)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{case.seed}-{case.number}.elf").write_bytes(case.elf)
