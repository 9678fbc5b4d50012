"""Floating-point instructions: the fast path gives what the slow path gives, and what is checked,
boxed and noted around the arithmetic."""

from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import FS_CLEAN, FS_DIRTY, FS_INITIAL, FS_OFF, MSTATUS, SSTATUS
from rvemu.hart.floating import DYN, update_fp_fast
from rvemu.hart.state import Hart, Shared
from rvemu.isa import d, f, zfh
from rvemu.isa.encoding import Instruction, instructions_of
from rvemu.isa.softfloat_format import D, Format, H, S
from rvemu.lang import Trap, put
from tests.isa import float_oracle as oracle
from tests.isa.float_cases import INTERESTING, any_bits

INSTRUCTIONS = {i.name: i for module in (f, d, zfh) for i in instructions_of(module)}
LOADS_AND_STORES = {"flh", "flw", "fld", "fsh", "fsw", "fsd"}
COMPUTING = [i for name, i in INSTRUCTIONS.items() if name not in LOADS_AND_STORES]

BOX = {16: (1 << 64) - (1 << 16), 32: (1 << 64) - (1 << 32), 64: 0}
MASK = (1 << 64) - 1


@pytest.fixture(scope="module")
def hart() -> Iterator[Hart]:
    yield Hart(Shared())


def reset(h: Hart, fs: int = FS_DIRTY, flags: int = 0, frm: int = 0) -> None:
    """The state that floating-point instructions look at."""
    h.v = 0
    h.vsstatus = 0
    h.mstatus = put(0, MSTATUS.FS, fs)
    h.fflags = flags
    h.frm = frm
    update_fp_fast(h)


def operands(instruction: Instruction, rm: int = DYN) -> dict[str, int]:
    """Registers 1, 2, 3 as sources and 4 as destination."""
    numbers = {"fs1": 1, "fs2": 2, "fs3": 3, "rs1": 1, "rd": 4, "fd": 4, "rm": rm, "imm": 0}
    return {o.name: numbers[o.name] for o in instruction.operands}


def execute(h: Hart, name: str, *sources: int, rm: int = DYN) -> int:
    """Execute an instruction on registers' contents; the destination's."""
    instruction = INSTRUCTIONS[name]
    used = operands(instruction, rm)
    for number, value in enumerate(sources, 1):
        h.f[number] = value
        h.x[number] = value
    instruction.function(h, **used)
    return int(h.x[4] if "rd" in used else h.f[4])


def state(h: Hart) -> tuple[bytes, bytes, int, int, int, int]:
    """What an instruction may change."""
    return bytes(h.f), bytes(h.x), h.fflags, h.mstatus, h.vsstatus, h.fp_fast


def formats_of(instruction: Instruction) -> list[Format]:
    """The formats in an instruction's name."""
    parts = instruction.name.split(".")[1:]
    return [{"h": H, "s": S, "w": S, "d": D}[p] for p in parts if p in ("h", "s", "d")] or [S]


@cache
def registers(fmt: Format) -> st.SearchStrategy[int]:
    """Contents of a register: mostly values of the format, boxed."""
    value = any_bits(fmt).map(lambda bits: bits | BOX[fmt.width])
    return st.one_of(value, value, value, st.integers(0, MASK))


# Integers near powers of two, of both signs, and any.
INTEGERS = st.one_of(
    st.integers(0, MASK),
    st.builds(
        lambda n, k, s: (s * ((1 << n) + k)) & MASK,
        st.integers(0, 63),
        st.integers(-3, 3),
        st.sampled_from([1, -1]),
    ),
)


# --- Fast and slow ---------------------------------------------------------------------------


def compare_paths(h: Hart, name: str, rm: int, flags: int, frm: int, sources: list[int]) -> None:
    results: list[object] = []
    for fast in (True, False):
        reset(h, flags=flags, frm=frm)
        if not fast:
            h.fp_fast = 0
        h.f[4] = h.x[4] = 0
        try:
            execute(h, name, *sources, rm=rm)
        except Trap:
            results.append(None)
            continue
        update_fp_fast(h)
        results.append(state(h))
    assert results[0] == results[1], f"{name} {[hex(s) for s in sources]}"


