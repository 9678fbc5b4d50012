"""The native engine's machine code: compiled once for a version of rvemu and a host CPU."""

import hashlib
import sys
import time
from functools import cache
from pathlib import Path

import rvemu
from rvemu.engine import jit
from rvemu.engine.native.cache import cached

# The parts of rvemu whose source decides what is compiled.
_SOURCES = ("lang.py", "hart", "isa", "engine/compiler", "engine/native", "engine/jit.py")


def source_digest() -> str:
    """A digest of all that the machine code is made from."""
    root = Path(rvemu.__file__).parent
    digest = hashlib.sha256(rvemu.__version__.encode())
    for part in _SOURCES:
        top = root / part
        for path in sorted(top.rglob("*.py")) if top.is_dir() else [top]:
            digest.update(str(path.relative_to(root)).encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _compile() -> bytes:
    from rvemu.engine.native.interpreter import interpreter

    say = sys.stderr.isatty()
    if say:
        print("rvemu: compiling the native engine (once) ...", end="", file=sys.stderr, flush=True)
    else:
        print("rvemu: compiling the native engine (once) ...", file=sys.stderr, flush=True)
    start = time.monotonic()
    code = jit.compile_module(interpreter())
    if say:
        print(f" {time.monotonic() - start:.1f} s", file=sys.stderr)
    return code


@cache
def library() -> jit.Library:
    """The engine's functions, loaded into this process. Raises where LLVM has no code for the
    host."""
    jit.target_machine()
    key = f"{source_digest()} {jit.host_description()}"
    return jit.Library(cached(key, _compile))
