"""User-mode networking by libslirp, the library that gives it to QEMU, through ctypes.

The library is a TCP/IP stack that talks Ethernet with the guest and makes connections with the
host's own sockets: no privileges, no configuration of the host. It reads and writes only packets
that are handed to it, never guest memory.

Source: libslirp's public header, `SlirpConfig` version 1 (libslirp 4.0 and later).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import select
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from rvemu.errors import RvemuError

_NAMES = ("libslirp.so.0", "libslirp.0.dylib", "libslirp-0.dll")
_SONAME = "slirp"

# libslirp's own event bits.
_IN, _OUT, _PRIORITY, _ERROR, _HANG_UP = 1, 2, 4, 8, 16
_EVENTS = (
    (_IN, select.POLLIN),
    (_OUT, select.POLLOUT),
    (_PRIORITY, select.POLLPRI),
    (_ERROR, select.POLLERR),
    (_HANG_UP, select.POLLHUP),
)
_DEFAULT_NETWORK = IPv4Network("10.0.2.0/24")
_FOREVER = 0xFFFF_FFFF
#: Frames that wait for the guest; more are lost, as on a wire.
_MAX_WAITING = 4096

_SEND = ctypes.CFUNCTYPE(ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
_SAY = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
_NOW = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)
_TIMER_NEW = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_TIMER_FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_TIMER_SET = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_TIMER_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_DESCRIPTOR = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)
_KICK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_ADD_POLL = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_GET_EVENTS = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)


class _Address(ctypes.Structure):
    """struct in_addr"""

    _fields_ = [("s_addr", ctypes.c_uint32)]  # in network order, as it lies in memory

    @staticmethod
    def of(address: IPv4Address) -> _Address:
        return _Address(int.from_bytes(address.packed, sys.byteorder))


class _Address6(ctypes.Structure):
    """struct in6_addr"""

    _fields_ = [("s6_addr32", ctypes.c_uint32 * 4)]


class _Config(ctypes.Structure):
    """SlirpConfig, version 1"""

    _fields_ = [
        ("version", ctypes.c_uint32),
        ("restricted", ctypes.c_int),
        ("in_enabled", ctypes.c_bool),
        ("vnetwork", _Address),
        ("vnetmask", _Address),
        ("vhost", _Address),
        ("in6_enabled", ctypes.c_bool),
        ("vprefix_addr6", _Address6),
        ("vprefix_len", ctypes.c_uint8),
        ("vhost6", _Address6),
        ("vhostname", ctypes.c_char_p),
        ("tftp_server_name", ctypes.c_char_p),
        ("tftp_path", ctypes.c_char_p),
        ("bootfile", ctypes.c_char_p),
        ("vdhcp_start", _Address),
        ("vnameserver", _Address),
        ("vnameserver6", _Address6),
        ("vdnssearch", ctypes.c_void_p),
        ("vdomainname", ctypes.c_char_p),
        ("if_mtu", ctypes.c_size_t),
        ("if_mru", ctypes.c_size_t),
        ("disable_host_loopback", ctypes.c_bool),
        ("enable_emu", ctypes.c_bool),
    ]


class _Callbacks(ctypes.Structure):
    """SlirpCb, as of version 1"""

    _fields_ = [
        ("send_packet", _SEND),
        ("guest_error", _SAY),
        ("clock_get_ns", _NOW),
        ("timer_new", _TIMER_NEW),
        ("timer_free", _TIMER_FREE),
        ("timer_mod", _TIMER_SET),
        ("register_poll_fd", _DESCRIPTOR),
        ("unregister_poll_fd", _DESCRIPTOR),
        ("notify", _KICK),
    ]


@dataclass(frozen=True)
class Forward:
    """A port of the host's that leads to one of the guest's."""

    udp: bool
    host: IPv4Address
    host_port: int
    guest: IPv4Address
    guest_port: int


@dataclass(frozen=True)
class SlirpOptions:
    """The guest's network, as QEMU has it by default: in 10.0.2.0/24, the host is .2, the name
    server .3, and DHCP gives .15 and up. An MTU in bytes."""

    network: IPv4Network = _DEFAULT_NETWORK
    forwards: Sequence[Forward] = field(default_factory=tuple)
    #: Cut the guest off from everything but what is forwarded to it.
    restricted: bool = False
    hostname: str | None = None
    mtu: int = 1500
    #: A folder whose files the guest may read by TFTP, and the one that DHCP says is to be booted.
    tftp: str | None = None
    bootfile: str | None = None

    def host_number(self, number: int) -> IPv4Address:
        """An address in the guest's network."""
        return self.network.network_address + number


