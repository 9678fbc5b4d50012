"""The virtio entropy device."""

from rvemu.devices.virtio.entropy import MAX_BYTES, Entropy, HostEntropy, SeededEntropy
from tests.devices.virtio.driver import BUFFERS, WRITE, Driver


def first_bytes(source, length: int = 64) -> bytes:
    driver = Driver(Entropy(source))
    driver.start().rings[0].submit((BUFFERS, length, WRITE))
    assert driver.rings[0].taken() == [(0, min(length, MAX_BYTES))]
    return driver.ram.read(BUFFERS, length)


def test_seeded_bytes_repeat():
    assert first_bytes(SeededEntropy(7)) == first_bytes(SeededEntropy(7))
    assert first_bytes(None) == first_bytes(SeededEntropy(0))
    assert first_bytes(SeededEntropy(7)) != first_bytes(SeededEntropy(8))
    assert len(set(first_bytes(SeededEntropy(7), 4096))) == 256


def test_bytes_do_not_depend_on_how_many_are_asked_for():
    whole, parts = SeededEntropy(1), SeededEntropy(1)
    assert whole.take(100) == b"".join(parts.take(n) for n in (1, 0, 31, 68))


def test_host_bytes_do_not_repeat():
    assert first_bytes(HostEntropy()) != first_bytes(HostEntropy())


def test_not_more_than_is_reasonable_at_once():
    assert first_bytes(None, 1 << 20)[MAX_BYTES:] == bytes((1 << 20) - MAX_BYTES)
