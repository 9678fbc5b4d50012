"""The interrupt controller, as its specification has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.devices.device import UnsupportedAccess
from rvemu.devices.plic import Plic

PENDING, ENABLE, CONTEXT = 0x1000, 0x2000, 0x20_0000
CONTEXTS = 4


class Line:
    level = False

    def set(self, level: bool) -> None:
        self.level = level


class Bench:
    def __init__(self) -> None:
        self.lines = [Line() for _ in range(CONTEXTS)]
        self.plic = Plic(self.lines)

    def get(self, offset: int) -> int:
        return self.plic.read(offset, 4)

    def put(self, offset: int, value: int) -> None:
        self.plic.write(offset, 4, value)

    def setup(self, context: int, **priorities: int) -> None:
        """Enable sources, as in setup(0, s10=1), in one context."""
        mask = 0
        for name, priority in priorities.items():
            source = int(name[1:])
            mask |= 1 << source
            self.put(4 * source, priority)
        for word in range(3):
            self.put(ENABLE + 0x80 * context + 4 * word, mask >> 32 * word & 0xFFFF_FFFF)

    def drive(self, source: int, level: bool = True) -> None:
        self.plic.line(source).set(level)

    def claim(self, context: int = 0) -> int:
        return self.get(CONTEXT + 0x1000 * context + 4)

    def complete(self, source: int, context: int = 0) -> None:
        self.put(CONTEXT + 0x1000 * context + 4, source)

    def threshold(self, value: int, context: int = 0) -> None:
        self.put(CONTEXT + 0x1000 * context, value)

    def pending(self) -> int:
        return sum(self.get(PENDING + 4 * word) << 32 * word for word in range(32))

    @property
    def levels(self) -> list[bool]:
        return [line.level for line in self.lines]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_interrupt_from_beginning_to_end(bench):
    bench.setup(1, s10=1)
    bench.drive(10)
    assert bench.levels == [False, True, False, False]
    assert bench.pending() == 1 << 10
    assert bench.claim(1) == 10
    assert bench.pending() == 0
    assert not any(bench.levels)
    assert bench.claim(1) == 0
    bench.drive(10, False)
    bench.complete(10, 1)
    assert bench.pending() == 0
    bench.drive(10)
    assert bench.levels[1]


def test_a_level_that_stays_high_interrupts_again(bench):
    bench.setup(0, s10=1)
    bench.drive(10)
    assert bench.claim() == 10
    assert bench.pending() == 0
    bench.complete(10)
    assert bench.pending() == 1 << 10
    assert bench.levels[0]
    assert bench.claim() == 10


def test_the_gateway_is_closed_while_claimed(bench):
    bench.setup(0, s10=1)
    bench.drive(10)
    bench.claim()
    bench.drive(10, False)
    bench.drive(10)
    assert bench.pending() == 0
    bench.drive(10, False)
    bench.complete(10)
    assert bench.pending() == 0, "the wire fell before the completion"


def test_a_request_outlives_its_wire(bench):
    bench.setup(0, s10=1)
    bench.drive(10)
    bench.drive(10, False)
    assert bench.levels[0]
    assert bench.claim() == 10


def test_priority_then_lowest_number(bench):
    bench.setup(0, s5=1, s6=3, s7=3, s70=2)
    for source in (5, 6, 7, 70):
        bench.drive(source)
    assert [bench.claim() for _ in range(5)] == [6, 7, 70, 5, 0]


def test_priority_zero_never_interrupts(bench):
    bench.setup(0, s10=0)
    bench.drive(10)
    assert bench.pending() == 1 << 10
    assert not bench.levels[0]
    assert bench.claim() == 0
    bench.put(4 * 10, 1)
    assert bench.levels[0]


def test_threshold_masks_the_notification(bench):
    bench.setup(0, s10=3)
    bench.drive(10)
    for threshold, level in ((2, True), (3, False), (7, False), (0, True), (3, False)):
        bench.threshold(threshold)
        assert bench.levels[0] == level
    assert bench.get(CONTEXT) == 3
    assert bench.claim() == 10, "claiming is not affected by the threshold"


def test_enable_bits_are_per_context(bench):
    bench.setup(0, s10=1)
    bench.setup(3, s64=1)
    bench.drive(64)
    assert bench.levels == [False, False, False, True]
    assert bench.claim(0) == 0
    assert bench.claim(3) == 64


def test_one_claim_for_all_contexts(bench):
    bench.setup(0, s10=1)
    bench.setup(1, s10=1)
    bench.drive(10)
    assert bench.levels[:2] == [True, True]
    assert bench.claim(1) == 10
    assert bench.levels[:2] == [False, False]
    assert bench.claim(0) == 0


def test_completion_needs_the_enable_bit(bench):
    """Linux masks an interrupt while it handles it, and enables it again to complete it."""
    bench.setup(0, s10=1)
    bench.drive(10)
    bench.claim()
    bench.put(ENABLE, 0)
    bench.complete(10)
    assert bench.pending() == 0, "ignored"
    bench.put(ENABLE, 1 << 10)
    bench.complete(10)
    assert bench.pending() == 1 << 10


def test_completion_of_another_source(bench):
    bench.setup(0, s10=1, s11=1)
    bench.drive(10)
    bench.claim()
    for source in (0, 11, 95, 96, 0xFFFF_FFFF):
        bench.complete(source)
    bench.complete(10, CONTEXTS)
    bench.put(CONTEXT + 8, 10)
    assert bench.pending() == 0


def test_any_context_that_has_it_enabled_may_complete(bench):
    bench.setup(0, s10=1)
    bench.setup(1, s10=1)
    bench.drive(10)
    bench.claim(0)
    bench.complete(10, 1)
    assert bench.pending() == 1 << 10


def test_registers(bench):
    bench.put(0, 7)
    assert bench.get(0) == 0, "there is no source 0"
    bench.put(4 * 95, 0xFF)
    assert bench.get(4 * 95) == 7, "three bits"
    bench.put(4 * 96, 7)
    assert bench.get(4 * 96) == 0
    bench.put(ENABLE + 0x80, 0xFFFF_FFFF)
    bench.put(ENABLE + 0x88, 0xFFFF_FFFF)
    bench.put(ENABLE + 0x8C, 0xFFFF_FFFF)
    assert bench.get(ENABLE + 0x80) == 0xFFFF_FFFE
    assert bench.get(ENABLE + 0x84) == 0
    assert bench.get(ENABLE + 0x88) == 0xFFFF_FFFF
    assert bench.get(ENABLE + 0x8C) == 0
    assert bench.get(ENABLE) == 0
    bench.threshold(0xFFFF_FFFF)
    assert bench.get(CONTEXT) == 7


def test_pending_is_read_only(bench):
    bench.put(PENDING, 0xFFFF_FFFF)
    assert bench.pending() == 0
    bench.drive(10)
    bench.put(PENDING, 0)
    assert bench.pending() == 1 << 10


@pytest.mark.parametrize(
    "offset",
    [0xFFC, PENDING + 0xFFC, ENABLE + 0x80 * CONTEXTS, 0x1F_FFFC, CONTEXT + 8,
     CONTEXT + 0x1000 * CONTEXTS, CONTEXT + 0x1000 * CONTEXTS + 4, 0x5F_FFFC],
)  # fmt: skip
def test_absent_registers(bench, offset):
    bench.put(offset, 0xFFFF_FFFF)
    assert bench.get(offset) == 0


@pytest.mark.parametrize("width", [1, 2, 8])
def test_other_widths(bench, width):
    with pytest.raises(UnsupportedAccess):
        bench.plic.read(0, width)
    with pytest.raises(UnsupportedAccess):
        bench.plic.write(0, width, 0)


def test_reset(bench):
    bench.setup(0, s10=1, s11=1)
    bench.drive(10)
    bench.drive(11)
    bench.claim()
    bench.drive(11, False)
    bench.plic.reset()
    assert not any(bench.levels)
    assert bench.get(4 * 10) == 0
    assert bench.get(ENABLE) == 0
    assert bench.pending() == 1 << 10, "its wire is still high"
    bench.setup(0, s10=1)
    assert bench.claim() == 10


steps = st.lists(
    st.one_of(
        st.tuples(st.just("drive"), st.integers(1, 6), st.booleans()),
        st.tuples(st.just("claim"), st.integers(0, 1), st.none()),
        st.tuples(st.just("complete"), st.integers(1, 6), st.integers(0, 1)),
        st.tuples(st.just("priority"), st.integers(1, 6), st.integers(0, 7)),
        st.tuples(st.just("threshold"), st.integers(0, 7), st.integers(0, 1)),
    ),
    max_size=40,
)


@given(steps)
def test_invariants(history):
    """Nothing is both pending and claimed, outputs follow from the registers, and when all is
    completed and quiet, nothing is left."""
    bench = Bench()
    for context in (0, 1):
        bench.setup(context, s1=1, s2=2, s3=3, s4=4, s5=5, s6=6)
    for kind, a, b in history:
        if kind == "drive":
            bench.drive(a, b)
        elif kind == "claim":
            before = bench.pending()
            source = bench.claim(a)
            assert bench.pending() == before & ~(1 << source)
        elif kind == "complete":
            bench.complete(a, b)
        elif kind == "priority":
            bench.put(4 * a, b)
        else:
            bench.threshold(a, b)
        pending = bench.pending()
        assert not pending & bench.plic.claimed
        for context in (0, 1):
            threshold = bench.get(CONTEXT + 0x1000 * context)
            assert bench.levels[context] == any(
                pending >> source & 1 and bench.get(4 * source) > threshold
                for source in range(1, 7)
            )
    for source in range(1, 7):
        bench.drive(source, False)
        bench.put(4 * source, 1)
    while source := bench.claim():
        bench.complete(source)
    for source in range(1, 7):
        bench.complete(source)
    assert bench.pending() == 0
    assert not any(bench.levels)
