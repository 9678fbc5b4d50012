"""What all tests share."""

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import pytest

from rvemu.engine import ENGINES
from rvemu.errors import RvemuError
from rvemu.firmware import find_firmware
from rvemu.guests import find_guest, list_guests

# A shell has what it starts in the background ignore SIGINT, and so has all that this starts. The
# tests send that signal to programs, which are to take it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before the first test, and before workers start: have all that is made once per machine, and
    said to be made, made. So no test's output depends on which tests came before it."""
    if hasattr(session.config, "workerinput") or session.config.option.collectonly:
        return
    capture = session.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        _make_what_is_cached()


def _make_what_is_cached() -> None:
    """The native engine's machine code, the firmware, the guests. What can't be made here is for
    the tests that need it to say."""

    def make(maker: Callable[[], object]) -> None:
        with suppress(ImportError, OSError, RuntimeError, RvemuError):
            maker()

    guests = [partial(find_guest, guest.name) for guest in list_guests()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(make, [_compile_engine, find_firmware, *guests]))


def _compile_engine() -> None:
    from rvemu.engine.native.library import library

    library()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each engine's name in turn: what is tested on one is tested on both."""
    return str(request.param)
