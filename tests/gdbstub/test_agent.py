"""Agent expressions: every bytecode, the bounds, printf, and hits of breakpoints."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub import Kind, Point, TargetError
from gdbstub.agent import MAX_STACK, AgentError, evaluate, hit
from gdbstub.format import FormatError, c_format

M64 = (1 << 64) - 1


class Env:
    byte_order = "little"

    def __init__(self) -> None:
        self.text = b""

    def register(self, number: int) -> int:
        if number > 32:
            raise TargetError("no such register")
        return number * 0x1111

    def memory(self, address: int, length: int) -> bytes:
        data = b"hello\0world" + bytes(range(0x80, 0x90)) + b"\0"
        if address >= len(data):
            raise TargetError("no memory")
        return data[address : address + length]

    def print(self, text: bytes) -> None:
        self.text += text


def const(value: int) -> bytes:
    return b"\x25" + (value & M64).to_bytes(8, "big")


def value(*parts: bytes) -> int:
    return evaluate(b"".join(parts) + b"\x27", Env())


@pytest.mark.parametrize(
    ("opcode", "left", "right", "expected"),
    [
        (0x02, 1, 2, 3), (0x02, -1, 2, 1), (0x03, 1, 2, M64), (0x04, -3, 4, -12 & M64),
        (0x05, -7, 2, -3 & M64), (0x05, 7, -2, -3 & M64), (0x06, -1, 2, M64 >> 1),
        (0x07, -7, 2, M64), (0x07, 7, -2, 1), (0x08, 7, 4, 3),
        (0x09, 1, 63, 1 << 63), (0x09, 1, 1 << 40, 0), (0x0A, -8, 1, -4 & M64),
        (0x0A, -8, 1 << 40, M64), (0x0B, -1, 60, 15), (0x0B, -1, 64, 0),
        (0x0F, 12, 10, 8), (0x10, 12, 10, 14), (0x11, 12, 10, 6),
        (0x13, 5, 5, 1), (0x13, 5, 6, 0), (0x14, -1, 0, 1), (0x15, -1, 0, 0), (0x15, 0, -1, 1),
    ],
)  # fmt: skip
def test_binary(opcode: int, left: int, right: int, expected: int) -> None:
    assert value(const(left), const(right), bytes([opcode])) == expected


def test_unary_and_extensions() -> None:
    assert value(const(0), b"\x0e") == 1
    assert value(const(7), b"\x0e") == 0
    assert value(const(0), b"\x12") == M64
    assert value(const(0x80), b"\x16\x08") == 0x80 - 0x100 & M64
    assert value(const(0x180), b"\x2a\x08") == 0x80
    assert value(const(5), b"\x16\x40") == 5


def test_constants_registers_memory() -> None:
    assert value(b"\x22\xff") == 0xFF
    assert value(b"\x23\x12\x34") == 0x1234
    assert value(b"\x24\xff\xff\xff\xff") == 0xFFFF_FFFF
    assert value(b"\x26\x00\x02") == 0x2222
    assert value(b"\x22\x00\x17") == ord("h")
    assert value(b"\x22\x00\x18") == int.from_bytes(b"he", "little")
    assert value(b"\x22\x00\x19") == int.from_bytes(b"hell", "little")
    assert value(b"\x22\x00\x1a") == int.from_bytes(b"hello\0wo", "little")
    with pytest.raises(AgentError):
        value(b"\x22\x1b\x1a")  # the memory ends within


def test_stack_operations() -> None:
    abc = b"\x22\x01\x22\x02\x22\x03"
    minus = b"\x03"
    assert value(b"\x22\x05\x28\x04") == 25  # dup mul
    assert value(abc, b"\x29") == 2
    assert value(b"\x22\x07\x22\x02\x2b", minus) == 2 - 7 & M64
    assert value(abc, b"\x32\x02") == 1
    assert value(abc, b"\x33") == 2  # c a b
    assert value(abc, b"\x33\x29") == 1
    assert value(abc, b"\x33\x29\x29") == 3


def test_jumps() -> None:
    skip = b"\x21\x00\x05\x22\x09\x22\x01"
    assert evaluate(skip + b"\x27", Env()) == 1
    branch = b"\x22%c\x20\x00\x08\x22\x02\x27\x22\x03\x27"
    assert evaluate(branch % 1, Env()) == 3
    assert evaluate(branch % 0, Env()) == 2


def test_empty_result() -> None:
    assert evaluate(b"\x27", Env()) == 0


@pytest.mark.parametrize(
    "code",
    [
        b"", b"\x02", b"\x27"[:0], b"\x22", b"\x25\x00", b"\x26\x00", b"\x21\x00", b"\x01\x27",
        b"\x0c\x27", b"\x2c\x00\x00\x27", b"\xff", b"\x21\x00\x00", b"\x22\x01\x21\x00\x00",
        b"\x22\x01\x22\x00\x05\x27", b"\x22\x01\x22\x00\x07\x27", b"\x32\x05\x27", b"\x33\x27",
        b"\x34\x00\x00\x02a\0\x27", b"\x22\x00\x22\x00\x34\x00\x00\x01a\x27",
        b"\x22\x00\x22\x01\x34\x00\x00\x01\0\x27", b"\x21\xff\xff",
    ],
)  # fmt: skip
def test_bad_code_is_an_error(code: bytes) -> None:
    with pytest.raises(AgentError):
        evaluate(code, Env())


def test_the_stack_is_bounded() -> None:
    with pytest.raises(AgentError, match="full"):
        evaluate(b"\x22\x01" * (MAX_STACK + 1) + b"\x27", Env())


@given(st.binary(max_size=60))
def test_evaluation_is_total(code: bytes) -> None:
    with contextlib.suppress(AgentError, TargetError):
        assert 0 <= evaluate(code, Env()) <= M64


def printf(text: bytes, *arguments: int) -> bytes:
    """As gdb compiles it: arguments from the last to the first, channel, function."""
    pushes = b"".join(const(argument) for argument in reversed(arguments))
    body = text + b"\0"
    return (
        pushes + const(0) * 2
        + b"\x34%c" % len(arguments) + len(body).to_bytes(2, "big") + body + b"\x27"
    )  # fmt: skip


def test_printf() -> None:
    env = Env()
    evaluate(printf(rb"a=%d b=%#x s=%s\n", -5, 255, 6), env)
    assert env.text == b"a=-5 b=0xff s=world" + bytes(range(0x80, 0x90)) + b"\n"


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        (b"%5d|%-5d|%05d|%+d", [42, 42, -42, 7], b"   42|42   |-0042|+7"),
        (b"%ld %lu %llx", [M64, M64, M64], b"-1 18446744073709551615 ffffffffffffffff"),
        (b"%d %u %x", [M64, M64, M64], b"-1 4294967295 ffffffff"),
        (b"%hhd %hx", [0xFF, 0x12345], b"-1 2345"),
        (b"%c%c %p %% \\t\\x\\101", [72, 105, 0x1234], b"Hi 0x1234 % \txA"),
        (b"%#06x %o %X %.3d", [0x1F, 8, 0xAB, 5], b"0x001f 10 AB 005"),
        (b"%s %.3s|%8s", [0, 0, 0], b"hello hel|   hello"),
    ],
)
def test_format(text: bytes, arguments: list[int], expected: bytes) -> None:
    assert c_format(text, arguments, Env().memory) == expected


@pytest.mark.parametrize(("text", "arguments"), [(b"%d", []), (b"%f", [0]), (b"%n", [0])])
def test_bad_formats(text: bytes, arguments: list[int]) -> None:
    with pytest.raises(FormatError):
        c_format(text, arguments, Env().memory)


def test_huge_widths_are_cut() -> None:
    assert len(c_format(b"%99999999999999d", [1], Env().memory)) == 1024


def test_hits() -> None:
    def point(*conditions: bytes, commands: tuple[bytes, ...] = ()) -> Point:
        return Point(1, Kind.SOFTWARE, 0, 4, conditions, commands)

    true, false, broken = b"\x22\x01\x27", b"\x22\x00\x27", b"\xff"
    env = Env()
    assert hit(point(), env)
    assert hit(point(true), env)
    assert not hit(point(false), env)
    assert hit(point(false, true), env)
    assert hit(point(broken), env), "a condition that fails stops"
    assert not hit(point(commands=(printf(b"hi"),)), env)
    assert not hit(point(false, commands=(printf(b"no"),)), env)
    assert env.text == b"hi"
    assert hit(point(commands=(broken,)), env)
    assert env.text.startswith(b"hi0x0: bytecode 0xff")
