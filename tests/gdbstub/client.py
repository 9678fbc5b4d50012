"""A scripted client, joined to a session in memory: no sockets, every byte is seen."""

from __future__ import annotations

import re

from gdbstub import Session
from gdbstub.packet import decode_runs, frame
from tests.gdbstub.fake import Bare

FEATURES = b"multiprocess+;swbreak+;hwbreak+;error-message+;vContSupported+"
_PACKET = re.compile(rb"([$%])([^#]*)#([0-9a-f]{2})", re.DOTALL)


class Client:
    """Sends packets and takes the replies apart; without acknowledgements unless told."""

    def __init__(self, target: Bare, *, acks: bool = False, packet_size: int = 4096) -> None:
        self.target = target
        self.session = Session(target, packet_size)
        self.notes: list[bytes] = []
        self.raw = b""
        if not acks:
            assert self.ask(b"QStartNoAckMode") == b"OK"
            self.send(b"+")

    def send(self, data: bytes) -> None:
        self.session.receive(data)
        while self.session.busy:
            self.session.receive()

    def replies(self) -> list[bytes]:
        """Every reply since the last call; notifications go to `notes`."""
        self.raw = self.session.take()
        payloads = []
        rest = self.raw
        for kind, payload, digits in _PACKET.findall(self.raw):
            assert sum(payload) & 0xFF == int(digits, 16)
            if kind == b"%":
                self.notes.append(payload)
            else:
                payloads.append(decode_runs(payload))
        rest = _PACKET.sub(b"", self.raw)
        assert not rest.strip(b"+-"), rest
        return payloads

    def ask(self, payload: bytes) -> bytes | None:
        """One packet, and its only reply (None: there was none)."""
        self.send(frame(payload))
        replies = self.replies()
        assert len(replies) <= 1, replies
        return replies[0] if replies else None

    def announce(self, features: bytes = FEATURES) -> bytes:
        reply = self.ask(b"qSupported:" + features)
        assert reply is not None
        return reply

    def run(self, slices: int = 1000) -> list[bytes]:
        """Lets the guest run until the session stands still; what was sent meanwhile."""
        for _ in range(slices):
            if not self.session.running:
                break
            for event in self.target.run_slice():  # type: ignore[attr-defined]
                self.session.report(event)
            if self.session.backlog:
                break
        return self.replies()

    def go(self, payload: bytes) -> bytes:
        """A resuming packet, and the stop reply that follows."""
        assert self.ask(payload) is None
        replies = self.run()
        assert len(replies) == 1, replies
        return replies[0]
