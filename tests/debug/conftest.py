"""QEMU with the guest of the benchmarks."""

from collections.abc import Iterator

import pytest

from rvemu.guests import find_guest
from tests.debug.qemu import Qemu


@pytest.fixture
def qemu() -> Iterator[str]:
    """A QEMU with the guest, halted; where its stub is."""
    with Qemu(find_guest("bench-int")) as running:
        yield running.address
