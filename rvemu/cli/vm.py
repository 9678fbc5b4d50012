"""Run guests in virtual machines, and see what each technique of virtualization costs.

The guest is the same ELF file in all modes, and the hart has what each mode needs:

  emulate           the machine as it is, in its real privilege modes: what the others must equal
  trap-and-emulate  the guest's kernel runs in U-mode; each privileged instruction traps and is
                    emulated, and shadow page tables translate
  paravirt          the guest's kernel knows of the VMM: it makes hypercalls, and its own page
                    tables, which the VMM has checked, translate
  hardware          the guest's kernel runs in VS-mode, its processes in VU-mode; the hart
                    translates in two stages, and only what the VMM asked for exits
  all               each in turn, and their outputs compared

examples:
  rvemu vm --guest tinyos --mode trap-and-emulate
  rvemu vm --guest tinyos-s --mode all            the table of exits, by reason
  rvemu vm --guest tinyos-s --mode paravirt       tinyos, built with one flag more
  rvemu vm --guest tinyos --mode all --json       the same, for programs
  rvemu vm --guest tinyos --mode all --report r.html   and as a page with plots
  rvemu vm --guest tinyos-s --trace-exits         each exit as a line, on stderr
  rvemu vm --linux --mode trap-and-emulate        Debian's kernel, deprivileged
  rvemu vm --linux --smp 4                        the same with hardware, on four virtual harts
  rvemu vm guest.elf --sbi                        it starts in S-mode; the VMM is its firmware
  rvemu vm a.elf b.elf --shares 1,3               two at once, one hart, turns 1 to 3
  rvemu vm a.elf b.elf --drive file=disk.img,format=raw,offset=0,size=8M,vm=1 \\
                       --drive file=disk.img,format=raw,offset=8M,size=8M,vm=2
                                                  each with a minidisk, a slice of one image
  rvemu vm a.elf b.elf --gdb --gdb-wait           and a debugger, whose inferiors they are
  rvemu vm --guest tinyos-s --mode trap-and-emulate --quirk status           it breaks
  rvemu vm --guest tinyos-s --mode trap-and-emulate --quirk status --patch   and is right again
  rvemu vm --guest tinyos-s --control             the control structure at the end, by field

The emulated M-, S- and U-mode of a guest are explained in docs/vmm.md, and so is the table.

exit status:
  the guest's own, 0 to 255; with several guests or modes, 0 if all ended with 0
  1    modes differ, or one of several guests failed
  2    a mistake in how rvemu was called
  124  the guest is stuck, or was stopped by --max-instructions
"""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from rvemu.cli.device_options import add_drive_options, drives
from rvemu.cli.machine_options import add_engine_option, add_isa_option, add_memory_option
from rvemu.cli.quantities import count
from rvemu.cli.run import UNFINISHED, exit_status
from rvemu.cli.status_line import StatusLine
from rvemu.cli.vm_guests import (
    Guest,
    add_guest_options,
    add_harts_option,
    find_guests,
    how_many_guests,
)
from rvemu.errors import RvemuError
from rvemu.hart.extensions import parse_isa
from rvemu.keyvalues import Options
from rvemu.machine import Reason
from rvemu.virtualizable import QUIRKS
from rvemu.vmm.comparison import Measured, differences, measure, table
from rvemu.vmm.exits import Exit
from rvemu.vmm.hardware import Hardware
from rvemu.vmm.host import Host
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import EMULATE, MODES, PARAVIRT, Run, VirtualMachine

if TYPE_CHECKING:
    from rvemu.session import Session

