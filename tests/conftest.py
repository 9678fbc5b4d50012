"""What all tests share."""

import pytest

from rvemu.engine import ENGINES


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine's name in turn: what is tested on one is tested on both."""
    return str(request.param)
