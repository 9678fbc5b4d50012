"""Framing: checksums, escapes, runs, and what is between packets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gdbstub.errors import PacketError
from gdbstub.packet import (
    Decoder,
    Signal,
    checksum,
    decode_runs,
    encode_runs,
    escape,
    frame,
    notification,
    shorten_zeros,
    unescape,
)


def decode(data: bytes, limit: int = 1000) -> list[bytes | Signal]:
    decoder = Decoder(limit)
    decoder.feed(data)
    items = []
    while (item := decoder.next()) is not None:
        items.append(item)
    return items


def test_frame() -> None:
    assert frame(b"OK") == b"$OK#9a"
    assert frame(b"") == b"$#00"
    assert notification(b"Stop:T05") == b"%Stop:T05#" + b"%02x" % (sum(b"Stop:T05") & 255)


@given(st.binary(max_size=3000))
def test_checksum_of_short_and_long(data: bytes) -> None:
    assert checksum(data) == sum(data) & 0xFF


def test_checksum_at_its_limits() -> None:
    for length in (1023, 1024, 1025, 70_000):
        assert checksum(b"\xff" * length) == 255 * length & 0xFF


@given(st.binary(max_size=500))
def test_escapes_round_trip(data: bytes) -> None:
    wire = escape(data)
    assert not set(wire) & set(b"#$*")
    assert unescape(wire) == data


def test_unescape_of_what_nobody_sends() -> None:
    assert unescape(b"a}") == b"a"
    assert unescape(b"}}x") == b"]x"


@given(st.lists(st.tuples(st.sampled_from(b"0fx}"), st.integers(1, 300)), max_size=8))
def test_runs_round_trip(runs: list[tuple[int, int]]) -> None:
    data = b"".join(bytes([byte]) * count for byte, count in runs)
    wire = encode_runs(data)
    assert decode_runs(wire) == data
    assert not set(wire) & set(b"#$+-")
    assert decode_runs(shorten_zeros(data)) == data


def test_run_lengths() -> None:
    assert encode_runs(b"0000") == b"0* "
    assert encode_runs(b"000") == b"000"
    assert shorten_zeros(b"0" * 98) == b"0*~"
    with pytest.raises(PacketError):
        decode_runs(b"0*\x1f")


def test_items_between_packets() -> None:
    assert decode(b"+$g#67-\x03junk+$?#3f") == [
        Signal.ACK, b"g", Signal.NAK, Signal.INTERRUPT, Signal.ACK, b"?",
    ]  # fmt: skip


def test_repeated_signals_mean_no_more_than_one() -> None:
    assert decode(b"-" * 100_000 + b"$g#67") == [Signal.NAK, b"g"]


def test_interrupt_within_a_packet_is_data() -> None:
    assert decode(frame(b"X0,1:\x03")) == [b"X0,1:\x03"]


def test_bad_checksums() -> None:
    assert decode(b"$g#68$g#zz$g#67") == [Signal.DAMAGED, Signal.DAMAGED, b"g"]


def test_packet_cut_short_by_another() -> None:
    assert decode(b"$m0,4$g#67") == [b"g"]


def test_oversize_packets_are_dropped_as_they_come() -> None:
    assert decode(frame(b"x" * 1001) + b"$g#67") == [Signal.OVERSIZE, b"g"]
    decoder = Decoder(100)
    for _ in range(100):
        decoder.feed(b"$" + b"x" * 1000)
        assert decoder.next() is None
    assert decoder.empty
    decoder.feed(b"x#0")
    assert decoder.next() is None
    decoder.feed(b"0$g#67")
    assert decoder.next() is Signal.OVERSIZE
    assert decoder.next() == b"g"


@given(st.lists(st.binary(min_size=0, max_size=40)), st.integers(1, 7))
def test_any_chunking_gives_the_same_packets(payloads: list[bytes], chunk: int) -> None:
    packets = [escape(payload) for payload in payloads]
    data = b"".join(map(frame, packets))
    decoder = Decoder(1000)
    items = []
    for at in range(0, len(data), chunk):
        decoder.feed(data[at : at + chunk])
        while (item := decoder.next()) is not None:
            items.append(item)
    assert items == packets
