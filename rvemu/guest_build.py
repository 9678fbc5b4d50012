"""Builds guests from their sources with a RISC-V cross compiler.

Two compilers are known: the ``ziglang`` wheel, which contains clang and lld for every target, and
``riscv64-unknown-elf-gcc``. A guest's ``guest.toml`` says what to compile (`Recipe`); this module
turns that into the command lines of either. It imports nothing heavy, because the package's own
build runs it (``hatch_build.py``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rvemu.errors import RvemuError

# Freestanding C without a library, position dependent, anywhere in 64 bits (medany). Guests link
# their own memcpy and memset; the compilers must not turn the loops inside those into calls of
# themselves. They must not fuse floating-point operations as they like either: results are to be
# the same to the last bit, whoever compiled.
_COMPILE_FLAGS = (
    "-std=gnu11",
    "-O2",
    "-g",
    "-ffreestanding",
    "-fno-builtin",
    "-fno-common",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-pic",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-fomit-frame-pointer",
    "-mcmodel=medany",
    "-Wall",
    "-Wextra",
)
_LINK_FLAGS = ("-nostdlib", "-static", "-Wl,--build-id=none")


@dataclass(frozen=True)
class Recipe:
    """What to compile for one guest, as its ``guest.toml`` says it."""

    name: str
    root: Path
    """The folder of all guests' folders; the compiler runs here."""
    sources: tuple[Path, ...]
    linker_script: Path
    entry: str
    """The symbol to start at."""
    march: str
    mabi: str
    defines: tuple[str, ...] = ()
    """Macros that all sources are compiled with."""
    embeds: tuple[Recipe, ...] = ()
    """Guests whose ELF files this guest contains (`_embed`)."""

    @classmethod
    def load(
        cls, folder: Path, description: str = "guest.toml", *, within: tuple[str, ...] = ()
    ) -> Recipe:
        """Reads ``folder/guest.toml``, or what describes it instead; the guest is named as its
        folder is.

        `within` names the guests that embed it, the outermost first. Raises `RvemuError` when a key
        is missing, a source does not exist, or a guest would contain itself.
        """
        folder = folder.resolve()
        path = folder / description
        if folder.name in within:
            raise RvemuError(f"{path}: {folder.name} embeds itself, by way of {within[-1]}")
        table = load_toml(path)
        try:
            sources = tuple((folder / source).resolve() for source in table["sources"])
            linker_script = (folder / table["linker_script"]).resolve()
        except KeyError as missing:
            raise RvemuError(f"{path}: {missing} is missing") from None
        for source in (*sources, linker_script):
            if not source.is_file():
                raise RvemuError(f"{path}: there is no file {source}")
        within = (*within, folder.name)
        embedded = [folder.parent / name for name in table.get("embeds", ())]
        return cls(
            name=folder.name,
            root=folder.parent,
            sources=sources,
            linker_script=linker_script,
            entry=table.get("entry", "_start"),
            march=table.get("march", "rv64gc"),
            mabi=table.get("mabi", "lp64d"),
            defines=tuple(table.get("defines", ())),
            embeds=tuple(cls.load(guest, within=within) for guest in embedded),
        )

    @property
    def include_dirs(self) -> list[Path]:
        """Where headers are looked for: beside each source."""
        return sorted({source.parent for source in self.sources})

    @property
    def link_flags(self) -> list[str]:
        """The linker's options, but for the compiler's own."""
        script = str(self.linker_script.relative_to(self.root))
        return [*_LINK_FLAGS, f"-Wl,-e,{self.entry}", "-T", script]

    def digest(self, toolchain: Toolchain) -> str:
        """A hexadecimal name for all that the guest's ELF depends on."""
        state = hashlib.sha256()
        headers = (path for folder in self.include_dirs for path in sorted(folder.glob("*.h")))
        for path in (*self.sources, self.linker_script, *headers):
            content = path.read_bytes()
            state.update(f"{path.name} {len(content)}\n".encode())
            state.update(content)
        flags = (
            *toolchain.target_flags(self.march, self.mabi),
            *toolchain.compile_flags(self.root),
            *_COMPILE_FLAGS,
            *self.defines,
            *self.link_flags,
        )
        state.update("\n".join((self.name, toolchain.identity, *flags)).encode())
        for guest in self.embeds:
            state.update(guest.digest(toolchain).encode())
        return state.hexdigest()[:32]


