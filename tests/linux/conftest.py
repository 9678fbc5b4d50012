"""Linux to boot: Debian's kernel, fetched by apt. Where that can't be, the tests are skipped."""

import os

import pytest

from rvemu.errors import RvemuError
from rvemu.linux import Linux, find_linux
from rvemu.user_cache import cache_folder


@pytest.fixture(scope="session")
def linux() -> Linux:
    """Kernel and initial RAM disk."""
    try:
        return find_linux(cache_folder())
    except RvemuError as error:
        if os.environ.get("RVEMU_NEED_LINUX"):
            raise
        pytest.skip(str(error))
