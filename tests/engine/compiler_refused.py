"""Functions that the compiler must refuse: the docstring says with which words, and `# here` in
which line."""

# mypy: ignore-errors
# ruff: noqa

from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.state import Hart
from rvemu.lang import I64, U1, U5, U6, U8, U16, U32, U64, U128, Static, fill_words, i64, u64, u128

_LIST = [1, 2, 3]


def compare_wrapped(a: U64, b: U64) -> U64:
    """refused: a value that may have wrapped: say u64(), i64(), sext()... first"""
    if a + b < 5:  # here
        return 1
    return 0


def shift_wrapped(a: U64, b: U64) -> U64:
    """refused: a value that may have wrapped"""
    return (a + b) >> 3  # here


def divide_wrapped(a: U64, b: U64) -> U64:
    """refused: a value that may have wrapped"""
    return (a * b) // 3  # here


def return_wrapped(a: U64) -> U64:
    """refused: the result may have wrapped: say u64(), i64()..."""
    return a + 1  # here


def wide_wrapped(a: U64) -> U128:
    """refused: a wrapped value in 128-bit arithmetic: say u64() or i64() first"""
    return u128(a) + (a + 1)  # here


def return_too_large(a: U64) -> U32:
    """refused: the result may be 0..18446744073709551615, not only 0..4294967295"""
    return a  # here


def return_negative(a: U32) -> U64:
    """refused: the result may be -5..4294967290, not only 0..18446744073709551615"""
    return a - 5  # here


def pass_too_large(a: U16) -> U64:
    """refused: takes_byte's a may be 0..65535, not only 0..255"""
    return takes_byte(a)  # here


def takes_byte(a: U8) -> U64:
    return a


def calls_too_wide(a: U64) -> U64:
    return too_wide(a)


def too_wide(a: U64) -> U8:
    return a


def shift_too_far(a: U64, n: U8) -> U64:
    """refused: a shift amount that may not be in 0..63: mask it"""
    return a >> n  # here


def shift_by_negative(a: U64, n: I64) -> U64:
    """refused: a shift amount that may not be in 0..63"""
    return u64(a << n)  # here


def compare_mixed(a: U64, b: I64) -> U1:
    """refused: a comparison of what may be negative with what may exceed 2^63-1"""
    return a < b  # here


def divide_negative(a: I64) -> I64:
    """refused: // and % are for values that are not negative"""
    return a // 3  # here


def divide_wide(a: U128) -> U128:
    """refused: no division in 128 bits"""
    return a // 3  # here


def index_outside(h: Hart, n: U6) -> U64:
    """refused: an index in 0..63 of an array of 33: mask it"""
    return h.x[n]  # here


def write_outside(h: Hart, n: U6) -> None:
    """refused: an index in 0..63 of an array of 33: mask it"""
    h.x[n] = 1  # here


def table_outside(n: U5) -> U64:
    """refused: an index in 0..31 of a table of 3: mask it"""
    return (1, 2, 3)[n]  # here


def index_list(n: U1) -> U64:
    """refused: only a tuple may be indexed by a run-time value"""
    return _LIST[n]  # here


def fill_outside(h: Hart, n: U6) -> None:
    """refused: fill_words may run past its array"""
    fill_words(h.x, n, 5, 0)  # here


def field_out_of_range(h: Hart, a: U64) -> None:
    """refused: the value may not fit priv"""
    h.priv = a  # here


def no_such_field(h: Hart) -> U64:
    """refused: Hart has no field nonsense"""
    return h.nonsense  # here


def write_no_such_field(h: Hart) -> None:
    """refused: Hart has no scalar field nonsense"""
    h.nonsense = 1  # here


def not_annotated(a) -> U64:
    """refused: annotate it with a width"""
    return 1


def no_result_declared(a: U64) -> None:
    """refused: a result is returned, but none is declared"""
    return a  # here


def result_missing(a: U64) -> U64:
    """refused: a result is missing"""
    return  # here


def static_needed(a: U64) -> U64:
    """refused: takes_static's n must be known when compiled"""
    return takes_static(a)  # here


def takes_static(n: Static[int]) -> U64:
    return n


