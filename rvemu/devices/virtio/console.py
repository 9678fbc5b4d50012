"""The virtio console: one port, which Linux calls hvc0.

Source: virtio: Console Device
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag

from rvemu.devices.virtio.device import REQUEST_COST, WORK_LIMIT, VirtioDevice
from rvemu.devices.virtio.layout import CONSOLE_CONFIG
from rvemu.devices.virtio.queue import Chain

RECEIVE, TRANSMIT = 0, 1

#: Bytes of input that wait for the guest to take them, at most.
MAX_INPUT = 1 << 16

_CHUNK = 1 << 16
_EMERGENCY_AT = 8  # in the configuration space


class Feature(IntFlag):
    """Feature bits. (virtio: Console Device, Feature bits)"""

    SIZE = 1 << 0
    EMERG_WRITE = 1 << 2


class Console(VirtioDevice):
    """A terminal's wire. on_output: takes what the guest sends.

    Input waits until the guest has printed something: a driver that is not yet done with its start
    throws away what comes (Linux does), and there is no other sign that it is.
    """

    device_id = 3
    name = "virtio-console"
    queue_sizes = (64, 64)
    receives = True

    def __init__(self, on_output: Callable[[bytes], None] | None = None) -> None:
        super().__init__()
        self.on_output = on_output
        self.columns, self.rows = 80, 24
        self.features = Feature.SIZE | Feature.EMERG_WRITE
        self._input = bytearray()
        self._in_use = False

    def config(self) -> bytes:
        """See `CONSOLE_CONFIG`."""
        fields = {"cols": self.columns, "rows": self.rows, "max_nr_ports": 1, "emerg_wr": 0}
        return bytes(CONSOLE_CONFIG.build(fields))

    def write_config(self, offset: int, data: bytes) -> None:
        """Only `emerg_wr` may be written: a character to print, whatever the state of the device.
        (virtio: Emergency Console)"""
        if offset == _EMERGENCY_AT:
            self._print(data[:1])

    def reset(self) -> None:
        """Forget the driver. Input that it did not take waits for the next one."""
        self._in_use = False

    # --- The host's side -------------------------------------------------------------------------

    def receive(self, data: bytes) -> int:
        """Take input for the guest and return how many bytes fitted."""
        accepted = data[: MAX_INPUT - len(self._input)]
        self._input += accepted
        self.wake(RECEIVE)
        return len(accepted)

    def resize(self, columns: int, rows: int) -> None:
        """The terminal has another size, in characters."""
        if (columns, rows) != (self.columns, self.rows):
            self.columns, self.rows = columns & 0xFFFF, rows & 0xFFFF
            self.config_changed()

    # --- The guest's side ------------------------------------------------------------------------

    def handle(self, index: int) -> bool:
        """Give the guest input, or take its output."""
        if index == TRANSMIT:
            return super().handle(index)
        if not self._in_use:
            return False
        queue = self.queues[RECEIVE]
        work = 0
        while self._input and work < WORK_LIMIT:
            chain = queue.pop()
            if chain is None:
                queue.wants_notifications()
                return False
            work += REQUEST_COST
            taken = min(len(self._input), chain.to_write)
            chain.write(self._input[:taken])
            del self._input[:taken]
            queue.push(chain)
        return bool(self._input)

    def request(self, index: int, chain: Chain) -> int:
        """Print what the guest sends."""
        del index
        left = min(chain.to_read, chain.limit)
        while left:
            data = chain.read(min(left, _CHUNK))
            left -= len(data)
            self._print(data)
        if not self._in_use:
            self._in_use = True
            self.wake(RECEIVE)
        return 0

    def _print(self, data: bytes) -> None:
        if self.on_output is not None and data:
            self.on_output(data)
