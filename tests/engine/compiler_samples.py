"""Small model functions, with every construct of docs/model.md, for tests of the compiler."""

from collections.abc import Callable
from functools import partial

from rvemu.hart.exceptions import illegal_instruction, stop
from rvemu.hart.state import STOP_READ, Hart
from rvemu.lang import (
    I32,
    I64,
    I128,
    U1,
    U5,
    U6,
    U8,
    U16,
    U32,
    U64,
    U128,
    Field,
    Static,
    Switch,
    cold,
    fill_words,
    get,
    i64,
    i128,
    inline,
    put,
    quotient,
    remainder,
    sext,
    u64,
    u128,
)

# --- Numbers -----------------------------------------------------------------------------------


def wrapping(a: U64, b: U64) -> U64:
    return u64((a + b) * 3 - (a << 7) + ~b)


def masked_wrapped(a: U64, b: U64) -> U32:
    return (a * b + 1) & 0xFFFF_FFFF


def exact_sum(a: U32, b: U32) -> U64:
    return (a + b) * 2 + (a >> 1)


def below_zero(a: U32, b: U32) -> I64:
    return a - b


def shifts(a: U64, n: U6) -> U64:
    return u64((a >> n) ^ (a << n) ^ (i64(a) >> n))


def signed_shift(a: I64, n: U6) -> I64:
    return a >> n


