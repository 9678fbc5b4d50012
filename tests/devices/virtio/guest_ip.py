"""A guest's side of a network, by hand: Ethernet, ARP, DHCP, and a TCP connection or two."""

import struct
import time
from ipaddress import IPv4Address

MAC = bytes.fromhex("525400123456")
EVERYONE = b"\xff" * 6
ME, HOST, NAMESERVER = (IPv4Address(f"10.0.2.{n}").packed for n in (15, 2, 3))
IP, ARP, TCP, UDP = 0x0800, 0x0806, 6, 17
FIN, SYN, ACK = 1, 2, 16


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Guest:
    """Sends to a link and takes what comes."""

    def __init__(self, link) -> None:
        self.link = link
        self.host_mac = EVERYONE

    def wait(self, wanted, seconds: float = 5):
        """The first frame of which `wanted` makes something that is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.link.poll()
            while (frame := self.link.receive()) is not None:
                if frame[12:14] == struct.pack(">H", ARP) and frame[21] == 1:
                    self._answer_arp(frame)
                if (found := wanted(frame)) is not None:
                    return found
            time.sleep(0.001)
        raise AssertionError("nothing came")

    def ethernet(self, kind: int, payload: bytes, to: bytes | None = None) -> None:
        self.link.send((to or self.host_mac) + MAC + struct.pack(">H", kind) + payload)

    def ip(self, protocol: int, to: bytes, payload: bytes, source: bytes = ME) -> None:
        fields = (0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0, source, to)
        header = struct.pack(">BBHHHBBH4s4s", *fields)
        header = header[:10] + struct.pack(">H", checksum(header)) + header[12:]
        self.ethernet(IP, header + payload)

    def udp(self, to: bytes, ports: tuple[int, int], data: bytes, source: bytes = ME) -> None:
        self.ip(UDP, to, struct.pack(">HHHH", *ports, 8 + len(data), 0) + data, source)

    def arp(self, address: bytes) -> bytes:
        """Ask who has an address."""
        request = struct.pack(">HHBBH6s4s6s4s", 1, IP, 6, 4, 1, MAC, ME, bytes(6), address)
        self.ethernet(ARP, request, EVERYONE)

        def answer(frame: bytes):
            mine = frame[12:14] == b"\x08\x06" and frame[21] == 2 and frame[28:32] == address
            return frame[22:28] if mine else None

        self.host_mac = self.wait(answer)
        return self.host_mac

    def _answer_arp(self, frame: bytes) -> None:
        reply = struct.pack(
            ">HHBBH6s4s6s4s", 1, IP, 6, 4, 2, MAC, frame[38:42], frame[22:28], frame[28:32]
        )
        self.ethernet(ARP, reply, frame[6:12])

    def discover(self) -> tuple[bytes, bytes, bytes]:
        """Ask DHCP for an address: what it offers, the file to boot, and its options."""
        fields = (1, 1, 6, 0, 7, 0, 0, bytes(16), MAC)
        bootp = struct.pack(">BBBBIHH16s6s", *fields).ljust(236, b"\0")
        options = b"\x63\x82\x53\x63" + b"\x35\1\1" + b"\xff"
        self.udp(b"\xff" * 4, (68, 67), bootp + options, bytes(4))

        def offer(frame: bytes):
            mine = frame[12:14] == b"\x08\0" and frame[23] == UDP and frame[36:38] == b"\0\x44"
            fields = struct.unpack_from("16x4s88x128s", frame, 42) if mine else None
            return (fields[0], fields[1].rstrip(b"\0"), frame[42 + 236 :]) if fields else None

        return self.wait(offer)


class Tcp:
    """A TCP connection of the guest's, with no timers: nothing is lost here."""

    def __init__(self, guest: Guest, peer: bytes, ports: tuple[int, int]) -> None:
        self.guest, self.peer, self.ports = guest, peer, ports
        self.sequence, self.expected = 1000, 0
        self.received = bytearray()
        self.closed = False

    @staticmethod
    def accept(guest: Guest, port: int) -> "Tcp":
        """Wait for a connection to a port of the guest's."""

        def asks(frame: bytes):
            fields = _tcp(frame)
            if fields is None or fields[1] != port or not fields[4] & SYN:
                return None
            return Tcp(guest, frame[26:30], (port, fields[0])), fields[2]

        connection, sequence = guest.wait(asks)
        connection.expected = sequence + 1
        connection.send(b"", SYN | ACK)
        connection.sequence += 1
        return connection

    def connect(self) -> "Tcp":
        self.send(b"", SYN)
        self.sequence += 1

        def answers(frame: bytes):
            fields = _tcp(frame)
            return fields[2] if fields is not None and fields[4] & SYN else None

        self.expected = self.guest.wait(answers) + 1
        self.send(b"")
        return self

    def send(self, data: bytes, flags: int = ACK) -> None:
        header = struct.pack(
            ">HHIIBBHHH", *self.ports, self.sequence, self.expected, 0x50, flags, 60000, 0, 0
        )
        pseudo = ME + self.peer + struct.pack(">HH", TCP, len(header) + len(data))
        total = checksum(pseudo + header + data)
        self.guest.ip(TCP, self.peer, header[:16] + struct.pack(">HH", total, 0) + data)
        self.sequence += len(data)

    def read(self, length: int) -> bytes:
        """Wait for so many bytes in all, or the end of the connection."""

        def data(frame: bytes):
            fields = _tcp(frame)
            if fields is None or fields[2] != self.expected:
                return None
            self.received += fields[5]
            self.expected += len(fields[5])
            if fields[4] & FIN:
                self.expected += 1
                self.closed = True
            if fields[5] or self.closed:
                self.send(b"")
            return True if len(self.received) >= length or self.closed else None

        if len(self.received) < length:
            self.guest.wait(data, 20)
        return bytes(self.received)


def _tcp(frame: bytes) -> tuple[int, int, int, int, int, bytes] | None:
    """Ports, sequence and acknowledgement numbers, flags and data of a segment."""
    if frame[12:14] != b"\x08\0" or frame[23] != TCP:
        return None
    (total,) = struct.unpack_from(">H", frame, 16)
    segment = frame[14 + (frame[14] & 15) * 4 : 14 + total]
    ports = struct.unpack_from(">HHIIBB", segment)
    return (*ports[:4], ports[5], segment[(ports[4] >> 4) * 4 :])
