"""The functions of rvemu.lang: the same in CPython as compiled, bit for bit."""

import ctypes
from collections.abc import Callable
from importlib import import_module
from random import Random
from typing import Any

import pytest

from rvemu.engine.compiler import intrinsics
from rvemu.engine.compiler.callable import NativeFunction, compile_functions
from rvemu.engine.compiler.signature import signature
from tests.engine.random_values import any_value

_FLOAT64 = (
    *(0, 1, 0x000F_FFFF_FFFF_FFFF, 0x0010_0000_0000_0000, 0x3FE0_0000_0000_0000),
    *(0x3FF0_0000_0000_0000, 0x3FF0_0000_0000_0001, 0x3FF8_0000_0000_0000, 0x4340_0000_0000_0001),
    *(0x7FEF_FFFF_FFFF_FFFF, 0x7FF0_0000_0000_0000, 0x36A0_0000_0000_0000, 0x47EF_FFFF_F000_0000),
    *(0x47EF_FFFF_EFFF_FFFF, 0x3810_0000_0000_0000, 0x380F_FFFF_FFFF_FFFF, 0x3690_0000_0000_0001),
)
_FLOAT32 = (
    *(0, 1, 0x007F_FFFF, 0x0080_0000, 0x3F00_0000, 0x3F80_0000, 0x3F80_0001, 0x3FC0_0000),
    *(0x4B80_0001, 0x7F7F_FFFF, 0x7F80_0000, 0x3380_0000, 0x3380_0001, 0x0040_0000),
)


Pair = tuple[Callable[..., Any], NativeFunction]


def _float(rng: Random, bits: int) -> int:
    """A float's bit pattern, not a NaN."""
    sign = rng.getrandbits(1) << (bits - 1)
    if rng.random() < 0.4:
        return rng.choice(_FLOAT64 if bits == 64 else _FLOAT32) | sign
    fraction, bias, top = (52, 1023, 2047) if bits == 64 else (23, 127, 255)
    exponent = rng.randrange(top) if rng.random() < 0.4 else bias + rng.randrange(-30, 30)
    mantissa = rng.getrandbits(fraction)
    if rng.random() < 0.4:  # few bits: results are ties, or exact
        mantissa &= ~0 << rng.randrange(fraction)
    return sign | exponent << fraction | mantissa


def _is_nan(value: int, bits: int) -> bool:
    magnitude = value & ((1 << (bits - 1)) - 1)
    return magnitude > (0x7FF0_0000_0000_0000 if bits == 64 else 0x7F80_0000)


_FLOAT_OPERATIONS = {"add": 2, "sub": 2, "mul": 2, "div": 2, "sqrt": 1, "fma": 3}


def _wrapper(name: str, parameters: str, result: str, call: str = "") -> str:
    """A model function around one of the language's, which has no LLVM function of its own."""
    arguments = call or ", ".join(p.split(":")[0] for p in parameters.split(", "))
    return f"def do_{name}({parameters}) -> {result}:\n    return {arguments}\n"


def _wrappers() -> str:
    lines = ["from rvemu.lang import *", "from rvemu.lang import I128, U128, Field"]
    for bits in (8, 16, 32, 64, 128):
        for sign, kind in (("u", "U"), ("i", "I")):
            for source in ("U64", "I64", "U128", "I128"):
                name = f"{sign}{bits}"
                call = f"{name}(a)"
                lines.append(_wrapper(f"{name}_{source}", f"a: {source}", f"{kind}{bits}", call))
            if bits < 128:
                call = f"{sign}{bits}(a * b + 5)"
                lines.append(
                    _wrapper(f"{sign}{bits}_wrapped", "a: U64, b: U64", f"{kind}{bits}", call)
                )
    lines += [_wrapper(f"sext_{n}", "a: U64", "U64", f"sext(a, {n})") for n in range(1, 65)]
    lines += [
        _wrapper(name, "a: U64", "U64", f"{name}(a)")
        for name in ("count_leading_zeros", "count_trailing_zeros", "count_ones", "reverse_bytes")
    ]
    lines += [
        _wrapper(name, "a: I64, b: I64", "I64", f"{name}(a, b)")
        for name in ("quotient", "remainder")
    ]
    for low, width in ((0, 1), (0, 64), (63, 1), (12, 44), (60, 4), (1, 62), (31, 2), (0, 32)):
        field = f"Field({low}, {width})"
        lines.append(_wrapper(f"get_{low}_{width}", "a: U64", "U64", f"get(a, {field})"))
        call = f"put(a, {field}, b)"
        lines.append(_wrapper(f"put_{low}_{width}", "a: U64, b: U64", "U64", call))
    for name in ("min", "max"):
        lines.append(_wrapper(f"{name}_unsigned", "a: U64, b: U64", "U64", f"{name}(a, b)"))
        lines.append(_wrapper(f"{name}_signed", "a: I64, b: I64", "I64", f"{name}(a, b)"))
    for bits in (64, 32):
        kind = f"U{bits}"
        for name, count in (
            ("add", 2),
            ("sub", 2),
            ("mul", 2),
            ("div", 2),
            ("sqrt", 1),
            ("fma", 3),
        ):
            names = "abc"[:count]
            declared = ", ".join(f"{n}: {kind}" for n in names)
            call = f"f{bits}_{name}({', '.join(names)})"
            lines.append(_wrapper(f"f{bits}_{name}", declared, kind, call))
        for name in ("less", "equal"):
            call = f"f{bits}_{name}(a, b)"
            lines.append(_wrapper(f"f{bits}_{name}", f"a: {kind}, b: {kind}", "U1", call))
    lines.append(_wrapper("f64_from_i64", "a: I64", "U64", "f64_from_i64(a)"))
    lines.append(_wrapper("f64_from_u64", "a: U64", "U64", "f64_from_u64(a)"))
    lines.append(_wrapper("f64_from_f32", "a: U32", "U64", "f64_from_f32(a)"))
    lines.append(_wrapper("f32_from_f64", "a: U64", "U32", "f32_from_f64(a)"))
    lines.append(_wrapper("i64_from_f64", "a: U64", "I64", "i64_from_f64(a)"))
    for bits in (8, 16, 32, 64):
        lines.append(_wrapper(f"host_load{bits}", "p: U64", "U64", f"host_load{bits}(p)"))
        lines.append(
            f"def do_host_store{bits}(p: U64, a: U64) -> None:\n    host_store{bits}(p, a * 3)\n"
        )
    lines.append(_wrapper("int", "a: U64, b: U64", "U64", "int(a < b) + int(a & 7)"))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def wrapped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """The wrappers, in CPython and compiled, by name."""
    folder = tmp_path_factory.mktemp("wrappers")
    (folder / "language_wrappers.py").write_text(_wrappers())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        module = import_module("language_wrappers")
        functions = [f for n, f in vars(module).items() if n.startswith("do_")]
        native = compile_functions([(f, ()) for f in functions])
    return {f.__name__[3:]: (f, n) for f, n in zip(functions, native, strict=True)}


