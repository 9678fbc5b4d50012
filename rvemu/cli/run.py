"""Boot a guest.

The hart starts in M-mode at the ELF file's entry, with its id in a0 and the address of a device
tree in a1; with --kernel, SBI firmware starts there and enters the kernel in S-mode. The board is
that of QEMU's `virt` machine. What the guest prints goes to stdout, stdin is its console's input;
messages and traces go to stderr.

examples:
  rvemu run --guest tinyos             a guest that comes with rvemu (--list-guests names them)
  rvemu run guest.elf                  the exit status is the guest's
  rvemu run --smp 4 -m 1G guest.elf
  rvemu run --load-address 0x80000000 image.bin
  rvemu run --linux                    a Debian kernel with busybox, fetched once (docs/linux.md)
  rvemu run --kernel Image --initrd initrd.img --append console=ttyS0 -m 1G
  rvemu run --bios fw_dynamic.bin --kernel Image
  rvemu run --trace=trace.txt guest.elf
  rvemu run --explain-faults --trace-traps guest.elf
  rvemu run --gdb --gdb-wait guest.elf  (as QEMU's -s -S), and `rvemu debug` starts gdb as well

on a terminal:
  Ctrl-A x quits, Ctrl-A c opens the monitor, Ctrl-A h helps; Ctrl-C goes to the guest.

exit status:
  the guest's own, 0 to 255 (more than that becomes its low 8 bits, or 255 if these are 0)
  2    a mistake in how rvemu was called
  124  the guest is stuck, or was stopped by --max-instructions
  128+N  ended by signal N (130: Ctrl-C)
"""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rvemu.cli.boot_options import (
    Start,
    add_boot_options,
    find_start,
    list_guests,
    names_guest,
)
from rvemu.cli.device_options import add_device_options, devices
from rvemu.cli.machine_options import add_engine_option, add_machine_options, build_machine
from rvemu.cli.quantities import count
from rvemu.errors import RvemuError
from rvemu.machine import CLOCKS, Machine, Outcome, Reason

if TYPE_CHECKING:
    from rvemu.session import Session

UNFINISHED = 124

STDERR = "-"

_GDB_ENDPOINT = ":1234"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add_boot_options(parser)
    add_engine_option(parser)
    add(
        "--max-instructions",
        type=count,
        metavar="N",
        help="stop after N instructions, as 5M; while all harts wait, a nanosecond counts as one",
    )
    add(
        "--clock",
        choices=CLOCKS,
        default=CLOCKS[0],
        help="what guest time follows: instructions, so that a run repeats exactly, or wall, the "
        "host's clock, where a guest that waits has the host wait (default: instructions)",
    )
    add("--no-reboot", action="store_true", help="end where the guest asks for a reset")
    add(
        "--stats",
        action="store_true",
        help="say at the end what ran: speed, modes, traps, TLB misses, device accesses (signal "
        "USR1 has rvemu say so at any time); and where a guest is that prints nothing for long, "
        "as on a terminal",
    )
    add_machine_options(parser)
    parser.set_defaults(memory=None)  # what the guest wants
    add_device_options(parser)
    _add_gdb_options(parser)
    seeing = parser.add_argument_group("seeing what happens")
    seeing.add_argument(
        "--trace",
        nargs="?",
        const=STDERR,
        metavar="FILE",
        help="a line for each instruction and trap (docs/tracing.md), to stderr or a file",
    )
    seeing.add_argument("--trace-traps", action="store_true", help="a line for each trap")
    seeing.add_argument("--trace-mmu", action="store_true", help="a line for each translation")
    seeing.add_argument(
        "--explain-faults", action="store_true", help="the page walk of each memory fault"
    )
    seeing.add_argument(
        "--signature",
        metavar="FILE",
        help="write memory from begin_signature to end_signature at the end, as Spike does",
    )
    seeing.add_argument(
        "--signature-granularity",
        type=count,
        default=16,
        metavar="N",
        help="bytes in a line of the signature (default: 16)",
    )


def _add_gdb_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("debugging (docs/gdb.md)")
    add = group.add_argument
    add(
        "--gdb",
        nargs="?",
        const=_GDB_ENDPOINT,
        metavar="ADDR",
        help=f"wait for gdb at HOST:PORT, :PORT, unix:PATH, or - (default: {_GDB_ENDPOINT})",
    )
    add("--gdb-wait", action="store_true", help="do not start the guest before gdb does")
    add(
        "--gdb-loss",
        choices=("continue", "stop", "kill"),
        default="continue",
        help="what becomes of the guest if gdb vanishes (default: continue)",
    )
    add("-s", dest="gdb", action="store_const", const=_GDB_ENDPOINT, help="as --gdb")
    add("-S", dest="gdb_wait", action="store_true", help="as --gdb-wait")


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    if arguments.list_guests:
        return list_guests()
    if arguments.gdb is not None and not names_guest(arguments):
        # `--gdb guest.elf`: what looks like gdb's address is the guest.
        arguments.elf, arguments.gdb = arguments.gdb, _GDB_ENDPOINT
    if arguments.trace not in (None, STDERR) and not names_guest(arguments):
        # `--trace guest.elf`: what looks like the trace's file is the guest.
        arguments.elf, arguments.trace = arguments.trace, STDERR
    start = find_start(arguments)
    arguments.memory = arguments.memory or start.memory
    arguments.append = " ".join(filter(None, (start.command_line, arguments.append)))
    machine = build_machine(arguments, harts=start.harts, clock=arguments.clock)
    with devices(arguments, machine):
        return _boot(arguments, machine, start)


