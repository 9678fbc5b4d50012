"""The console between a machine and file descriptors: pipes here, terminals in tests/cli."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu import Machine, Reason
from rvemu.console import Command, Console, EscapeParser
from rvemu.errors import RvemuError
from tests.small_programs import (
    SPIN,
    WFI,
    echo_guest,
    elf,
    exit_with,
    la,
    op,
    put,
    sleepy_echo_guest,
)
from tests.test_machine import machine_with

# --- Ctrl-A --------------------------------------------------------------------------------------


def test_escapes() -> None:
    parser = EscapeParser()
    assert parser.feed(b"a\x01xb\x01cc\x01h\x01\x01d\x01?") == [
        *(b"a", Command.QUIT, b"b", Command.MONITOR, b"c", Command.HELP, b"\x01d", Command.HELP)
    ]
    assert parser.feed(b"\x01") == []
    assert parser.feed(b"X\x03\x04") == [Command.QUIT, b"\x03\x04"]


def test_an_unknown_escape_is_swallowed() -> None:
    assert EscapeParser().feed(b"a\x01zb") == [b"ab"]


@given(st.lists(st.binary(max_size=6), max_size=6))
def test_what_is_no_escape_goes_through(parts: list[bytes]) -> None:
    parser = EscapeParser()
    clean = [part.replace(b"\x01", b"") for part in parts]
    assert b"".join(x for part in clean for x in parser.feed(part)) == b"".join(clean)


@given(st.binary(max_size=30), st.integers(0, 30))
def test_escapes_may_be_cut_anywhere(data: bytes, at: int) -> None:
    def joined(*parts: bytes) -> list[object]:
        parser = EscapeParser()
        found: list[object] = []
        for part in parts:
            for item in parser.feed(part):
                if isinstance(item, bytes) and found and isinstance(found[-1], bytes):
                    found[-1] += item
                else:
                    found.append(item)
        return found

    assert joined(data[:at], data[at:]) == joined(data)


# --- Pipes ---------------------------------------------------------------------------------------


class Pipes:
    """The other ends of a console's pipes."""

    def __init__(self) -> None:
        self.source, self.input = os.pipe()
        self.output, self.sink = os.pipe()
        self._open = {self.source, self.input, self.output, self.sink}

    def write(self, data: bytes) -> None:
        os.write(self.input, data)

    def read(self) -> bytes:
        os.set_blocking(self.output, False)
        try:
            return os.read(self.output, 1 << 16)
        except BlockingIOError:
            return b""

    def close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.discard(descriptor)
            os.close(descriptor)

    def close_all(self) -> None:
        for descriptor in list(self._open):
            self.close(descriptor)


@pytest.fixture
def pipes() -> Iterator[Pipes]:
    found = Pipes()
    yield found
    found.close_all()


def joined(engine: str, code: bytes, pipes: Pipes) -> tuple[Machine, Console]:
    machine = machine_with(engine, code)
    return machine, Console(machine, pipes.source, pipes.sink)


TEXT = bytes(range(1, 0x71)) * 3 + b"q"


def test_all_input_arrives_in_order(engine: str, pipes: Pipes) -> None:
    machine, _ = joined(engine, echo_guest(), pipes)
    pipes.write(TEXT)
    pipes.close(pipes.input)
    assert machine.run().code == 0
    # The guest ends at the first `q`.
    assert pipes.read() == TEXT[: TEXT.index(b"q") + 1]


def test_input_outlives_a_driver_that_clears_the_fifo(engine: str, pipes: Pipes) -> None:
    waste = op("addi", rd="t1", rs1="zero", imm=7)
    init = put("hello\n") + waste + op("sb", rs1="t0", rs2="t1", imm=2)
    machine, _ = joined(engine, echo_guest(init), pipes)
    pipes.write(b"abcdefghijklmnopqrstuq")
    machine.run()
    assert pipes.read() == b"hello\nabcdefghijklmnopq"


def test_a_long_paste_waits_for_the_guest(pipes: Pipes) -> None:
    """On a terminal, which is read while the guest takes nothing: Ctrl-A x may be what is typed."""
    machine = machine_with("native", elf(SPIN))
    commands: list[Command] = []
    console = Console(
        machine, pipes.source, pipes.sink, interactive=True, on_command=commands.append
    )
    pasted = bytes(range(0x20, 0x70)) * 1000
    for start in range(0, len(pasted), 4000):
        pipes.write(pasted[start : start + 4000])
        machine.run(1_000_000)
    pipes.write(b"\x01x")
    machine.run(1_000_000)
    assert commands == [Command.QUIT]
    taken = b""
    uart = machine.board.uart
    while uart.received:
        taken += uart.received.pop(0).to_bytes()
        console.poll()
    assert taken == pasted


