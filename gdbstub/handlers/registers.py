"""`g`, `G`, `p`, `P`: registers of the selected thread (GDB manual, "Packets")."""

from binascii import hexlify

from gdbstub import fields
from gdbstub.errors import PacketError
from gdbstub.state import State

_MAX_NUMBER = 0xFFFF_FFFF


def read_all(state: State, _rest: bytes) -> bytes:
    """`g`."""
    values = state.target.read_registers(state.current())
    return hexlify(values[: state.packet_size // 2])


def write_all(state: State, rest: bytes) -> bytes:
    """`G XX...`."""
    values = fields.data(rest)
    if not values:
        raise PacketError("no register values")
    state.target.write_registers(state.current(), values)
    return b"OK"


def read_one(state: State, rest: bytes) -> bytes:
    """`p n`; a register without a value reads as `xx`."""
    value = state.target.read_register(state.current(), _number(rest))
    return b"xx" if value is None else hexlify(value)


def write_one(state: State, rest: bytes) -> bytes:
    """`P n=r`."""
    number, value = fields.split(rest, b"=")
    state.target.write_register(state.current(), _number(number), fields.data(value))
    return b"OK"


def _number(text: bytes) -> int:
    number = fields.number(text)
    if number > _MAX_NUMBER:
        raise PacketError(f"{number:#x} is no register number")
    return number