class Slirp:
    """A network made by libslirp: a backend for the guest's card, and an `Outside`.

    Raises `RvemuError` where the library is not installed, or a port cannot be forwarded.
    """

    def __init__(self, options: SlirpOptions) -> None:
        self._library = _find_library()
        self._frames: deque[bytes] = deque()
        self._timers: dict[int, _Timer] = {}
        self._polled: list[tuple[int, int]] = []  # what the library wants to know of descriptors
        self._events: list[int] = []
        #: Frames that were lost because the guest did not take them.
        self.dropped = 0
        self._callbacks = self._make_callbacks()
        self._add_poll = _ADD_POLL(self._wants)
        self._get_events = _GET_EVENTS(lambda number, _: self._events[number])
        config = _Config(
            version=1,
            restricted=options.restricted,
            in_enabled=True,
            vnetwork=_Address.of(options.network.network_address),
            vnetmask=_Address.of(options.network.netmask),
            vhost=_Address.of(options.host_number(2)),
            vnameserver=_Address.of(options.host_number(3)),
            vdhcp_start=_Address.of(options.host_number(15)),
            vhostname=_text(options.hostname),
            tftp_path=_text(options.tftp),
            bootfile=_text(options.bootfile),
            if_mtu=options.mtu,
            if_mru=options.mtu,
        )
        self._slirp = self._library.slirp_new(
            ctypes.byref(config), ctypes.byref(self._callbacks), None
        )
        if not self._slirp:
            raise RvemuError("--netdev user: libslirp refuses to start")
        try:
            for forward in options.forwards:
                self._forward(forward)
        except RvemuError:
            self.close()
            raise

    def _forward(self, forward: Forward) -> None:
        ctypes.set_errno(0)
        done = self._library.slirp_add_hostfwd(
            self._slirp,
            forward.udp,
            _Address.of(forward.host),
            forward.host_port,
            _Address.of(forward.guest),
            forward.guest_port,
        )
        if done < 0:
            reason = os.strerror(ctypes.get_errno()) if ctypes.get_errno() else "refused"
            raise RvemuError(
                f"--netdev user: cannot listen on {forward.host}:{forward.host_port} for "
                f"hostfwd: {reason}"
            )

    def close(self) -> None:
        """End all connections."""
        if self._slirp:
            self._library.slirp_cleanup(self._slirp)
            self._slirp = None

    # --- The guest's card --------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Take a frame from the guest."""
        if self._slirp:
            self._library.slirp_input(self._slirp, frame, len(frame))

    def receive(self) -> bytes | None:
        """The next frame for the guest."""
        return self._frames.popleft() if self._frames else None

    # --- The host's sockets ------------------------------------------------------------------

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """Sockets to wait for."""
        self._fill()
        return [
            (descriptor, sum(theirs for ours, theirs in _EVENTS if wanted & ours))
            for descriptor, wanted in self._polled
        ]

    def timeout(self) -> float | None:
        """Seconds until a timer is due."""
        limit = self._fill() / 1000
        now = time.monotonic() * 1000
        for timer in self._timers.values():
            if timer.due is not None:
                limit = min(limit, max(timer.due - now, 0) / 1000)
        return None if limit >= _FOREVER / 1000 else limit

    def poll(self) -> None:
        """Take what the sockets have, and run timers."""
        if not self._slirp:
            return
        wanted = self.descriptors()
        poller = select.poll()
        merged: dict[int, int] = {}
        for descriptor, events in wanted:
            merged[descriptor] = merged.get(descriptor, 0) | events
        for descriptor, events in merged.items():
            poller.register(descriptor, events)
        ready = dict(poller.poll(0))
        self._events = [
            sum(
                ours
                for ours, theirs in _EVENTS
                if ready.get(descriptor, 0) & theirs and (wish & ours or ours >= _ERROR)
            )
            for descriptor, wish in self._polled
        ]
        self._library.slirp_pollfds_poll(self._slirp, 0, self._get_events, None)
        now = time.monotonic() * 1000
        for timer in list(self._timers.values()):
            if timer.due is not None and timer.due <= now:
                timer.due = None
                timer.call(timer.opaque)

    def _fill(self) -> int:
        """Ask the library what it waits for; for how many milliseconds at most."""
        self._polled.clear()
        timeout = ctypes.c_uint32(_FOREVER)
        if self._slirp:
            self._library.slirp_pollfds_fill(
                self._slirp, ctypes.byref(timeout), self._add_poll, None
            )
        return int(timeout.value)

    # --- What the library calls --------------------------------------------------------------

    def _make_callbacks(self) -> _Callbacks:
        return _Callbacks(
            send_packet=_SEND(self._deliver),
            guest_error=_SAY(_ignore),  # what a guest does wrong is its own affair
            clock_get_ns=_NOW(lambda _: time.monotonic_ns()),
            timer_new=_TIMER_NEW(self._new_timer),
            timer_free=_TIMER_FREE(lambda timer, _: self._free_timer(timer)),
            timer_mod=_TIMER_SET(self._set_timer),
            register_poll_fd=_DESCRIPTOR(_ignore),
            unregister_poll_fd=_DESCRIPTOR(_ignore),
            notify=_KICK(_ignore),
        )

    def _deliver(self, data: int, length: int, opaque: object) -> int:
        del opaque
        if len(self._frames) < _MAX_WAITING:
            self._frames.append(ctypes.string_at(data, length))
        else:
            self.dropped += 1
        return length

    def _wants(self, descriptor: int, events: int, opaque: object) -> int:
        del opaque
        self._polled.append((descriptor, events))
        return len(self._polled) - 1

    def _new_timer(self, call: int, opaque: int | None, own: object) -> int:
        del own
        number = max(self._timers, default=0) + 1
        self._timers[number] = _Timer(_TIMER_CALL(call), opaque)
        return number

    def _free_timer(self, number: int) -> None:
        self._timers.pop(number, None)

    def _set_timer(self, number: int, due: int, opaque: object) -> None:
        del opaque
        if number in self._timers:
            self._timers[number].due = due


