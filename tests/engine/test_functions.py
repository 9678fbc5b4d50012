"""Model functions as native code that Python calls one by one."""

import ctypes
import importlib
import sys
import time
from ctypes import c_uint64
from pathlib import Path
from typing import ClassVar

import pytest

from rvemu.engine.native.calls import call_native
from rvemu.engine.native.functions import Functions
from rvemu.hart.exceptions import breakpoint
from rvemu.hart.state import Hart
from rvemu.lang import I64, U64, i64, u64
from rvemu.vmm.answers import Time


class Pair(ctypes.Structure):
    """Two numbers."""

    _fields_: ClassVar = [("a", c_uint64), ("b", c_uint64 * 3)]


def total(pair: Pair, other: Pair, n: U64) -> U64:
    return u64(pair.a + other.b[2] * n)


def signed(pair: Pair) -> I64:
    return i64(pair.a)


def store(pair: Pair, n: U64) -> None:
    pair.a = n


def now(clock: Time, timespec_get: U64) -> None:
    call_native(timespec_get, clock, 1)


def trapping(h: Hart) -> None:
    raise breakpoint(h, 0)


def test_they_are_called_with_structures_and_numbers() -> None:
    functions = Functions([total, signed, store])
    pair, other = Pair((1 << 64) - 2), Pair(0, (1, 2, 3))
    assert functions.bind(total, pair, other)(5) == total(pair, other, 5) == 13
    assert functions.bind(signed, pair)() == -2
    assert functions.bind(store, pair)(7) is None
    assert pair.a == 7


def test_others_of_the_same_file_are_not_mistaken_for_them() -> None:
    pair = Pair(3)
    Functions([store]).bind(store, pair)(9)
    assert Functions([signed]).bind(signed, pair)() == 9


def test_what_they_take_from_a_file_beside_theirs_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Machine code is kept by what it was made from, and that is more than the file they are in."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "step_functions.py").write_text(
        "from rvemu.lang import U64, u64\n"
        "from step_constants import STEP\n"
        "from tests.engine.test_functions import Pair\n"
        "def step(pair: Pair) -> U64:\n"
        "    return u64(pair.a + STEP)\n"
    )
    for length in (1, 2):
        (tmp_path / "step_constants.py").write_text(f"STEP = {length}\n")
        for name in ("step_functions", "step_constants"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        step = importlib.import_module("step_functions").step
        assert Functions([step]).bind(step, Pair(5))() == 5 + length


def test_they_call_c_functions() -> None:
    clock = Time()
    address = ctypes.cast(ctypes.CDLL(None).timespec_get, ctypes.c_void_p).value
    Functions([now], long=[now]).bind(now, clock)(address)
    assert abs(clock.seconds - time.time()) < 60


def test_none_of_them_raises() -> None:
    with pytest.raises(AssertionError, match="trapping raises"):
        Functions([trapping])
