"""Runs something that may crash in a process of its own, and says what it was at."""

import contextlib
import mmap
import os
import signal
import sys
from collections.abc import Callable

_NOTE_BYTES = 4096

Note = Callable[[str], None]


def guarded(work: Callable[[Note], int], crashed: Callable[[str, str], int]) -> int:
    """Call `work` in a child process, with a function that notes what it is doing; the exit status
    that it returns. If the child is killed by a signal: `crashed(its name, the last note)`."""
    note = mmap.mmap(-1, _NOTE_BYTES)

    def write(text: str) -> None:
        note[:] = text.encode().ljust(_NOTE_BYTES, b"\0")

    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = work(write)
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    while True:
        with contextlib.suppress(KeyboardInterrupt):  # the child gets it as well, and ends
            status = os.waitpid(child, 0)[1]
            break
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return crashed(name, note[:].rstrip(b"\0").decode())
    return os.WEXITSTATUS(status)