ALL = "all"
PATCHABLE = "trap-and-emulate"
FAILED = 1
# Bytes of a line of one of several guests: what is longer is cut.
LONGEST_LINE = 4096


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add_guest_options(parser)
    add(
        "--mode",
        choices=(*MODES, ALL),
        default="hardware",
        help="how the guest is virtualized (default: hardware)",
    )
    add(
        "--shares",
        type=_shares,
        metavar="N,N...",
        help="with several guests: how long their turns are",
    )
    add(
        "--max-instructions",
        type=count,
        metavar="N",
        help="stop each guest after N instructions, as 5M",
    )
    add_engine_option(parser)
    group = parser.add_argument_group("the virtual machines")
    add_memory_option(group, "RAM of each")
    parser.set_defaults(memory=None)  # as the guest needs
    add_harts_option(group)
    add_isa_option(group, "what the virtual harts implement, but for H")
    group.add_argument(
        "--quirk",
        action="append",
        default=[],
        choices=QUIRKS,
        help="a hart on which these do not trap in U-mode (rvemu virtualizable --quirk)",
    )
    group.add_argument(
        "--patch",
        action="store_true",
        help="mode trap-and-emulate: scan the guest's kernel, and patch what does not trap",
    )
    disks = parser.add_argument_group("disks (docs/virtio.md)")
    add_drive_options(disks, "[,vm=N]")
    debugging = parser.add_argument_group("debugging (docs/gdb.md)")
    debugging.add_argument(
        "--gdb",
        nargs="?",
        const=":1234",
        metavar="ADDR",
        help="wait for gdb at HOST:PORT, :PORT or unix:PATH (default: :1234): it sees the guest's "
        "own addresses and virtual privilege; several guests are as many inferiors",
    )
    debugging.add_argument(
        "--gdb-wait", action="store_true", help="do not start the guests before gdb does"
    )
    seeing = parser.add_argument_group("seeing what happens")
    seeing.add_argument("--trace-exits", action="store_true", help="a line for each exit")
    seeing.add_argument("--accounting", action="store_true", help="the table of exits at the end")
    seeing.add_argument(
        "--control", action="store_true", help="mode hardware: the control structure at the end"
    )
    seeing.add_argument(
        "--report", metavar="FILE", help="mode all: the comparison as a web page, with plots"
    )
    seeing.add_argument("--json", action="store_true", help="the table for programs, on stdout")


def _shares(text: str) -> list[int]:
    shares = [int(share) if share.isdecimal() else 0 for share in text.split(",")]
    if 0 in shares:
        raise argparse.ArgumentTypeError(f"'{text}' has not a number for each guest, as 1,3")
    return shares


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    if arguments.gdb_wait and arguments.gdb is None:
        arguments.gdb = ":1234"
    _check(arguments)
    guests = find_guests(arguments)
    if arguments.mode == ALL:
        return _compare(arguments, guests[0])
    if len(guests) > 1:
        return _run_several(arguments, guests)
    return _run_one(arguments, guests[0])


def _check(arguments: argparse.Namespace) -> None:
    """Raise `RvemuError` for options that do not go together, before anything is built or
    fetched."""
    guests = how_many_guests(arguments)
    if arguments.control and arguments.mode != "hardware":
        raise RvemuError("--control: only mode hardware has a control structure")
    if arguments.patch and arguments.mode not in (PATCHABLE, ALL):
        raise RvemuError(f"--patch is a variant of mode {PATCHABLE}")
    if arguments.report is not None and arguments.mode != ALL:
        raise RvemuError("--report compares modes: give --mode all")
    if arguments.gdb is not None and (arguments.mode == ALL or arguments.json):
        raise RvemuError("--gdb debugs guests in one mode, at their console")
    if guests > 1 and arguments.mode == ALL:
        raise RvemuError(f"--mode all compares the modes on one guest, not {guests}")
    if guests > 1 and (arguments.json or arguments.control):
        raise RvemuError("--json and --control are for one guest")
    if arguments.shares is not None and guests < 2:
        raise RvemuError("--shares is for several guests")
    if arguments.shares is not None and len(arguments.shares) != guests:
        raise RvemuError(f"--shares: {guests} guests need as many shares")


def _build(
    arguments: argparse.Namespace,
    mode: str,
    guest: Guest,
    *,
    name: str = "guest",
    host: Host | None = None,
    output: Callable[[bytes], None] | None = None,
) -> VirtualMachine:
    machine = VirtualMachine(
        mode,
        host,
        name=name,
        memory=arguments.memory or guest.memory,
        harts=guest.harts,
        isa=arguments.isa,
        engine=arguments.engine,
        sbi=guest.sbi,
        bootargs=guest.command_line,
        quirks=sum({QUIRKS[quirk] for quirk in arguments.quirk}),
        patch=arguments.patch and mode == PATCHABLE,
        output=output,
    )
    if arguments.trace_exits:
        machine.trace = _tracer(name if host is not None else "")
    return machine


@contextlib.contextmanager
def _disks(
    arguments: argparse.Namespace, machines: Sequence[VirtualMachine], *, snapshot: bool = False
) -> Iterator[None]:
    """Plug disks into the machines that `vm=` names: 1 is the first, and may go without saying."""
    if not arguments.drive:
        yield
        return
    from rvemu.drives import DriveOptions

    numbered = {str(n): each.plug for n, each in enumerate(machines, 1)}
    wanted = []
    for text in arguments.drive:
        options = Options.parse("--drive", text)
        vm = options.take("vm", "1" if len(machines) == 1 else None)
        if vm not in numbered:
            what = "it names no guest" if vm is None else f"there is no guest {vm}"
            raise options.error(what, " or ".join(f"vm={n}" for n in numbered))
        wanted.append((numbered[vm], DriveOptions.of(options)))
    with drives(wanted, snapshot=snapshot or arguments.snapshot):
        yield