@pytest.mark.parametrize("name", [i.name for i in COMPUTING])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_fast_path_is_slow_path(hart: Hart, name: str, data: st.DataObject) -> None:
    fmt = data.draw(st.sampled_from(formats_of(INSTRUCTIONS[name])))
    sources = [data.draw(registers(fmt)) for _ in range(3)]
    if "rs1" in operands(INSTRUCTIONS[name]):
        sources[0] = data.draw(INTEGERS)
    flags = data.draw(st.sampled_from([1, 1, 1, 31, 0, 16]))
    frm = data.draw(st.sampled_from([0, 0, 1, 4, 7]))
    rm = data.draw(st.sampled_from([DYN, DYN, 0, 1, 2, 5]))
    compare_paths(hart, name, rm, flags, frm, sources)


@pytest.mark.parametrize("name", ["fadd", "fmul", "fdiv", "fmin", "fle", "feq", "fsqrt", "fclass"])
@pytest.mark.parametrize("fmt", [S, D], ids=["s", "d"])
def test_fast_path_on_interesting_values(hart: Hart, name: str, fmt: Format) -> None:
    full = f"{name}.{'s' if fmt == S else 'd'}"
    for a in INTERESTING[fmt]:
        for b in INTERESTING[fmt]:
            box = BOX[fmt.width]
            compare_paths(hart, full, DYN, 1, 0, [a | box, b | box])


@pytest.mark.parametrize("name", ["fmadd.d", "fnmsub.d", "fmadd.s", "fnmadd.s"])
def test_fused_fast_path_on_interesting_values(hart: Hart, name: str) -> None:
    fmt = S if name.endswith("s") else D
    few = INTERESTING[fmt][::3]
    for a in few:
        for b in few:
            for c in few:
                box = BOX[fmt.width]
                compare_paths(hart, name, DYN, 1, 0, [a | box, b | box, c | box])


def test_the_fast_path_is_taken(hart: Hart, monkeypatch: pytest.MonkeyPatch) -> None:
    from rvemu.isa import fp

    def slow(*_: object) -> None:
        raise AssertionError("slow path")

    for name in ("soft_unary", "soft_binary", "soft_fused", "soft_compare", "soft_extreme"):
        monkeypatch.setattr(fp, name, slow)
    reset(hart, flags=oracle.NX)
    third = execute(hart, "fdiv.d", D.power_of_two(0), 0x4008000000000000)
    assert third == 0x3FD5555555555555
    for name in ("fadd.d", "fsub.d", "fmul.d", "fdiv.d", "fsqrt.d", "fmadd.d", "fmin.d", "flt.d"):
        execute(hart, name, third, third ^ 1, third)
        execute(hart, name, third, third ^ 1, third, rm=0)
    for name in ("fadd.s", "fsub.s", "fmul.s", "fdiv.s", "fsqrt.s", "fmadd.s", "fmax.s", "fle.s"):
        execute(hart, name, BOX[32] | 0x3FC00001, BOX[32] | 0x3F800001, BOX[32] | 0x40000001)
    assert execute(hart, "fmul.d", third, 0) == 0
    with pytest.raises(AssertionError, match="slow path"):
        execute(hart, "fadd.d", third, third, rm=oracle.RUP)
    reset(hart, flags=0)
    with pytest.raises(AssertionError, match="slow path"):
        execute(hart, "fadd.d", third, third)


# --- Results ---------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_fused_signs(hart: Hart, data: st.DataObject) -> None:
    """norm:fmadd-s_op and its three siblings."""
    a, b, c = (data.draw(any_bits(D)) for _ in range(3))
    kind = oracle.KINDS[64]
    for name, product, addend in (
        ("fmadd.d", 0, 0),
        ("fmsub.d", 0, 1),
        ("fnmsub.d", 1, 0),
        ("fnmadd.d", 1, 1),
    ):
        for flags in (0, oracle.NX):
            reset(hart, flags=flags)
            result = execute(hart, name, a, b, c)
            x, z = a ^ (product << 63), c ^ (addend << 63)
            want, want_flags = oracle.fma(kind, x, b, z, oracle.RNE)
            assert (result, hart.fflags) == (want, want_flags | flags), name


