"""Broken packets, with a machine as the target. For more of them: tests/debug/fuzz.py."""

from tests.debug.fuzz import fuzz


def test_many_mutated_packets_against_a_machine() -> None:
    assert fuzz(4_000, seed=3) > 1