def loop_over_run_time(h: Hart, a: U64) -> U64:
    """refused: a loop over something that is not known when compiled"""
    for n in h.x:  # here
        pass
    return 0


def negative_range(a: U8) -> U64:
    """refused: a run-time range starts at 0 or above"""
    for n in range(-1, a):  # here
        pass
    return 0


def range_with_step(a: U8) -> U64:
    """refused: a run-time range has a start and an end"""
    for n in range(0, a, 2):  # here
        pass
    return 0


def raise_nothing(h: Hart) -> None:
    """refused: raise a function of rvemu.hart.exceptions"""
    raise h.x[1]  # here


def try_statement(h: Hart) -> None:
    """refused: statement Try"""
    try:  # here
        raise illegal_instruction(h)
    except Exception:
        pass


def with_lambda(a: U64) -> U64:
    """refused: expression Lambda"""
    f = lambda b: b  # here
    return f(a)


def comprehension(a: U64) -> U64:
    """refused: expression ListComp"""
    return [a for _ in (1, 2)][0]  # here


def undefined(a: U64) -> U64:
    """refused: nowhere is not defined here"""
    return a + nowhere  # here


def recursive(a: U64) -> U64:
    """refused: recursion"""
    if a == 0:
        return 0
    return recursive(u64(a - 1))


def counter_wraps(a: U64) -> U64:
    """refused: n is assigned a value that may have wrapped"""
    n: U64 = 0
    while n != a:
        n = n + 1  # here
    return n


def annotated_too_small(a: U64) -> U64:
    """refused: n: the value may not fit its annotation"""
    n: U8 = a  # here
    n = n & 3
    return n


def unknown_annotation(a: U64) -> U64:
    """refused: annotate a variable with a width"""
    n: int = a  # here
    return n


def break_outside(h: Hart) -> None:
    """refused: only functions can be called"""
    h.x[1]()  # here


def true_division(a: U64) -> U64:
    """refused: operator Div"""
    return a / 2  # here


def matrix_product(a: U64) -> U64:
    """refused: operator MatMult"""
    return a @ 2  # here


def builtin_with_run_time(a: U64) -> U64:
    """refused: can't be called with run-time values"""
    return len(a)  # here


def assign_to_slice(h: Hart, a: U64) -> None:
    """refused: expression Slice"""
    h.x[1:2] = a  # here


def while_else(a: U64) -> None:
    """refused: statement While"""
    while a:  # here
        pass
    else:
        pass


def too_many_arguments(a: U64) -> U64:
    """refused: too many arguments for takes_byte"""
    return takes_byte(1, a)  # here


def min_of_mixed(a: U64, b: I64) -> I64:
    """refused: min of what may be negative and what may exceed 2^63-1"""
    return i64(min(a, b))  # here


def choice_of_widths(a: U64, b: U128) -> U64:
    """refused: one choice has 128 bits, the other 64"""
    return u64(a if a < 5 else b)  # here


def chain_with_call(a: U64) -> U1:
    """refused: a call in a chain of comparisons"""
    return 1 < a < takes_byte(5)  # here


def unpack_one(a: U64) -> U64:
    """refused: only a call's several results can be unpacked"""
    x, y = a  # here
    return x


def fast_writes_first(h: Hart, a: U64) -> None:
    """fast: something is written before the last place that may bail out"""
    h.x[1] = a
    if a == 5:
        raise illegal_instruction(h)  # here


def fast_writes_in_a_branch(h: Hart, a: U64) -> None:
    """fast: something is written before the last place that may bail out"""
    if a & 1:
        h.x[1] = a
    if a == 5:
        raise illegal_instruction(h)  # here


def fast_reads_stale(h: Hart, a: U64) -> None:
    """fast: this is not up to date on the fast path: mark it slow=True"""
    h.x[1] = h.budget  # here


def fast_writes_pc(h: Hart, a: U64) -> None:
    """fast: pc can't be written on the fast path"""
    h.pc = a  # here


def fast_loops(h: Hart, a: U64) -> None:
    """fast: loop"""
    while h.x[1] != a:  # here
        h.x[1] = 0
