"""The command `rvemu run --linux`, of which a test reads the output and writes the input."""

import os
import select
import subprocess
import sys
import time


class Guest:
    """The running command. It is killed at the end."""

    def __init__(self, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rvemu", "run", "--linux", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        #: All that it has printed.
        self.text = ""
        self._read = 0

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def type(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def expect(self, text: str, seconds: float = 300) -> None:
        """Read until some text has come, after what was expected last."""
        assert self.process.stdout is not None
        output = self.process.stdout.fileno()
        end = time.monotonic() + seconds
        while text not in self.text[self._read :]:
            ready, _, _ = select.select([output], [], [], max(end - time.monotonic(), 0))
            data = os.read(output, 65536) if ready else b""
            assert data, f"no {text!r} in {self.text[-3000:]}"
            self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        self._read = self.text.index(text, self._read) + len(text)