@dataclass(frozen=True)
class Toolchain:
    """A C compiler driver for bare-metal riscv64.

    `identity` tells versions of one compiler apart without running it.
    """

    name: str
    command: tuple[str, ...]
    identity: str

    @property
    def is_zig(self) -> bool:
        """Whether the driver takes zig's options rather than gcc's."""
        return self.name == "zig"

    def target_flags(self, march: str, mabi: str) -> list[str]:
        """The flags that choose the instruction set (an ISA string such as rv64gc) and the ABI."""
        if self.is_zig:
            cpu = "+".join(["generic_rv64", *extensions(march)])
            return ["-target", "riscv64-freestanding-none", f"-mcpu={cpu}", f"-mabi={mabi}"]
        return [f"-march={march}", f"-mabi={mabi}"]

    def compile_flags(self, root: Path) -> list[str]:
        """What this compiler alone needs: to do nothing clever, and to leave in the debug
        information no trace of where `root` and the compiler's own headers are."""
        remap = [f"-ffile-prefix-map={root}=guests", f"-fdebug-prefix-map={root}=guests"]
        if not self.is_zig:
            return ["-fno-tree-loop-distribute-patterns", *remap]
        remap += ["-fdebug-compilation-dir=guests"]
        ziglang = importlib.util.find_spec("ziglang")
        if ziglang is not None and ziglang.submodule_search_locations:
            remap += [f"-ffile-prefix-map={ziglang.submodule_search_locations[0]}=zig"]
        return ["-fno-sanitize=undefined", *remap]


def extensions(march: str) -> list[str]:
    """The extensions after the base of an ISA string, lower case, with ``g`` spelled out.

    >>> extensions("rv64gc_zba")
    ['m', 'a', 'f', 'd', 'zicsr', 'zifencei', 'c', 'zba']
    """
    letters, *named = march.lower().removeprefix("rv64").removeprefix("i").split("_")
    single: list[str] = []
    for letter in letters:
        single += ["m", "a", "f", "d", "zicsr", "zifencei"] if letter == "g" else [letter]
    return single + named


def available_toolchains() -> list[Toolchain]:
    """Every known compiler that is installed here, the preferred one first."""
    found = []
    if importlib.util.find_spec("ziglang") is not None:
        from importlib.metadata import version  # slow to import

        zig_version = version("ziglang")
        command = (sys.executable, "-m", "ziglang", "cc")
        found.append(Toolchain("zig", command, f"zig {zig_version}"))
    elif zig := shutil.which("zig"):
        found.append(Toolchain("zig", (zig, "cc"), _file_identity(zig)))
    if gcc := shutil.which("riscv64-unknown-elf-gcc"):
        found.append(Toolchain("gcc", (gcc,), _file_identity(gcc)))
    return found


def find_toolchain() -> Toolchain:
    """The compiler to use: the one that RVEMU_CC names, else the first that is installed.

    RVEMU_CC is ``zig``, ``gcc``, or the command of a compiler that takes gcc's options. Raises
    `RvemuError` when there is none.
    """
    override = os.environ.get("RVEMU_CC", "")
    available = available_toolchains()
    if override in ("zig", "gcc"):
        available = [toolchain for toolchain in available if toolchain.name == override]
    elif override:
        program, *arguments = shlex.split(override)
        path = shutil.which(program)
        if path is None:
            raise RvemuError(f"RVEMU_CC names {program!r}, which is not on PATH")
        return Toolchain(program, (path, *arguments), _file_identity(path) + " ".join(arguments))
    if not available:
        missing = f"the compiler of RVEMU_CC={override}" if override else "a RISC-V compiler"
        raise RvemuError(
            f"building a guest needs {missing}, which is not installed here:"
            " `pip install ziglang` or `apt-get install gcc-riscv64-unknown-elf` provides one"
        )
    return available[0]


