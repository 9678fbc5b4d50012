"""How far long work has come is shown on a terminal, and only there."""

import io
from contextlib import redirect_stderr

import pytest

from rvemu.cli.main import main
from rvemu.cli.status_line import StatusLine

CLEAR = "\r\x1b[K"


class Terminal(io.StringIO):
    """What standard error is on a terminal."""

    def isatty(self) -> bool:
        return True


def test_texts_replace_each_other_and_are_removed() -> None:
    with redirect_stderr(Terminal()) as terminal, StatusLine() as line:
        line.show("one")
        line.show("two")
    assert terminal.getvalue() == f"{CLEAR}one{CLEAR}two{CLEAR}"


def test_the_line_is_removed_when_work_is_interrupted() -> None:
    with redirect_stderr(Terminal()) as terminal:
        with pytest.raises(KeyboardInterrupt), StatusLine() as line:
            line.show("one")
            raise KeyboardInterrupt
        assert terminal.getvalue() == f"{CLEAR}one{CLEAR}"


def test_a_line_is_due_at_once_and_then_after_a_while() -> None:
    with redirect_stderr(Terminal()):
        line = StatusLine()
        assert line.due()
        assert not all(line.due() for _ in range(10))


def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with StatusLine() as line:
        assert not line.due()
        line.show("one")
    assert capsys.readouterr().err == ""


def test_the_modes_of_a_comparison_are_shown_as_they_run() -> None:
    with redirect_stderr(Terminal()) as terminal:
        assert main(["vm", "--guest", "timeslice", "--mode", "all"]) == 0
    shown = terminal.getvalue()
    assert f"{CLEAR}mode emulate: " in shown
    last = shown.rpartition(CLEAR)[2]
    assert "instructions per exit" in last
    assert "the same" in last
