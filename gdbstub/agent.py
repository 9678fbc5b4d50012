"""Agent expressions: the bytecode in which GDB sends breakpoint conditions and commands.

Source: GDB manual, "The GDB Agent Expression Mechanism". The evaluator is total: whatever the
bytes are, it ends within `MAX_STEPS` steps and `MAX_STACK` values, with a value or an AgentError.
Values are 64 bits wide. Floating point, tracing and trace state variables are not supported.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from gdbstub.errors import TargetError
from gdbstub.format import FormatError, c_format
from gdbstub.target import Point, Target, ThreadId

MAX_STEPS = 10_000
MAX_STACK = 256

_MASK = (1 << 64) - 1


class AgentError(Exception):
    """The expression is malformed, or asks for something that cannot be had."""


class Environment(Protocol):
    """What an expression can see of the thread that it is evaluated for."""

    @property
    def byte_order(self) -> Literal["little", "big"]:
        """Of `memory`."""

    def register(self, number: int) -> int:
        """The value of a register, unsigned. May raise TargetError."""

    def memory(self, address: int, length: int) -> bytes:
        """Up to `length` bytes at `address`. May raise TargetError."""

    def print(self, text: bytes) -> None:
        """Output of `printf` (dprintf)."""


class TargetEnvironment:
    """The environment of one thread of a target; `write` receives what `printf` prints."""

    def __init__(self, target: Target, thread: ThreadId, write: Callable[[bytes], None]) -> None:
        self._target = target
        self._thread = thread
        self._write = write

    @property
    def byte_order(self) -> Literal["little", "big"]:
        return self._target.byte_order

    def register(self, number: int) -> int:
        value = self._target.read_register(self._thread, number)
        if value is None:
            raise TargetError(f"register {number} has no value")
        return int.from_bytes(value, self._target.byte_order)

    def memory(self, address: int, length: int) -> bytes:
        return self._target.read_memory(self._thread, address, length)

    def print(self, text: bytes) -> None:
        self._write(text)


def hit(point: Point, environment: Environment) -> bool:
    """Whether a thread that met `point` is to stop; runs the point's commands.

    It is as gdbserver has it: nothing happens unless a condition holds (or there are none); then
    the commands are run and the thread goes on, or without commands it stops. An expression that
    fails stops the thread, so that nothing is missed silently. (gdb itself has a thread go on from
    its dprintf: so what failed is printed.)
    """
    try:
        if point.conditions and not any(
            evaluate(condition, environment) for condition in point.conditions
        ):
            return False
        for command in point.commands:
            evaluate(command, environment)
    except (AgentError, TargetError) as error:
        if point.commands:
            environment.print(f"{point.address:#x}: {error}\n".encode("utf-8", "replace"))
        return True
    return not point.commands


def evaluate(code: bytes, environment: Environment) -> int:
    """The value of an expression, 0 to 2**64-1; 0 if it leaves none. Raises AgentError.

    TargetError of the environment passes through.
    """
    stack: list[int] = []
    pc = 0
    try:
        for _ in range(MAX_STEPS):
            opcode = code[pc]
            pc += 1
            if opcode == _END:
                return stack[-1] if stack else 0
            if binary := _BINARY.get(opcode):
                right = stack.pop()
                stack[-1] = binary(stack[-1], right) & _MASK
            elif width := _CONSTANTS.get(opcode):
                stack.append(int.from_bytes(_operand(code, pc, width), "big"))
                pc += width
            elif width := _REFERENCES.get(opcode):
                read = environment.memory(stack[-1], width)
                if len(read) < width:
                    raise AgentError(f"memory at {stack[-1]:#x} ends early")
                stack[-1] = int.from_bytes(read, environment.byte_order)
            elif unary := _UNARY.get(opcode):
                stack[-1] = unary(stack[-1]) & _MASK
            elif opcode in (_EXT, _ZERO_EXT):
                stack[-1] = _extend(stack[-1], code[pc], opcode == _EXT)
                pc += 1
            elif opcode == _REG:
                number = int.from_bytes(_operand(code, pc, 2), "big")
                stack.append(environment.register(number) & _MASK)
                pc += 2
            elif opcode in (_GOTO, _IF_GOTO):
                target = int.from_bytes(_operand(code, pc, 2), "big")
                pc = target if opcode == _GOTO or stack.pop() else pc + 2
            elif opcode == _PRINTF:
                pc = _printf(code, pc, stack, environment)
            elif opcode == _PICK:
                stack.append(stack[-1 - code[pc]])
                pc += 1
            elif shuffle := _SHUFFLES.get(opcode):
                count, order = shuffle
                taken = [stack.pop() for _ in range(count)]
                stack += [taken[index] for index in order]
            else:
                raise AgentError(f"bytecode {opcode:#04x} at {pc - 1} is not supported")
            if len(stack) > MAX_STACK:
                raise AgentError("the stack of an agent expression is full")
    except IndexError:
        raise AgentError("an agent expression ends early, or its stack is empty") from None
    raise AgentError(f"an agent expression does not end within {MAX_STEPS} steps")


def _operand(code: bytes, pc: int, width: int) -> bytes:
    if pc + width > len(code):
        raise AgentError("an agent expression ends within an operand")
    return code[pc : pc + width]


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _extend(value: int, bits: int, signed: bool) -> int:
    if not 0 < bits < 64:
        return value
    value &= (1 << bits) - 1
    if signed and value >> (bits - 1):
        value -= 1 << bits
    return value & _MASK


def _divide(left: int, right: int) -> int:
    """Truncating division, as C has it."""
    if right == 0:
        raise AgentError("division by zero in an agent expression")
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    return left - right * _divide(left, right)


def _printf(code: bytes, pc: int, stack: list[int], environment: Environment) -> int:
    """The `printf` bytecode: the pc after it."""
    header = _operand(code, pc, 3)
    count, length = header[0], int.from_bytes(header[1:], "big")
    text = _operand(code, pc + 3, length)
    if text[-1:] != b"\0":
        raise AgentError("a printf format lacks its final zero")
    function, _channel = stack.pop(), stack.pop()
    if function:
        raise AgentError("printf through a function of the program is not supported")
    arguments = [stack.pop() for _ in range(count)]
    try:
        environment.print(c_format(text[:-1], arguments, environment.memory))
    except FormatError as error:
        raise AgentError(str(error)) from None
    return pc + 3 + length


_EXT, _REG, _END, _ZERO_EXT, _PICK, _PRINTF = 0x16, 0x26, 0x27, 0x2A, 0x32, 0x34
_IF_GOTO, _GOTO = 0x20, 0x21

_CONSTANTS = {0x22: 1, 0x23: 2, 0x24: 4, 0x25: 8}
_REFERENCES = {0x17: 1, 0x18: 2, 0x19: 4, 0x1A: 8}

_UNARY: dict[int, Callable[[int], int]] = {
    0x0E: lambda a: a == 0,  # log_not
    0x12: lambda a: ~a,  # bit_not
}

_BINARY: dict[int, Callable[[int, int], int]] = {
    0x02: lambda a, b: a + b,
    0x03: lambda a, b: a - b,
    0x04: lambda a, b: a * b,
    0x05: lambda a, b: _divide(_signed(a), _signed(b)),
    0x06: lambda a, b: _divide(a, b),
    0x07: lambda a, b: _remainder(_signed(a), _signed(b)),
    0x08: lambda a, b: _remainder(a, b),
    0x09: lambda a, b: a << min(b, 64),
    0x0A: lambda a, b: _signed(a) >> min(b, 64),
    0x0B: lambda a, b: a >> min(b, 64),
    0x0F: lambda a, b: a & b,
    0x10: lambda a, b: a | b,
    0x11: lambda a, b: a ^ b,
    0x13: lambda a, b: a == b,
    0x14: lambda a, b: _signed(a) < _signed(b),
    0x15: lambda a, b: a < b,
}

# How many values are popped, and which of them (0: the former top) are pushed in which order.
_SHUFFLES: dict[int, tuple[int, tuple[int, ...]]] = {
    0x28: (1, (0, 0)),  # dup
    0x29: (1, ()),  # pop
    0x2B: (2, (0, 1)),  # swap
    0x33: (3, (0, 2, 1)),  # rot: a b c => c a b
}