def _is_nan(value: int, bits: int) -> bool:
    magnitude = value & ((1 << (bits - 1)) - 1)
    return magnitude > (0x7FF0_0000_0000_0000 if bits == 64 else 0x7F80_0000)


def test_every_function_of_the_language_is_tested(wrapped: dict[str, Pair]) -> None:
    tested = {name.split("_")[0] for name in wrapped} | set(wrapped) | {"fill_words"}
    assert not {f.__name__ for f in intrinsics.TABLE} - tested


def test_integer_functions(wrapped: dict[str, Pair]) -> None:
    rng = Random(1)
    for name, (python, native) in wrapped.items():
        if name.startswith(("f64_", "f32_", "host_")) or name == "i64_from_f64":
            continue
        kinds = [p.kind for p in signature(python).parameters]
        for _ in range(400):
            values = [any_value(rng, kind) for kind in kinds]
            if name in ("quotient", "remainder") and (
                values[1] == 0 or (values[0] == -(1 << 63) and values[1] == -1)
            ):
                continue
            assert native(*values) == int(python(*values)), (name, values)


def test_float_functions(wrapped: dict[str, Pair]) -> None:
    rng = Random(2)
    for name, (python, native) in wrapped.items():
        if name[:4] not in ("f64_", "f32_") or (name.startswith("f64_from_") and name[-2:] == "64"):
            continue
        bits = {"f64_from_f32": 32, "f32_from_f64": 64}.get(name, int(name[1:3]))
        result_bits = int(name[1:3])
        for _ in range(3000):
            values = [_float(rng, bits) for _ in signature(python).parameters]
            x, y = native(*values), int(python(*values))
            if name.endswith(("_less", "_equal")) or not _is_nan(y, result_bits):
                assert x == y, (name, [hex(v) for v in values], hex(x), hex(y))
            else:
                assert _is_nan(x, result_bits), (name, [hex(v) for v in values])


def test_fused_product_does_not_overflow(wrapped: dict[str, Pair]) -> None:
    largest, infinite = 0x7FEF_FFFF_FFFF_FFFF, 0xFFF0_0000_0000_0000
    python, native = wrapped["f64_fma"]
    assert native(largest, largest, infinite) == python(largest, largest, infinite) == infinite


def test_comparisons_with_nan(wrapped: dict[str, Pair]) -> None:
    for bits, nan, one in (
        (64, 0x7FF8_0000_0000_0000, 0x3FF0_0000_0000_0000),
        (32, 0x7FC0_0000, 0x3F80_0000),
    ):
        for name in ("less", "equal"):
            for a, b in ((nan, one), (one, nan), (nan, nan)):
                python, native = wrapped[f"f{bits}_{name}"]
                assert native(a, b) == python(a, b) == 0


def test_float_to_integer(wrapped: dict[str, Pair]) -> None:
    rng = Random(3)
    python, native = wrapped["i64_from_f64"]
    for _ in range(3000):
        sign, exponent = rng.getrandbits(1), rng.randrange(1023 - 5, 1023 + 63)
        value = sign << 63 | exponent << 52 | rng.getrandbits(52)
        assert native(value) == python(value), hex(value)
    lowest = 0xC3E0_0000_0000_0000
    assert native(lowest) == python(lowest) == -(1 << 63)


def test_host_memory(wrapped: dict[str, Pair]) -> None:
    rng = Random(4)
    left, right = (ctypes.create_string_buffer(rng.randbytes(64), 64) for _ in range(2))
    for _ in range(200):
        ctypes.memmove(left, right, 64)
        offset, value = rng.randrange(56), rng.getrandbits(64)
        for bits in (8, 16, 32, 64):
            python, native = wrapped[f"host_load{bits}"]
            address = ctypes.addressof(left) + offset
            assert native(address) == python(address)
            python, native = wrapped[f"host_store{bits}"]
            native(ctypes.addressof(left) + offset, value)
            python(ctypes.addressof(right) + offset, value)
            assert left.raw == right.raw
