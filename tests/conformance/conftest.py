"""Fixtures of conformance tests."""

import pytest

from tests.conformance.probe import Probe
from tests.conformance.rig import Rig


@pytest.fixture(params=["p", "v"])
def rig(request: pytest.FixtureRequest, engine: str) -> Rig:
    """A machine for a program, in each form on each engine."""
    return Rig(engine, request.param)


@pytest.fixture
def probe(engine: str) -> Probe:
    """A machine to try single instructions on, in any mode."""
    return Probe(engine)