def _tracer(name: str) -> Callable[[Exit], None]:
    prefix = f"[{name}] " if name else ""

    def trace(happened: Exit) -> None:
        sys.stderr.write(f"{prefix}{happened}\n")

    return trace


# --- One guest -----------------------------------------------------------------------------------


def _run_one(arguments: argparse.Namespace, guest: Guest) -> int:
    output = _Collected() if arguments.json else None
    machine = _build(arguments, arguments.mode, guest, output=output)
    with _disks(arguments, [machine]):
        guest.load(machine)
        return _run_loaded(arguments, machine, guest, output)


def _run_loaded(
    arguments: argparse.Namespace,
    machine: VirtualMachine,
    guest: Guest,
    output: "_Collected | None",
) -> int:
    from rvemu.session import Signalled

    try:
        if output is None:
            session = _session(arguments, machine, guest)
            run = machine.run(arguments.max_instructions, runner=session.run)
        else:
            run = machine.run(arguments.max_instructions)
    except Signalled as signalled:
        return 128 + signalled.number
    measured = _measured(machine, run, bytes(output or b""))
    if arguments.json:
        print(json.dumps(measured.as_dict(), indent=2))
    if arguments.accounting:
        print(*table([measured]), sep="\n", file=sys.stderr)
    if arguments.control and isinstance(machine.monitor, Hardware):
        print(*machine.monitor.control_structure().describe(), sep="\n", file=sys.stderr)
    status = _status(run)
    stuck = run.outcome is not None and run.outcome.reason is Reason.STUCK
    if stuck and not guest.sbi and not machine.machine.hart["mtvec"]:
        _say("it has no trap vector for M-mode: a kernel for S-mode wants firmware, --sbi")
    return status


def _session(arguments: argparse.Namespace, machine: VirtualMachine, guest: Guest) -> "Session":
    """A run at the user's console, or under a debugger. The guest's output goes there."""
    from rvemu.session import Session

    if arguments.gdb is None:
        return Session(machine.machine, _say, reboot=False)
    from rvemu.debug.session import DebugSession

    return DebugSession(
        machine.machine,
        _say,
        arguments.gdb,
        path=_debugged(guest, arguments.mode),
        wait=arguments.gdb_wait,
        reboot=False,
        restart=machine.reboot,
    )


def _debugged(guest: Guest, mode: str) -> Path | None:
    """The file in which a debugger finds a guest's symbols."""
    return None if guest.is_kernel else guest.path_for(mode)


def _measured(machine: VirtualMachine, run: Run, output: bytes) -> Measured:
    return Measured(machine.mode, run, output, machine.instructions, machine.accounting)


def _status(run: Run) -> int:
    """The exit status for how a guest ended, and the message for the user."""
    outcome = run.outcome
    if outcome is None:
        if run.failure:
            _say(run.failure)
            return FAILED
        return 0  # the user quits
    if outcome.reason is Reason.EXITED:
        return exit_status(outcome.code)
    if outcome.reason is Reason.RESET:
        return 0
    if outcome.reason is Reason.BUDGET:
        _say("stopped by --max-instructions")
    else:
        _say(f"the guest is stuck: {outcome.detail}")
    return UNFINISHED


# --- All modes -----------------------------------------------------------------------------------


def _compare(arguments: argparse.Namespace, guest: Guest) -> int:
    modes = guest.modes()
    with contextlib.ExitStack() as stack:

        def build(mode: str, output: Callable[[bytes], None]) -> VirtualMachine:
            machine = _build(arguments, mode, guest, name=guest.path.stem, output=output)
            # Each mode finds the disks as they are.
            stack.enter_context(_disks(arguments, [machine], snapshot=True))
            guest.load(machine)
            return machine

        line = stack.enter_context(StatusLine())

        def progress(machine: VirtualMachine) -> None:
            if line.due():
                done = f"{machine.instructions:,} instructions, {machine.accounting.total:,} exits"
                line.show(f"mode {machine.mode}: {done}")

        measured = measure(build, modes, arguments.max_instructions, progress)
    if PARAVIRT not in modes:
        _say(f"mode paravirt is left out: {guest.path.stem} {guest.why_not_paravirtual()}")
    different = differences(measured)
    if arguments.report is not None:
        _write_report(Path(arguments.report), guest.path, measured)
    if arguments.json:
        report: dict[str, Any] = {
            "guest": str(guest.path),
            "equal": not different,
            "differences": different,
            "modes": [m.as_dict() for m in measured],
        }
        print(json.dumps(report, indent=2))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(measured[0].output)
        sys.stdout.buffer.flush()
        print(*table(measured), sep="\n", file=sys.stderr)
        equal = f"the same {len(measured[0].output)} bytes of output in all modes"
        print(*(different or [equal]), sep="\n", file=sys.stderr)
    if different:
        return FAILED
    return _status(measured[0].run)