def divided(a: U64, b: U32) -> U64:
    return u64(a // (b + 1) + a % (b + 1))


def signed_divided(a: I32, b: I32) -> I64:
    if b == 0:
        return a
    return quotient(a, b) * 5 + remainder(a, b)


def bitwise(a: U64, b: U64) -> U64:
    return (a & b) | (a ^ (b & 0xFF)) & ~0xF0


def bitwise_signed(a: I64, b: I64) -> I64:
    return (a & b) ^ (a | b)


def negated(a: I32) -> I64:
    return -a + ~a


def narrowed(a: U64) -> U64:
    if a < 64:
        return u64(1 << a)
    if a > 1000 and not a == 5000:  # noqa: SIM201
        return a - 1000
    return 7


def narrowed_by_return(a: U64) -> U6:
    if a >= 64:
        return 0
    return a


def clamped(a: I64, b: I64) -> I64:
    return max(min(a, b), -5)


def unsigned_extremes(a: U64, b: U64) -> U64:
    return u64(max(a, b) - min(a, b))


# --- 128 bits ----------------------------------------------------------------------------------


def high_product(a: U64, b: U64) -> U64:
    return u64((u128(a) * b) >> 64)


def high_signed_product(a: I64, b: I64) -> U64:
    return u64((i128(a) * b) >> 64)


def wide_result(a: U64, b: U64) -> U128:
    return (u128(a) << 64) | b


def wide_argument(a: U128, n: U6) -> U128:
    return u128((a >> n) + (a & 0xFFFF))


def wide_signed(a: I128) -> I128:
    return a >> 3


def wide_compare(a: U128, b: U64) -> U64:
    if a > b:
        return 1
    return u64(a)


def wide_loop(a: U64) -> U64:
    total: U128 = 1
    for n in range(8):
        total = u128(total * (a | 1) + n)
    return u64(total >> 64) ^ u64(total)


# --- Control flow --------------------------------------------------------------------------------


def collatz(a: U16) -> U64:
    n: U64 = a
    steps: U64 = 0
    while n > 1:
        if n & 1:
            n = u64(3 * n + 1)
        else:
            n = n >> 1
        steps = u64(steps + 1)
    return steps


def runtime_range(a: U8) -> U64:
    total: U64 = 0
    for n in range(a):
        if n == 100:
            break
        if n & 1:
            continue
        total = u64(total * 3 + n)
    return total


def range_from(a: U8, b: U8) -> U64:
    total: U64 = 0
    for n in range(a, b):
        total = u64(total + n * n)
    return total


def unrolled(a: U64) -> U64:
    total: U64 = a
    for n in (3, 1, 2):
        if n == 2 and total & 1:
            break
        if total & 4:
            continue
        total = u64(total + n)
    return total


def counting_down(a: U8) -> I64:
    n: I64 = a
    while n >= -3:
        n = i64(n - 2)
    return n


def conditions(a: U64, b: U64) -> U64:
    result: U64 = 0
    if a and not b:
        result = result | 1
    if a == 1 or b in (1, 2, 3) or (a > b and b != 0):
        result = result | 2
    if 4 <= a < 10 and b not in (4, 5):
        result = result | 4
    return result


def chosen(a: U64, b: U64) -> U64:
    return a if a < b else b if b & 1 else 3


def truth_values(a: U64, b: U64) -> U64:
    both: U1 = a > 5 and b > 5
    return both + (a == b) + (not a)


def nested_loops(a: U5, b: U5) -> U64:
    total: U64 = 0
    for i in range(a):
        for j in range(b):
            if j > i:
                break
            total = u64(total + i * j)
    return total


def assigned_in_branches(a: U64) -> U64:
    value: U64 = 1
    if a & 1:
        value = a
    elif a & 2:
        value |= 5
    else:
        value = u64(value << 3)
    return value


def parameter_assigned(a: U32) -> U64:
    a = u64(a + 1)
    if a & 1:
        a = u64(a * 2)
    return a


def minimum_of_several(a: U64, b: U64, c: U64) -> U64:
    least: U64 = a
    for n in (0, 1):
        other = b if n == 0 else c
        if other < least:
            least = other
    return least


# --- Functions -----------------------------------------------------------------------------------


def both(a: U64, b: U64) -> tuple[U64, I64]:
    return u64(a + b), i64(a - b)


def unpacked(a: U64, b: U64) -> U64:
    total, difference = both(a, b)
    if difference < 0:
        return u64(total * 2)
    return total


def passed_on(a: U64, b: U64) -> tuple[U64, I64]:
    return both(b, a)


def power(a: U64, n: Static[int]) -> U64:
    if n == 0:
        return 1
    if n % 2:
        return u64(a * power(a, n - 1))
    half = power(a, n // 2)
    return u64(half * half)


def with_functions(a: U64, f: Static[Callable[[int, int], int]], b: Static[int] = 9) -> U64:
    return u64(f(a, b) + b)


def calls_with_functions(a: U64) -> U64:
    return with_functions(a, exact_or, b=4) ^ with_functions(a, exact_and)


def exact_or(a: U64, b: U64) -> U64:
    return a | b


def exact_and(a: U64, b: U64) -> U64:
    return a & b


@inline
def inlined(a: U64, n: Static[int]) -> U64:
    return u64(a << n)


def calls_inlined(a: U64) -> U64:
    return inlined(a, 3) ^ inlined(a, 40)


def _case(n: Static[int], a: U64) -> U64:
    return u64(a * n)


def _default(a: U64) -> U64:
    return a ^ 1


def _double(a: U64) -> U64:
    return u64(a + a)


SWITCH = Switch({1: partial(_case, 10), 2: _double, 200: partial(_case, 10)}, _default)


def switched(key: U8, a: U64) -> U64:
    result: U64 = SWITCH(key, a)
    return result


def switched_statically(a: U64) -> U64:
    first: U64 = SWITCH(2, a)
    second: U64 = SWITCH(3, a)
    return first ^ second


# --- Tables, fields ------------------------------------------------------------------------------

_TABLE = (3, 1, 4, 1, 5, 9, 2, 6)
_LARGE = (0, 1 << 63, (1 << 64) - 1, 7)
_SIGNED = (-1, 5, -(1 << 40), 3)
_BY_NAME = {"low": 5, "high": 50}


def looked_up(n: U8) -> U64:
    return _TABLE[n & 7] * 100 + _BY_NAME["high"]


def looked_up_large(n: U8) -> U64:
    return _LARGE[n & 3]


def looked_up_signed(n: U8) -> I64:
    return _SIGNED[n & 3]


LOW, MIDDLE, HIGH = Field(0), Field(12, 20), Field(61, 3)


def fields(a: U64, b: U64) -> U64:
    value = put(a, MIDDLE, b)
    value = put(value, LOW, get(a, HIGH))
    return put(value, HIGH, b) ^ get(b, MIDDLE)


def sign_extended(a: U64) -> U64:
    return sext(a, 12) ^ sext(a + 1, 32) ^ sext(a, 1) ^ sext(a * 3, 64)


# --- The hart ------------------------------------------------------------------------------------


def registers(h: Hart, rd: U5, rs1: U5, a: U64) -> None:
    h.x[rd] = h.x[rs1] + a
    h.mscratch = a << 3
    h.insn_length = 4
    h.budget = i64(a)


def read_back(h: Hart, n: U5) -> U64:
    return u64(h.x[n] + h.mscratch + h.insn_length + h.budget + h.shared.time_offset)


def by_name(h: Hart, name: Static[str], a: U64) -> U64:
    old: U64 = getattr(h, name)
    setattr(h, name, a)
    return old


def filled(h: Hart, start: U5, zero: U1) -> None:
    if zero:
        fill_words(h.x, start & 15, 9, 0)
    else:
        fill_words(h.x, start & 15, 9, 1)


def shared_fields(h: Hart, a: U64) -> None:
    h.shared.time_offset = a
    h.shared.watched[1] = a + 1


# --- Traps and stops -----------------------------------------------------------------------------


def raising(h: Hart, a: U64) -> U64:
    if a & 1:
        raise illegal_instruction(h)
    if a & 2:
        raise stop(h, STOP_READ)
    return a >> 2


def through_callers(h: Hart, a: U64) -> U64:
    value = u64(raising(h, a) + 1)
    h.mscratch = value
    return value


def through_a_loop(h: Hart, a: U8) -> U64:
    total: U64 = 0
    for n in range(a):
        total = u64(total + checked(h, n))
    return total


@cold
def checked(h: Hart, n: U64) -> U64:
    if n == 200:
        raise illegal_instruction(h)
    return n


def nothing_but_raising(h: Hart, a: U64) -> None:
    through_callers(h, a)
    h.mscratch = 0


# --- The fast path ------------------------------------------------------------------------------


def fast_load(h: Hart, rd: U5, a: U64) -> None:
    if a & 7:
        rare(h, a)
    h.x[rd] = a + h.pc


@cold
def rare(h: Hart, a: U64) -> None:
    h.mscratch = a


def fast_jump(h: Hart, a: U64) -> None:
    h.next_pc = a
