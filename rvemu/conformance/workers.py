"""Run many tests, in processes that each run one after the other.

Not with concurrent.futures: there, a worker that dies takes all tests with it that were still to
run, and a test that runs too long can't be ended.
"""

import contextlib
import multiprocessing
import signal
import time
import traceback
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from multiprocessing.connection import Connection, wait

from rvemu.conformance.discover import Program
from rvemu.conformance.results import Result, Verdict
from rvemu.conformance.single import Options, run_test
from rvemu.errors import RvemuError

#: A program, and the engine to run it on.
Work = tuple[Program, str]

# Seconds after which a test is given up. A guest can't take so long within its limit of
# instructions; an engine that hangs can.
TIMEOUT = 1800.0


def prepare(engines: Iterable[str]) -> None:
    """Have the native engine's code compiled, before workers want it all at once. Raises
    `RvemuError` where it can't be had."""
    if "native" not in engines:
        return
    from rvemu.engine.native.library import library

    try:
        library()
    except (ImportError, OSError, RuntimeError) as error:
        raise RvemuError(
            f"no native code on this platform ({error}); use --engine reference"
        ) from error


def run_all(
    work: Iterable[Work], options: Options, jobs: int, timeout: float = TIMEOUT
) -> Generator[Result, None, None]:
    """Results, as they come. At most `jobs` processes run at a time; none is left when the
    iterator is closed. A worker that dies, or that takes more than `timeout` seconds for a test,
    is an error of that test, and another takes its place."""
    queue = deque(work)
    workers = [_Worker(options) for _ in range(min(jobs, len(queue)))]
    try:
        for worker in workers:
            worker.give(queue.popleft())
        while busy := {worker.connection: worker for worker in workers if worker.work}:
            ready = wait(list(busy), timeout=min(1.0, timeout))
            for connection, worker in busy.items():
                if connection in ready:
                    result = worker.take()
                elif time.monotonic() - worker.since > timeout:
                    result = worker.give_up(f"gave no result in {timeout:g} seconds")
                else:
                    continue
                if queue:
                    worker.give(queue.popleft())
                yield result
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """A process, started when it is first given work, and again after it died."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._options), daemon=True)
        with _interrupts_held():
            self._process.start()
        theirs.close()
        self.work: Work | None = None
        self.since = 0.0

    def give(self, work: Work) -> None:
        """Have it run a test."""
        self.work, self.since = work, time.monotonic()
        with contextlib.suppress(OSError):  # it died: `take` will say so
            self.connection.send(work)

    def take(self) -> Result:
        """The result of the test that it was given."""
        try:
            result: Result = self.connection.recv()
        except (EOFError, OSError):
            self._process.join(1.0)
            return self.give_up(f"its process died ({_ending(self._process.exitcode)})")
        self.work = None
        return result

    def give_up(self, reason: str) -> Result:
        """End the process; another waits for the next test."""
        assert self.work is not None
        program, engine = self.work
        self.end()
        self._start()
        return Result(program.name, program.group, engine, Verdict.ERROR, reason)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        self._process.kill()
        self._process.join()
        self._process.close()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C is for the process that shows results. A process inherits the mask, so that one that
    is just starting is not interrupted either."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(exitcode: int | None) -> str:
    if exitcode is None:
        return "its connection closed"
    if exitcode < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-exitcode).name
    return f"exit status {exitcode}"


def _serve(connection: "Connection[Result, Work]", options: Options) -> None:
    """What a worker does, until nobody wants more of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, OSError):
        while True:
            program, engine = connection.recv()
            try:
                result = run_test(program, engine, options)
            except Exception as error:
                # Our own mistake. It must not cost the other tests their results.
                reason = f"rvemu failed: {type(error).__name__}: {error}"
                trace = tuple(traceback.format_exc().splitlines())
                result = Result(
                    program.name, program.group, engine, Verdict.ERROR, reason, trail=trace
                )
            connection.send(result)