def build(recipe: Recipe, toolchain: Toolchain, output: Path) -> None:
    """Compiles and links a guest to the ELF file `output`, which appears whole or not at all.

    Several processes may build the same file at once. Raises `RvemuError` when the compiler fails.
    """
    with tempfile.TemporaryDirectory(prefix="rvemu-guest-") as scratch:
        work = Path(scratch)
        target = toolchain.target_flags(recipe.march, recipe.mabi)
        flags = [*_COMPILE_FLAGS, *toolchain.compile_flags(recipe.root)]
        flags += [f"-D{name}" for name in recipe.defines]
        flags += [f"-I{folder.relative_to(recipe.root)}" for folder in recipe.include_dirs]
        objects = []
        for source in recipe.sources:
            # Linker scripts select by object name: folder-file.o, wherever the object is.
            made = work / f"{source.parent.name}-{source.stem}.o"
            assert str(made) not in objects, f"two sources of {recipe.name} make {made.name}"
            relative = str(source.relative_to(recipe.root))
            _run(recipe, toolchain, work, [*target, *flags, "-c", relative, "-o", str(made)])
            objects.append(str(made))
        if recipe.embeds:
            objects.append(_embed(recipe, toolchain, work))

        linked = work / f"{recipe.name}.elf"
        link = [*target, *recipe.link_flags, "-o", str(linked), *objects]
        _run(recipe, toolchain, work, link)
        _publish(linked, output)


def _embed(recipe: Recipe, toolchain: Toolchain, work: Path) -> str:
    """Builds the guests that a guest embeds; the object file that contains them.

    It defines `embedded_guests`: for each a pointer to its name, one to the first byte of its ELF
    file, and one behind the last; then a null pointer.
    """
    table, contents = [], []
    for number, guest in enumerate(recipe.embeds):
        elf = work / f"embedded-{number}.elf"
        build(guest, toolchain, elf)
        table.append(f".dword name{number}, start{number}, end{number}")
        contents.append(f'name{number}: .asciz "{guest.name}"\n.balign 8')
        contents.append(f'start{number}: .incbin "{elf}"\nend{number}: .balign 8')
    source = work / "embedded.S"
    head = [".section .rodata", ".balign 8", ".globl embedded_guests", "embedded_guests:"]
    source.write_text("\n".join([*head, *table, ".dword 0", *contents, ""]))
    made = str(work / "embedded.o")
    target = toolchain.target_flags(recipe.march, recipe.mabi)
    _run(recipe, toolchain, work, [*target, "-g0", "-c", str(source), "-o", made])
    return made


def load_toml(path: Path) -> dict[str, Any]:
    """Reads a TOML file; `RvemuError` when it is absent or malformed."""
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise RvemuError(f"there is no {path}") from None
    except tomllib.TOMLDecodeError as error:
        raise RvemuError(f"{path}: {error}") from None


def _run(recipe: Recipe, toolchain: Toolchain, work: Path, arguments: list[str]) -> None:
    """Runs the compiler; the scratch folder `work` is where zig's caches go."""
    environment = dict(os.environ)
    if toolchain.is_zig:
        environment["ZIG_GLOBAL_CACHE_DIR"] = str(work / "zig-cache")
        environment["ZIG_LOCAL_CACHE_DIR"] = str(work / "zig-cache")
    command = [*toolchain.command, *arguments]
    try:
        done = subprocess.run(
            command, cwd=recipe.root, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RvemuError(f"cannot run {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        reason = next((line for line in lines if "error" in line), lines[-1])
        raise RvemuError(f"{toolchain.name} cannot build guest {recipe.name!r}: {reason}")
    if done.stderr:
        sys.stderr.write(done.stderr)


def _publish(made: Path, output: Path) -> None:
    """Moves a finished file to its place in one step, from whatever file system it is on."""
    handle, temporary = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
    try:
        with os.fdopen(handle, "wb") as copy:
            copy.write(made.read_bytes())
        Path(temporary).replace(output)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _file_identity(path: str) -> str:
    """Tells one installed version of a program from another by its resolved file."""
    real = Path(path).resolve()
    status = real.stat()
    return f"{real.name} {status.st_size} {status.st_mtime_ns}"
