"""Whatever bytes arrive: no exception escapes, nothing hangs, and the session goes on."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gdbstub import Session
from gdbstub.packet import frame
from tests.gdbstub.fake import FakeTarget
from tests.gdbstub.fuzz import NAMES, PIECES, check, fuzz


def feed(data: bytes) -> None:
    target = FakeTarget(threads=2)
    session = Session(target, 4096)
    session.receive(data)
    while session.busy:
        session.receive()
    check(session, target)


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes(data: bytes) -> None:
    feed(data)


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.binary(max_size=30)), max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_arguments(packets: list[tuple[bytes, bytes]]) -> None:
    feed(b"".join(frame(name + rest) for name, rest in packets))


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.lists(st.sampled_from(PIECES), max_size=6)),
        max_size=6,
    )
)
@settings(max_examples=200, deadline=None)
def test_plausible_arguments(packets: list[tuple[bytes, list[bytes]]]) -> None:
    feed(b"".join(frame(name + b"".join(rest)) for name, rest in packets))


def test_many_mutated_packets() -> None:
    assert fuzz(15_000, seed=7) > 1