def _boot(arguments: argparse.Namespace, machine: Machine, start: Start) -> int:
    image = start.load(machine)
    for warning in image.warnings:
        _say(warning)
    if arguments.signature is not None:
        _check_signature(machine, arguments.signature)
    with _traces(arguments, machine):
        status = _run(arguments, machine, start)
    if arguments.signature is not None:
        from rvemu.signature import write_signature

        write_signature(machine, arguments.signature, arguments.signature_granularity)
    return status


def exit_status(code: int) -> int:
    """A process's exit status for a guest's: 8 bits, and not 0 for what is not 0."""
    return code & 0xFF or (0 if code == 0 else 0xFF)


def _session(arguments: argparse.Namespace, machine: Machine, start: Start) -> "Session":
    from rvemu.session import Session

    if arguments.gdb is None and not arguments.gdb_wait:
        return Session(machine, _say, reboot=not arguments.no_reboot)
    from rvemu.debug.session import DebugSession

    return DebugSession(
        machine,
        _say,
        arguments.gdb or _GDB_ENDPOINT,
        path=start.elf,
        wait=arguments.gdb_wait,
        on_loss=arguments.gdb_loss,
        reboot=not arguments.no_reboot,
    )


def _run(arguments: argparse.Namespace, machine: Machine, start: Start) -> int:
    from rvemu.session import Signalled

    session = _session(arguments, machine, start)
    if arguments.stats or session.terminal is not None:
        _note_silence(session, start, arguments.append)
    try:
        outcome = session.run(arguments.max_instructions)
    except Signalled as signalled:
        return 128 + signalled.number
    finally:
        if arguments.stats:
            _say(session.statistics.line())
    return _status(machine, outcome)


def _note_silence(session: "Session", start: Start, command_line: str) -> None:
    """Tell the user if the guest prints nothing."""
    from rvemu.silence import MANY, MANY_LINUX, SilenceNote, linux_advice

    is_linux = start.is_kernel and start.elf is None
    advice = linux_advice(command_line) if is_linux else ""
    if advice is None:
        return
    SilenceNote(
        session.machine,
        session.statistics,
        session.say,
        firmware=start.firmware is not None,
        advice=advice,
        many=MANY_LINUX if is_linux else MANY,
    )


def _status(machine: Machine, outcome: Outcome | None) -> int:
    """The exit status for how a run ended, and the message for the user."""
    if outcome is None:
        return 0
    if outcome.reason is Reason.EXITED:
        return exit_status(outcome.code)
    if outcome.reason is Reason.RESET:
        return 0
    if outcome.reason is Reason.BUDGET:
        places = ", ".join(
            f"hart {n} at {machine.lookup(hart.pc)} in {hart.mode}-mode"
            for n, hart in enumerate(machine.harts[:4])
        )
        _say(f"stopped by --max-instructions after {machine.now} clocks: {places}")
    else:
        _say(f"the guest is stuck: {outcome.detail}")
    return UNFINISHED


# --- What to see ---------------------------------------------------------------------------------


def _check_signature(machine: Machine, file: str) -> None:
    """Say what would go wrong at the end before a long run, not after it."""
    from rvemu.signature import read_signature

    read_signature(machine)
    folder = Path(file).parent
    if not folder.is_dir():
        raise RvemuError(f"{file}: cannot be written: there is no folder {folder}")


# --- Traces --------------------------------------------------------------------------------------


@contextlib.contextmanager
def _traces(arguments: argparse.Namespace, machine: Machine) -> Iterator[None]:
    """Set up the traces that are asked for."""
    traps, mmu, faults = arguments.trace_traps, arguments.trace_mmu, arguments.explain_faults
    if not (arguments.trace or traps or mmu or faults):
        yield
        return
    from rvemu import trace

    with _trace_output(arguments.trace or STDERR) as stream:
        write = _writer(stream)
        if arguments.trace:
            trace.CommitTrace(machine, write)
        elif traps:
            trace.TrapTrace(machine, write)
        if mmu:
            trace.TranslationTrace(machine, write)
        if faults:
            trace.FaultTrace(machine, write)
        yield


def _writer(stream: TextIO) -> Callable[[str], None]:
    def write(line: str) -> None:
        stream.write(line + "\n")

    return write


@contextlib.contextmanager
def _trace_output(file: str) -> Iterator[TextIO]:
    if file == STDERR:
        yield sys.stderr
        return
    path = Path(file)
    try:
        if path.is_file() and path.open("rb").read(4) == b"\x7fELF":
            raise RvemuError(f"{file}: an ELF file, which the trace will not overwrite")
        stream = path.open("w", encoding="utf-8", buffering=1 << 16)
    except OSError as error:
        raise RvemuError(f"{file}: cannot be written: {error.strerror}") from error
    try:
        with stream:
            yield stream
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise RvemuError(f"{file}: cannot be written: {error.strerror}") from error


def _say(text: str) -> None:
    print(f"rvemu: {text}", file=sys.stderr, flush=True)
