"""Which files are tests: ELF executables for RV64, in the order of their names."""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from rvemu.errors import RvemuError
from rvemu.loader import EM_RISCV

_HEADER = struct.Struct("<4sBB10xHH")  # magic, class, byte order; type, machine
_MAGIC = b"\x7fELF"
_EXECUTABLE = (2, 3)  # ET_EXEC, ET_DYN
_TYPES = {1: "an object file that was not linked", 4: "a core dump"}


@dataclass(frozen=True)
class Program:
    """A file to run."""

    path: Path
    #: Its path below the folder that was named, or the file's name.
    name: str

    @property
    def group(self) -> str:
        """What it is counted under: `rv64ui-p` of rv64ui-p-add, or its folder's name."""
        named = re.fullmatch(r"(.+?-(?:p|v|pm|pt))-.+", self.path.name)
        return named[1] if named else self.path.resolve().parent.name


@dataclass(frozen=True)
class Found:
    """What was found at the paths that were named."""

    tests: tuple[Program, ...]
    #: ELF files in folders that are no tests, with the reason.
    rejected: tuple[tuple[Path, str], ...]


def find_tests(paths: Sequence[Path | str], pattern: str | None = None) -> Found:
    """The tests among files and in folders, at any depth. In folders, what is not an ELF file is
    passed over in silence, and an ELF file that can't be a test is rejected. `pattern` is a glob
    that a test's name, or the last part of it, must match. Raises `RvemuError` for a path that
    leads nowhere, and for a file that was named and can't be a test."""
    tests: dict[Path, Program] = {}
    rejected = []
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                if not file.is_file():
                    continue
                reason = why_no_test(file)
                if reason is None:
                    test = Program(file, file.relative_to(path).as_posix())
                    tests.setdefault(file.resolve(), test)
                elif reason:
                    rejected.append((file, reason))
        elif not path.exists():
            raise RvemuError(f"{path}: no such file or folder")
        else:
            reason = why_no_test(path)
            if reason is not None:
                raise RvemuError(f"{path}: {reason or 'not an ELF file'}")
            tests.setdefault(path.resolve(), Program(path, path.name))
    chosen = list(tests.values())
    if pattern is not None:
        chosen = [t for t in chosen if _matches(t.name, pattern)]
        rejected = [r for r in rejected if _matches(r[0].name, pattern)]
    return Found(tuple(chosen), tuple(rejected))


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern)


def why_no_test(path: Path) -> str | None:
    """Why a file can't be a test, from its ELF header alone: None if it can, and "" if it is not
    an ELF file at all."""
    try:
        with path.open("rb") as stream:
            start = stream.read(_HEADER.size)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not start.startswith(_MAGIC):
        return ""
    if len(start) < _HEADER.size:
        return "a truncated ELF file"
    _, bits, order, kind, machine = _HEADER.unpack(start)
    if order != 1 or machine != EM_RISCV:
        return "an ELF file for another machine than RISC-V"
    if bits != 2:
        return "an ELF file for RV32, which rvemu does not run"
    if kind not in _EXECUTABLE:
        return f"{_TYPES.get(kind, f'of ELF type {kind}')}, not an executable"
    return None
