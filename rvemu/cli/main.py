"""The `rvemu` command: finds the subcommand, and says what went wrong in one line."""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

import rvemu
from rvemu.errors import RvemuError

COMMANDS = ("run",)

# Exit status of a mistake of the user's, and of an interrupted command.
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser. Only the module of the command at hand is imported, so that `rvemu --help` and
    each command start quickly."""
    parser = argparse.ArgumentParser(
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
        arguments = build_parser(command).parse_args(words)
        status: int = arguments.execute(arguments)
    except RvemuError as e:
        print(f"rvemu: {e}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Who reads our output has left. Nothing is to be said, not even when Python flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    return status


if __name__ == "__main__":
    sys.exit(main())