def _ignore(*_: object) -> None:
    """Nothing to do."""


@dataclass
class _Timer:
    call: Any
    opaque: int | None
    due: int | None = None  # milliseconds of the monotonic clock


def _text(text: str | None) -> bytes | None:
    """A C string, or none."""
    return os.fsencode(text) if text else None


@cache
def _find_library() -> Any:
    """libslirp, with the types of what is used of it."""
    names = [*_NAMES, ctypes.util.find_library(_SONAME)]
    for name in names:
        if name is None:
            continue
        try:
            library = ctypes.CDLL(name, use_errno=True)
        except OSError:
            continue
        break
    else:
        raise RvemuError(
            "--netdev user needs libslirp, which is not installed: its package is libslirp0 in "
            "Debian and Ubuntu, libslirp in Fedora, Arch and Homebrew"
        )
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ("slirp_new", pointer, [pointer, pointer, pointer]),
        ("slirp_cleanup", None, [pointer]),
        ("slirp_input", None, [pointer, ctypes.c_char_p, ctypes.c_int]),
        ("slirp_pollfds_fill", None, [pointer, pointer, _ADD_POLL, pointer]),
        ("slirp_pollfds_poll", None, [pointer, ctypes.c_int, _GET_EVENTS, pointer]),
        (
            "slirp_add_hostfwd",
            ctypes.c_int,
            [pointer, ctypes.c_int, _Address, ctypes.c_int, _Address, ctypes.c_int],
        ),
    ):
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
