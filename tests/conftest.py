"""What all tests share."""

import signal

import pytest

from rvemu.engine import ENGINES

# A shell has what it starts in the background ignore SIGINT, and so has all that this starts. The
# tests send that signal to programs, which are to take it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine's name in turn: what is tested on one is tested on both."""
    return str(request.param)
