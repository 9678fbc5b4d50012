"""Whose a terminal is."""

import os

from rvemu.terminal import Terminal


def test_a_terminal_that_controls_no_session_of_ours_is_ours() -> None:
    """As one that another program made, to run rvemu in it: nobody can be in its foreground."""
    controller, terminal = os.openpty()
    try:
        assert Terminal.is_ours(terminal)
    finally:
        os.close(controller)
        os.close(terminal)


def test_what_is_no_terminal_is_not_ours() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    assert not Terminal.is_ours(reading)
    os.close(reading)
    assert not Terminal.is_ours(reading), "closed"
