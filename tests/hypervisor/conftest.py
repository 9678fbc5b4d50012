"""What the tests of the hypervisor extension share."""

import pytest

from tests.hypervisor.lab import Lab


@pytest.fixture
def lab(engine: str) -> Lab:
    """A machine with H on each engine, without translation."""
    return Lab(engine)


@pytest.fixture
def guest(engine: str) -> Lab:
    """The same with both stages of translation on."""
    lab = Lab(engine)
    lab.guest()
    return lab
