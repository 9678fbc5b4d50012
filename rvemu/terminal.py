"""The user's terminal in raw mode, and always back again."""

import contextlib
import errno
import os
import termios
from typing import Any

# Indices in what termios.tcgetattr gives.
_IFLAG, _CFLAG, _LFLAG, _CC = 0, 2, 3, 6


class Terminal:
    """A terminal by its file descriptor. As a context manager it is raw inside: each key comes at
    once and unchanged, Ctrl-C as well, and nothing is echoed. Output is processed as before, so
    that a line feed also returns."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._saved: list[Any] | None = None

    @staticmethod
    def is_ours(descriptor: int) -> bool:
        """Whether it is a terminal on which this process is in the foreground, or which knows no
        foreground, as it does not control this session. (Whoever changes a terminal from the
        background is stopped.)"""
        try:
            return os.isatty(descriptor) and os.tcgetpgrp(descriptor) == os.getpgrp()
        except OSError as error:
            return error.errno == errno.ENOTTY

    @property
    def is_raw(self) -> bool:
        """Whether it is in raw mode now."""
        return self._saved is not None

    def raw(self) -> None:
        """Enter raw mode."""
        if self._saved is not None:
            return
        saved = termios.tcgetattr(self.descriptor)
        mode = termios.tcgetattr(self.descriptor)
        mode[_IFLAG] &= ~(
            termios.BRKINT
            | termios.ICRNL
            | termios.IGNCR
            | termios.INLCR
            | termios.INPCK
            | termios.ISTRIP
            | termios.IXON
        )
        mode[_CFLAG] = mode[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        mode[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
        mode[_LFLAG] &= ~termios.ISIG
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        self._saved = saved
        termios.tcsetattr(self.descriptor, termios.TCSADRAIN, mode)

    def restore(self) -> None:
        """Return to the mode from before. Nothing happens if the terminal is gone."""
        saved, self._saved = self._saved, None
        if saved is not None:
            with contextlib.suppress(termios.error, OSError):
                # Not TCSAFLUSH: what the user has typed ahead is for the shell.
                termios.tcsetattr(self.descriptor, termios.TCSADRAIN, saved)

    def __enter__(self) -> "Terminal":
        self.raw()
        return self

    def __exit__(self, *_: object) -> None:
        self.restore()
