"""The host's end of the guest's network card: `--netdev`, in QEMU's spelling.

- `user`: a network of its own for the guest, made by libslirp (`rvemu.slirp`).
- `stream`: frames over a Unix or TCP socket, as QEMU's `-netdev stream`; passt speaks that.
- `tap`: a TAP interface of the host's, where that is permitted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from pathlib import Path
from typing import Protocol

from rvemu.devices.virtio.net import DEFAULT_MAC, DEFAULT_MTU, RECEIVE, Net
from rvemu.keyvalues import Options
from rvemu.links import StreamLink, TapLink
from rvemu.slirp import Forward, Slirp, SlirpOptions

_MIN_MTU, _MAX_MTU = 576, 65521
_LOOPBACK = IPv4Address("127.0.0.1")


class Link(Protocol):
    """A backend of the network card's that the host side can wait for."""

    def send(self, frame: bytes) -> None:
        """Take a frame from the guest."""

    def receive(self) -> bytes | None:
        """The next frame for the guest; None if there is none."""

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """See `rvemu.outside.Outside`."""

    def timeout(self) -> float | None:
        """See `rvemu.outside.Outside`."""

    def poll(self) -> None:
        """See `rvemu.outside.Outside`."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class NetdevOptions:
    """What `--netdev` says."""

    #: For a network of libslirp's.
    user: SlirpOptions | None = None
    #: For a socket: a path, or host and port.
    stream: str | tuple[str, int] | None = None
    #: For a TAP interface: its name.
    tap: str | None = None
    mac: bytes = DEFAULT_MAC
    mtu: int = DEFAULT_MTU

    @staticmethod
    def parse(text: str, number: int = 0) -> NetdevOptions:
        """Options such as `user,hostfwd=tcp::2222-:22`. number: which network of the machine's it
        is, from 0; their cards have different addresses. Raises `RvemuError`."""
        options = Options.parse("--netdev", text, first="type")
        kind = options.take("type")
        options.take("id")
        mac = _mac(options, number)
        mtu = _number(options, "mtu", DEFAULT_MTU, _MIN_MTU, _MAX_MTU)
        match kind:
            case "user":
                parsed = NetdevOptions(user=_user(options, mtu), mac=mac, mtu=mtu)
            case "stream":
                parsed = NetdevOptions(stream=_stream(options), mac=mac, mtu=mtu)
            case "tap":
                for key in ("script", "downscript"):
                    if options.take(key, "no") != "no":
                        raise options.error(f"{key} is not supported", f"{key}=no")
                parsed = NetdevOptions(tap=options.take("ifname", "tap0"), mac=mac, mtu=mtu)
            case _:
                raise options.error(f"there is no network '{kind}'", "user, stream or tap")
        options.finish()
        return parsed


class Network:
    """A network card and its link, for a machine: an `Outside`. Raises `RvemuError` where the
    link cannot be had."""

    def __init__(self, options: NetdevOptions) -> None:
        self.link = _open(options)
        self.device = Net(self.link, options.mac, options.mtu)

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """See `rvemu.outside.Outside`."""
        return self.link.descriptors()

    def timeout(self) -> float | None:
        """See `rvemu.outside.Outside`."""
        return self.link.timeout()

    def poll(self) -> None:
        """See `rvemu.outside.Outside`."""
        self.link.poll()
        self.device.wake(RECEIVE)

    def close(self) -> None:
        """End it."""
        self.link.close()


def _open(options: NetdevOptions) -> Link:
    if options.user is not None:
        return Slirp(options.user)
    if options.stream is not None:
        return StreamLink.connect(options.stream)
    assert options.tap is not None
    return TapLink(options.tap)


def _user(options: Options, mtu: int) -> SlirpOptions:
    text = options.take("net", "10.0.2.0/24") or ""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise options.error(f"net={text} is no network", "net=10.0.2.0/24") from None
    if network.num_addresses < 32:
        raise options.error(f"net={text} is too small", "a network of 32 addresses or more")
    settings = SlirpOptions(
        network,
        restricted=options.switch("restrict"),
        hostname=options.take("hostname"),
        mtu=mtu,
        tftp=options.take("tftp"),
        bootfile=options.take("bootfile"),
    )
    if settings.tftp is not None and not Path(settings.tftp).is_dir():
        raise options.error(f"tftp={settings.tftp} is no folder", "tftp=FOLDER")
    forwards = tuple(
        _forward(options, text, settings.host_number(15)) for text in options.take_all("hostfwd")
    )
    return replace(settings, forwards=forwards)


def _forward(options: Options, text: str, guest: IPv4Address) -> Forward:
    """[tcp|udp]:[host address]:port-[guest address]:port"""
    matched = re.fullmatch(r"(tcp|udp)?:([\d.]*):(\d{1,5})-([\d.]*):(\d{1,5})", text)
    try:
        if matched is None:
            raise ValueError
        kind, host, host_port, guest_text, guest_port = matched.groups()
        ports = int(host_port), int(guest_port)
        if not 0 < ports[0] < 1 << 16 or not 0 < ports[1] < 1 << 16:
            raise ValueError
        return Forward(
            kind == "udp",
            IPv4Address(host) if host else _LOOPBACK,
            ports[0],
            IPv4Address(guest_text) if guest_text else guest,
            ports[1],
        )
    except ValueError:
        raise options.error(
            f"hostfwd={text} is not understood", "hostfwd=tcp:127.0.0.1:2222-:22"
        ) from None


def _stream(options: Options) -> str | tuple[str, int]:
    if options.switch("server"):
        raise options.error("only the client's side is supported", "server=off")
    kind = options.take("addr.type")
    if kind == "unix":
        path = options.take("addr.path")
        if path:
            return path
    elif kind == "inet":
        host = options.take("addr.host", "127.0.0.1") or ""
        port = _number(options, "addr.port", 0, 0, 65535)
        if port:
            return host, port
    raise options.error("it says no address", "stream,addr.type=unix,addr.path=SOCKET")


def _number(options: Options, key: str, default: int, low: int, high: int) -> int:
    text = options.take(key, str(default)) or ""
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise options.error(f"{key}={text} is not a number from {low} to {high}", f"{key}={high}")
    return int(text)


def _mac(options: Options, number: int) -> bytes:
    default = DEFAULT_MAC[:5] + bytes((DEFAULT_MAC[5] + number & 0xFF,))
    text = options.take("mac", default.hex(":")) or ""
    matched = re.fullmatch(r"[0-9a-fA-F]{2}([:-])(?:[0-9a-fA-F]{2}\1){4}[0-9a-fA-F]{2}", text)
    mac = bytes.fromhex(text.replace(":", "").replace("-", "")) if matched else b"\1"
    if mac[0] & 1:
        raise options.error(f"mac={text} is no address of a card", "mac=52:54:00:12:34:56")
    return mac


__all__: Sequence[str] = ["NetdevOptions", "Network"]