def test_a_guest_that_sleeps_is_woken(engine: str, pipes: Pipes) -> None:
    machine, _ = joined(engine, sleepy_echo_guest(), pipes)
    pipes.write(b"some text, and q")
    outcome = machine.run()
    assert (outcome.reason, pipes.read()) == (Reason.EXITED, b"some text, and q")


def test_after_the_end_of_input_a_sleeping_guest_is_idle(engine: str, pipes: Pipes) -> None:
    machine, console = joined(engine, sleepy_echo_guest(), pipes)
    pipes.write(b"ab")
    pipes.close(pipes.input)
    outcome = machine.run()
    assert (outcome.reason, pipes.read(), console.open) == (Reason.IDLE, b"ab", False)
    assert "MEIE" in outcome.detail


def test_it_blocks_while_input_may_come(engine: str, pipes: Pipes) -> None:
    machine, console = joined(engine, sleepy_echo_guest(), pipes)
    asked: list[float | None] = []

    def select_instead(sources: list[int], *rest: object) -> tuple[list[int], list[int], list[int]]:
        timeout = rest[-1]
        if timeout is None:
            assert console.blocking
            asked.append(None)
            pipes.write(b"q")
        return (sources if asked else []), [], []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rvemu.console.select.select", select_instead)
        assert machine.run().reason is Reason.EXITED
    assert asked == [None]


def test_output_is_not_changed(engine: str, pipes: Pipes) -> None:
    text = "".join(map(chr, range(128)))
    machine, _ = joined(engine, put(text) + exit_with(7), pipes)
    assert machine.run().code == 7
    assert pipes.read() == text.encode()


def test_output_is_there_before_it_blocks(engine: str, pipes: Pipes) -> None:
    machine, console = joined(engine, put("prompt> ") + WFI + SPIN, pipes)
    seen: list[bytes] = []

    def idle(_: int | None) -> int | None:
        seen.append(pipes.read())
        return None

    machine.hooks.idle = idle
    machine.run()
    assert seen == [b"prompt> "]
    console.detach()
    assert (machine.output, machine.hooks.idle) == (None, None)


def test_a_reader_that_has_left(engine: str, pipes: Pipes) -> None:
    machine, _ = joined(engine, put("x") + exit_with(0), pipes)
    pipes.close(pipes.output)
    with pytest.raises(BrokenPipeError):
        machine.run()


def test_a_full_disk(engine: str) -> None:
    machine = machine_with(engine, put("x") + exit_with(0))
    sink = os.open("/dev/full", os.O_WRONLY)
    try:
        Console(machine, None, sink)
        with pytest.raises(RvemuError, match="cannot write the guest's output: No space"):
            machine.run()
    finally:
        os.close(sink)


def test_a_pipe_that_is_not_ready(engine: str, pipes: Pipes) -> None:
    os.set_blocking(pipes.sink, False)
    machine, console = joined(engine, exit_with(0), pipes)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(pipes.sink, b"." * 4096)
    taken: list[bytes] = []

    def select_instead(*_: object) -> tuple[list[int], list[int], list[int]]:
        taken.append(pipes.read())
        return [], [pipes.sink], []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rvemu.console.select.select", select_instead)
        console.write(b"end")
    assert taken
    assert (b"".join(taken) + pipes.read()).endswith(b".end")
    del machine


def test_htif_console(engine: str, pipes: Pipes) -> None:
    """A guest that reads characters by HTIF, and sends them back."""
    read = la("s0", 0, 0x400) + la("s1", 8, 0x440)
    loop = op("addi", rd="t0", rs1="zero", imm=1) + op("slli", rd="t0", rs1="t0", shamt=56)
    loop += op("sd", rs1="s0", rs2="t0", imm=0)  # tohost: read
    loop += op("ld", rd="a0", rs1="s1", imm=0) + op("beq", rs1="a0", rs2="zero", imm=-4)
    loop += op("sd", rs1="s1", rs2="zero", imm=0) + op("andi", rd="a0", rs1="a0", imm=255)
    loop += op("addi", rd="t0", rs1="zero", imm=257) + op("slli", rd="t0", rs1="t0", shamt=48)
    loop += op("or", rd="t0", rs1="t0", rs2="a0") + op("sd", rs1="s0", rs2="t0", imm=0)
    loop += op("addi", rd="t1", rs1="zero", imm=ord("q"))
    code = read + loop + op("bne", rs1="a0", rs2="t1", imm=-len(loop)) + exit_with(0)
    machine = Machine(engine=engine, memory=1 << 20)
    machine.load(elf(code, tohost=0x400, fromhost=0x440))
    Console(machine, pipes.source, pipes.sink)
    pipes.write(b"word q")
    assert machine.run().reason is Reason.EXITED
    assert pipes.read() == b"word q"
