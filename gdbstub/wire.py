"""What goes out to the client: packets, notifications, and acknowledgements with retransmission.

Source: GDB manual, "Packet Acknowledgment" and "Notification Packets".
"""

from collections import deque

from gdbstub.packet import frame, notification


class Wire:
    """The outgoing half of a connection, as bytes that the host takes away.

    It starts with acknowledgements; `acknowledging` is switched off by QStartNoAckMode.
    """

    def __init__(self) -> None:
        self.acknowledging = True
        self._output = bytearray()
        self._unacknowledged: deque[bytes] = deque(maxlen=64)

    @property
    def backlog(self) -> int:
        """How many bytes wait to be taken."""
        return len(self._output)

    def take(self) -> bytes:
        """The bytes to send next."""
        if not self._output:
            return b""
        output = bytes(self._output)
        self._output.clear()
        return output

    def send(self, payload: bytes) -> None:
        """Sends a packet; the payload is escaped already."""
        packet = frame(payload)
        self._output += packet
        if self.acknowledging:
            self._unacknowledged.append(packet)

    def notify(self, payload: bytes) -> None:
        """Sends a notification, which is never acknowledged."""
        self._output += notification(payload)

    def acknowledge(self, good: bool) -> None:
        """Says how a packet arrived."""
        if self.acknowledging:
            self._output += b"+" if good else b"-"

    def acknowledged(self) -> None:
        """The client has received the oldest packet."""
        if self._unacknowledged:
            self._unacknowledged.popleft()

    def all_acknowledged(self) -> None:
        """The client has sent a new command: it does not wait for an older packet."""
        self._unacknowledged.clear()

    def retransmit(self) -> None:
        """The client has received the oldest packet damaged."""
        if self._unacknowledged:
            self._output += self._unacknowledged[0]