def _write_report(file: Path, guest: Path, measured: list[Measured]) -> None:
    from rvemu.vmm.report import page

    try:
        file.write_text(page(guest.stem, measured), encoding="utf-8")
    except OSError as error:
        raise RvemuError(f"{file}: cannot be written: {error.strerror}") from error


# --- Several guests ------------------------------------------------------------------------------


def _run_several(arguments: argparse.Namespace, guests: list[Guest]) -> int:
    # Where gdb has standard output, as with `target remote | rvemu ...`, guests have the other.
    stream = sys.stderr.buffer if arguments.gdb == "-" else sys.stdout.buffer
    host = None
    if arguments.mode != EMULATE:
        host = Host(parse_isa(arguments.isa), arguments.engine)
    machines, outputs = [], {}
    for n, guest in enumerate(guests):
        name = f"{n + 1}:{guest.path.stem}"
        output = outputs[name] = _Lines(f"[{name}] ", stream)
        machine = _build(arguments, arguments.mode, guest, name=name, host=host, output=output)
        machines.append(machine)

    def finished(machine: VirtualMachine, run: Run) -> None:
        outputs[machine.name].end()
        _say(f"[{machine.name}] {run}")

    shares = arguments.shares or [1] * len(machines)
    with _disks(arguments, machines):
        for machine, guest in zip(machines, guests, strict=True):
            guest.load(machine)
        if arguments.gdb is None:
            limit = arguments.max_instructions
            runs = run_in_turns(machines, shares, limit, finished, detect_stuck=limit is None)
        else:
            runs = _debug_several(arguments, machines, guests, shares)
    for output in outputs.values():
        output.end()
    if arguments.accounting:
        measured = [_measured(m, r, b"") for m, r in zip(machines, runs, strict=True)]
        print(*table(measured), sep="\n", file=sys.stderr)
    return 0 if all(run.passed for run in runs) else FAILED


def _debug_several(
    arguments: argparse.Namespace,
    machines: list[VirtualMachine],
    guests: list[Guest],
    shares: list[int],
) -> list[Run]:
    from rvemu.debug.virtual import debug_in_turns

    runs = debug_in_turns(
        machines,
        [_debugged(guest, arguments.mode) for guest in guests],
        arguments.gdb,
        _say,
        shares=shares,
        limit=arguments.max_instructions,
        wait=arguments.gdb_wait,
    )
    for machine, run in zip(machines, runs, strict=True):
        _say(f"[{machine.name}] {run}")
    return runs


class _Collected(bytearray):
    """A guest's output, kept."""

    def __call__(self, data: bytes) -> None:
        self += data


class _Lines:
    """A guest's output, line by line, each with the guest's name before it. What a terminal would
    obey is shown as an escape: no guest can move to another's lines, or print under its name."""

    def __init__(self, prefix: str, stream: BinaryIO) -> None:
        self._prefix = prefix.encode()
        self._stream = stream
        self._line = bytearray()

    def __call__(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._line += first
        for other in others:
            self._write()
            self._line += other
        if len(self._line) > LONGEST_LINE:
            self._write()
        self._stream.flush()

    def _write(self) -> None:
        text = self._line.removesuffix(b"\r").decode(errors="backslashreplace")
        if not text.isprintable():
            text = "".join(map(_shown, text))
        self._stream.write(self._prefix + text.encode() + b"\n")
        self._line.clear()

    def end(self) -> None:
        """The guest prints no more: write what it has printed of a line."""
        if self._line:
            self._write()
            self._stream.flush()


def _shown(character: str) -> str:
    if character.isprintable() or character == "\t":
        return character
    return character.encode("unicode_escape").decode()


def _say(text: str) -> None:
    print(f"rvemu: {text}", file=sys.stderr, flush=True)
