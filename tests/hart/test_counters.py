"""Cycles, retired instructions and time."""

from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart import exceptions
from rvemu.hart.counters import clock, instret, request_poll, set_budget, time
from rvemu.hart.fields import COUNTINHIBIT
from rvemu.hart.traps import take_trap
from rvemu.lang import M64
from tests.hart.model_hart import CLOCKS_PER_TICK, VS, M, complete, enter, new_hart, read, write

IR, CY = COUNTINHIBIT.IR.mask, COUNTINHIBIT.CY.mask


def test_a_reader_does_not_count_itself() -> None:
    h = new_hart()
    assert read(h, "minstret") == 0
    complete(h)
    assert (read(h, "minstret"), read(h, "instret"), read(h, "mcycle")) == (1, 1, 1)


def test_a_write_is_what_the_next_instruction_reads() -> None:
    """norm:mcycle_minstret_wr: the increment of the writing instruction is replaced."""
    h = new_hart()
    for name in ("minstret", "mcycle"):
        for value in (0, 5, M64, M64 - 1):
            write(h, name, value)
            complete(h)
            assert read(h, name) == value
            complete(h)
            assert read(h, name) == (value + 1) & M64


def test_exceptions_count_as_cycles_only() -> None:
    h = new_hart()
    exceptions.illegal_instruction(h)
    take_trap(h)
    h.budget -= 1
    assert (read(h, "minstret"), read(h, "mcycle")) == (0, 1)


def test_inhibited_counters_stand_still() -> None:
    h = new_hart()
    complete(h)
    complete(h)
    write(h, "mcountinhibit", M64)
    assert read(h, "mcountinhibit") == M64 >> 32 & ~2  # there is no bit for time
    complete(h)
    complete(h)
    assert (read(h, "minstret"), read(h, "mcycle")) == (2, 2)
    write(h, "minstret", 10)
    complete(h)
    assert (read(h, "minstret"), read(h, "mcycle")) == (10, 2)
    write(h, "mcountinhibit", CY)
    complete(h)
    assert (read(h, "minstret"), read(h, "mcycle")) == (11, 2)
    assert read(h, "instret") == 11


def test_time() -> None:
    h = new_hart()
    h.htimedelta = 1000
    for _ in range(2 * CLOCKS_PER_TICK + 1):
        complete(h)
    assert read(h, "time") == 2
    h.shared.time_offset = M64
    assert read(h, "time") == 1
    h.mcounteren = h.hcounteren = M64
    enter(h, VS)
    assert read(h, "time") == 1001  # norm:htimedelta_sz_acc_op
    enter(h, M)


steps = st.lists(
    st.one_of(
        st.just(("complete", 0)),
        st.just(("poll", 0)),
        st.tuples(st.just("budget"), st.integers(-1, 1 << 62)),
        st.tuples(st.just("inhibit"), st.sampled_from([0, IR, CY, IR | CY])),
        st.tuples(st.just("minstret"), st.integers(0, M64)),
        st.just(("trap", 0)),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_counters_against_counting(sequence: list[tuple[str, int]]) -> None:
    """Whatever is done to the budget, counters count as if it was not there."""
    h = new_hart()
    attempted = retired = minstret = inhibit = 0
    for kind, value in sequence:
        if kind == "poll":
            request_poll(h)
        elif kind == "budget":
            set_budget(h, value)
        else:
            next_minstret = minstret
            if kind == "trap":
                exceptions.illegal_instruction(h)
                take_trap(h)
                h.budget -= 1
            else:
                if kind == "inhibit":
                    write(h, "mcountinhibit", value)
                    inhibit = value
                if kind == "minstret":
                    write(h, "minstret", value)
                    next_minstret = value
                elif not inhibit & IR:
                    next_minstret = (minstret + 1) & M64
                complete(h)
                retired += 1
            attempted += 1
            minstret = next_minstret
        assert (clock(h), instret(h)) == (attempted, retired)
        assert read(h, "minstret") == minstret
        assert time(h) == attempted // CLOCKS_PER_TICK