@pytest.mark.parametrize(
    "name, source, result",
    [
        # the table "Domains of float-to-integer conversions"
        ("fcvt.w.d", 0xC1E0000000000000, 0xFFFFFFFF80000000),  # -2^31
        ("fcvt.w.d", 0xC1E0000000200000, 0xFFFFFFFF80000000),  # below, clipped
        ("fcvt.w.d", 0x41E0000000000000, 0x7FFFFFFF),  # 2^31
        ("fcvt.wu.d", 0x41EFFFFFFFE00000, 0xFFFFFFFFFFFFFFFF),  # 2^32 - 1
        ("fcvt.wu.d", 0xBFF0000000000000, 0),  # -1
        ("fcvt.wu.d", 0xBFE0000000000000, 0),  # -0.5
        ("fcvt.wu.d", 0x7FF8000000000000, 0xFFFFFFFFFFFFFFFF),
        ("fcvt.l.d", 0xC3E0000000000000, 1 << 63),  # -2^63
        ("fcvt.l.d", 0x43E0000000000000, (1 << 63) - 1),
        ("fcvt.lu.d", 0x43EFFFFFFFFFFFFF, 0xFFFFFFFFFFFFF800),
        ("fcvt.lu.d", 0x43F0000000000000, MASK),
        ("fcvt.lu.d", 0xFFF0000000000000, 0),
        ("fcvt.w.s", BOX[32] | 0xFF800000, 0xFFFFFFFF80000000),
        ("fcvt.w.s", 0x3F800000, 0x7FFFFFFF),  # not boxed: NaN
        ("fmv.x.w", 0x12345678_80000001, 0xFFFFFFFF80000001),
        ("fmv.x.h", 0x12345678_00008001, 0xFFFFFFFFFFFF8001),
        ("fmv.h.x", 0x12345678_00008001, BOX[16] | 0x8001),
        ("fclass.s", 0, 1 << 9),
        ("fclass.d", 0, 1 << 4),
        ("fclass.d", 1 << 63, 1 << 3),
        ("fclass.d", 1, 1 << 5),
        ("fclass.d", 0xFFF0000000000000, 1 << 0),
        ("fclass.d", 0x7FF0000000000001, 1 << 8),
        ("fclass.h", BOX[16] | 0xFBFF, 1 << 1),
    ],
)
def test_conversions_and_moves(hart: Hart, name: str, source: int, result: int) -> None:
    for flags in (0, oracle.NX):
        reset(hart, flags=flags)
        assert execute(hart, name, source, rm=oracle.RTZ) == result, hex(source)


def test_integers_are_rounded_once(hart: Hart) -> None:
    """Halfway between two floats but for a bit that a double, too, would round away."""
    for n in range(53, 63):
        for k in (-1, 0, 1):
            x = (1 << n) + (1 << (n - 24)) + k
            for name in ("fcvt.s.l", "fcvt.s.lu"):
                reset(hart, flags=oracle.NX)
                want = oracle.from_integer(oracle.KINDS[32], x, oracle.RNE)[0]
                assert execute(hart, name, x) == want | BOX[32], (name, hex(x))


@pytest.mark.parametrize("name, fmt, to", [("fcvt.s.d", D, S), ("fcvt.h.d", D, H)])
def test_narrowing_near_the_least_normal_number(
    hart: Hart, name: str, fmt: Format, to: Format
) -> None:
    least = fmt.power_of_two(to.least_exponent)
    for shift in range(fmt.spare, fmt.fraction_bits):
        for k in (-3, -2, -1, 1, 2, 3):
            a = least + (k << shift)
            for flags in (0, oracle.NX):
                reset(hart, flags=flags)
                bits, raised = oracle.convert(oracle.KINDS[64], oracle.KINDS[to.width], a, 0)
                assert execute(hart, name, a) == bits | to.box, hex(a)
                assert hart.fflags == flags | raised, hex(a)


@settings(max_examples=200, deadline=None)
@given(data=st.data(), rm=st.sampled_from([*oracle.MODES, DYN]), flags=st.sampled_from([0, 1]))
def test_integer_conversions(hart: Hart, data: st.DataObject, rm: int, flags: int) -> None:
    x = data.draw(st.one_of(st.integers(0, MASK), st.integers(-(1 << 54), 1 << 54)))
    mode = 0 if rm == DYN else rm
    for suffix, width, signed in (
        ("w", 32, True),
        ("wu", 32, False),
        ("l", 64, True),
        ("lu", 64, False),
    ):
        value = x % (1 << width)
        if signed and value >> (width - 1):
            value -= 1 << width
        for letter, bits in (("h", 16), ("s", 32), ("d", 64)):
            reset(hart, flags=flags)
            result = execute(hart, f"fcvt.{letter}.{suffix}", x & MASK, rm=rm)
            want, want_flags = oracle.from_integer(oracle.KINDS[bits], value, mode)
            assert result == want | BOX[bits], (letter, suffix)
            assert hart.fflags == flags | want_flags


