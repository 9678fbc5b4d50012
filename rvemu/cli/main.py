"""The `rvemu` command: finds the subcommand, and says what went wrong in one line."""

import argparse
import contextlib
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import rvemu
from rvemu.cli.qemu import in_our_spelling
from rvemu.errors import RvemuError

COMMANDS = (
    "run",
    "debug",
    "dts",
    "disasm",
    "conform",
    "lockstep",
    "differential",
    "vm",
    "virtualizable",
    "bench",
)

# Exit status of a mistake of the user's, and of an interrupted command.
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT

_OUTPUT_ERRORS = (errno.EIO, errno.ENOSPC, errno.EBADF)


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        """A mistake of the user's."""
        raise RvemuError(f"{message} (`{self.prog} --help` tells more)")


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser. Only the module of the command at hand is imported, so that `rvemu --help` and
    each command start quickly."""
    parser = Parser(
        prog="rvemu",
        description="A RISC-V machine and virtualization laboratory.",
        epilog="`rvemu COMMAND --help` tells more about a command.",
    )
    parser.add_argument("--version", action="version", version=f"rvemu {rvemu.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        module = importlib.import_module(f"rvemu.cli.{name}") if command in (name, None) else None
        text = (module.__doc__ or "") if module is not None else ""
        summary, _, rest = text.partition("\n\n")
        child = commands.add_parser(
            name,
            help=summary.rstrip("."),
            description=summary,
            epilog=rest,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if module is not None:
            module.configure(child)
            child.set_defaults(execute=module.execute)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    command = next((word for word in words if word in COMMANDS), None)
    try:
        arguments, unknown = build_parser(command).parse_known_args(in_our_spelling(words))
        if unknown:
            complaint = f"unrecognized arguments: {' '.join(unknown)}"
            raise RvemuError(f"{complaint} (`rvemu {arguments.command} --help` tells more)")
        status: int = arguments.execute(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
    except RvemuError as e:
        _complain(f"rvemu: {e}")
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads our output has left. Nothing is to be said, not even when Python flushes.
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as e:
        # Reading and writing files is checked where it is done. This is stdout, or stderr.
        if e.errno not in _OUTPUT_ERRORS:
            raise
        _complain(f"rvemu: cannot write the output: {e.strerror}")
        _discard_output()
        return USAGE
    return status


def _discard_output() -> None:
    """Have whatever is still to be written to stdout go nowhere."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _complain(text: str) -> None:
    """A line on stderr, if there is one."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