@pytest.mark.parametrize("bits", [16, 32])
def test_boxing(hart: Hart, bits: int) -> None:
    """norm:fp_nan-boxing: narrow results have all ones above; operands without are NaNs."""
    letter = {16: "h", 32: "s"}[bits]
    fmt = {16: H, 32: S}[bits]
    one = fmt.power_of_two(0)
    for flags in (0, oracle.NX):
        reset(hart, flags=flags)
        assert execute(hart, f"fadd.{letter}", one | BOX[bits], 0 | BOX[bits]) == one | BOX[bits]
        for bad in (one, one | (BOX[bits] ^ (1 << 63)), one | (BOX[bits] ^ (1 << bits))):
            good = one | BOX[bits]
            nan = fmt.nan | BOX[bits]
            assert execute(hart, f"fadd.{letter}", good, bad) == nan
            assert execute(hart, f"fmul.{letter}", bad, good) == nan
            assert execute(hart, f"fsgnj.{letter}", bad, bad) == nan
            assert execute(hart, f"fmin.{letter}", good, bad) == good
            assert execute(hart, f"feq.{letter}", bad, bad) == 0
            assert execute(hart, f"fcvt.d.{letter}", bad, rm=0) == D.nan
        assert hart.fflags == flags, "quiet NaNs are no invalid operations"


def test_signaling_nans(hart: Hart) -> None:
    for flags in (0, oracle.NX):
        for name in ("fadd.d", "fmin.d", "feq.d", "fcvt.s.d", "fsqrt.d"):
            reset(hart, flags=flags)
            execute(hart, name, D.infinity + 1, D.power_of_two(0))
            assert hart.fflags == flags | oracle.NV, name
        reset(hart, flags=flags)
        assert execute(hart, "fsgnjn.d", D.infinity + 1, 0) == D.sign | (D.infinity + 1)
        assert execute(hart, "fmv.x.d", D.infinity + 1) == D.infinity + 1
        assert hart.fflags == flags


# --- What is checked, and what is noted ------------------------------------------------------


def illegal(h: Hart, action: Callable[[], object]) -> None:
    before = state(h)
    h.insn = 0x1234
    with pytest.raises(Trap):
        action()
    assert h.trap_cause == Cause.ILLEGAL_INSTRUCTION
    assert h.trap_value == 0x1234
    assert state(h) == before


@pytest.mark.parametrize("name", list(INSTRUCTIONS))
def test_off(hart: Hart, name: str) -> None:
    """FS off: illegal; at V=1 either of the two (norm:vsstatus_fs_op)."""
    used = operands(INSTRUCTIONS[name], rm=0)
    for v, fs, vs_fs in ((0, FS_OFF, FS_OFF), (1, FS_OFF, FS_DIRTY), (1, FS_DIRTY, FS_OFF)):
        reset(hart, flags=oracle.NX)
        hart.v = v
        hart.mstatus = put(0, MSTATUS.FS, fs)
        hart.vsstatus = put(0, SSTATUS.FS, vs_fs)
        update_fp_fast(hart)
        illegal(hart, lambda: INSTRUCTIONS[name].function(hart, **used))


@pytest.mark.parametrize("name", [i.name for i in COMPUTING if i.encoding.operand("rm")])
def test_reserved_rounding_modes(hart: Hart, name: str) -> None:
    """norm:roundingmode_rsv, for exact conversions as well."""
    for flags in (0, oracle.NX):
        reset(hart, flags=flags)
        for rm in (5, 6):
            illegal(hart, lambda rm=rm: execute(hart, name, rm=rm))  # type: ignore[misc]
        for frm in (5, 6, 7):
            reset(hart, flags=flags, frm=frm)
            illegal(hart, lambda: execute(hart, name, rm=DYN))
            execute(hart, name, rm=0)


@pytest.mark.parametrize("name", [i.name for i in COMPUTING])
@pytest.mark.parametrize("fs", [FS_INITIAL, FS_CLEAN])
def test_dirty(hart: Hart, name: str, fs: int) -> None:
    """What writes a register or a flag makes FS dirty, and nothing else does."""
    for v in (0, 1):
        for flags in (0, oracle.NX):
            reset(hart, fs=fs, flags=flags)
            hart.v = v
            hart.vsstatus = put(0, SSTATUS.FS, fs)
            update_fp_fast(hart)
            nan = D.infinity + 1
            execute(hart, name, nan, nan, nan, rm=0)
            written = "fd" in operands(INSTRUCTIONS[name]) or hart.fflags != flags
            expected = FS_DIRTY if written else fs
            assert hart.mstatus == put(0, MSTATUS.FS, expected)
            assert hart.vsstatus == put(0, SSTATUS.FS, expected if v else fs)
            derived = hart.fp_fast
            update_fp_fast(hart)
            assert hart.fp_fast == derived
