"""HTIF: commands in tohost, answers in fromhost."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvemu.devices.htif import Htif
from rvemu.errors import RvemuError
from rvemu.memory import Ram

BASE = 0x8000_0000
TOHOST, FROMHOST = BASE + 0x1000, BASE + 0x1040
BLOCK, TEXT = BASE + 0x100, BASE + 0x200
M64 = (1 << 64) - 1


class Bench:
    def __init__(self, fromhost: int | None = FROMHOST) -> None:
        self.ram = Ram(BASE, 0x2000)
        self.exits: list[int] = []
        self.output = bytearray()
        self.input = bytearray()
        self.htif = Htif(
            self.ram,
            TOHOST,
            fromhost,
            on_exit=self.exits.append,
            on_output=self.output.extend,
            read_input=lambda: self.input.pop(0) if self.input else None,
        )

    def word(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, 8), "little")

    def store(self, address: int, value: int, width: int = 8) -> None:
        """A guest's store, as an engine would handle it."""
        offset = self.htif.offset_of(address, width)
        if offset is None:
            self.ram.write(address, value.to_bytes(width, "little"))
        else:
            self.htif.write(offset, width, value)

    def syscall(self, *words: int) -> int:
        for i, word in enumerate([*words, 0, 0, 0, 0, 0, 0, 0, 0][:8]):
            self.store(BLOCK + 8 * i, word & M64)
        self.store(TOHOST, BLOCK)
        assert self.word(FROMHOST) == 1
        self.store(FROMHOST, 0)
        result = self.word(BLOCK)
        return result - (1 << 64) if result >> 63 else result


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(("value", "code"), [(1, 0), (3, 1), (1337 << 1 | 1, 1337), (M64, -1)])
def test_exit(bench, value, code):
    bench.store(TOHOST, value)
    assert bench.exits == [code]
    assert bench.output == b""


def test_exit_in_halves_as_riscv_tests_do(bench):
    bench.store(TOHOST, 7, 4)
    assert bench.exits == [3], "the low half suffices"
    bench.store(TOHOST + 4, 0, 4)
    assert bench.exits == [3], "and the high half adds nothing"
    assert bench.word(TOHOST) == 0


def test_high_half_first(bench):
    bench.store(TOHOST + 4, 0x0101_0000, 4)
    assert bench.output == b""
    bench.store(TOHOST, ord("A"), 4)
    assert bench.output == b"A"
    assert bench.exits == []


def test_console_output(bench):
    for character in b"Aa\0":
        bench.store(TOHOST, 1 << 56 | 1 << 48 | character)
        assert bench.word(TOHOST) == 0, "ready for the next"
    assert bench.output == b"Aa\0"
    assert bench.exits == []
    assert bench.word(FROMHOST) == 0


def test_storing_zero_is_no_command(bench):
    bench.store(TOHOST, 0)
    assert (bench.exits, bench.output, bench.word(FROMHOST)) == ([], b"", 0)


def test_console_input_at_once(bench):
    bench.input += b"x"
    bench.store(TOHOST, 1 << 56)
    assert bench.word(FROMHOST) == 1 << 56 | 0x100 | ord("x")


def test_console_input_later(bench):
    bench.store(TOHOST, 1 << 56)
    bench.htif.poll()
    assert bench.word(FROMHOST) == 0
    bench.input += b"\0y"
    bench.htif.poll()
    assert bench.word(FROMHOST) == 1 << 56 | 0x100
    assert bench.input == b"y", "nothing asked for this one yet"


def test_answers_wait_until_fromhost_is_clear(bench):
    bench.input += b"ab"
    bench.store(TOHOST, 1 << 56)
    bench.store(TOHOST, 1 << 56)
    assert bench.word(FROMHOST) == 1 << 56 | 0x100 | ord("a")
    bench.store(FROMHOST, 0)
    assert bench.word(FROMHOST) == 1 << 56 | 0x100 | ord("b")
    bench.store(FROMHOST, 0)
    assert bench.word(FROMHOST) == 0


def test_polling_finds_fromhost_cleared_by_other_means(bench):
    bench.input += b"ab"
    bench.store(TOHOST, 1 << 56)
    bench.store(TOHOST, 1 << 56)
    bench.ram.write(FROMHOST, bytes(8))
    bench.htif.poll()
    assert bench.word(FROMHOST) == 1 << 56 | 0x100 | ord("b")


def test_write_call(bench):
    bench.ram.write(TEXT, b"hello\n")
    assert bench.syscall(64, 1, TEXT, 6) == 6
    assert bench.syscall(64, 2, TEXT, 2) == 2
    assert bench.syscall(64, 1, TEXT, 0) == 0
    assert bench.output == b"hello\nhe"


def test_write_call_errors(bench):
    assert bench.syscall(64, 5, TEXT, 6) == -errno.EBADF
    assert bench.syscall(64, 1, BASE - 1, 6) == -errno.EFAULT
    assert bench.syscall(64, 1, BASE + 0x1FFF, 2) == -errno.EFAULT
    assert bench.syscall(64, 1, TEXT, M64) == -errno.EFAULT
    assert bench.syscall(64, 1, M64, 2) == -errno.EFAULT
    assert bench.output == b""


def test_long_writes_are_cut():
    bench = Bench()
    bench.ram = bench.htif.ram = Ram(BASE, 0x100_0000)
    assert bench.syscall(64, 1, BASE + 0x2000, 0x80_0000) == 0x1_0000
    assert len(bench.output) == 0x1_0000


def test_unknown_call(bench):
    assert bench.syscall(1234, 1, 2, 3) == -errno.ENOSYS


@pytest.mark.parametrize(("argument", "code"), [(0, 0), (42, 42), (M64, -1), (0xFFFF_FFFE, -2)])
def test_exit_call(bench, argument, code):
    for i, word in enumerate([93, argument]):
        bench.store(BLOCK + 8 * i, word)
    bench.store(TOHOST, BLOCK)
    assert bench.exits == [code]


@pytest.mark.parametrize("pointer", [2, BASE - 8, BASE + 0x1FC2, BASE + 0x2000, (1 << 48) - 2])
def test_call_block_outside_memory(bench, pointer):
    before = bench.ram.read(BASE, 0x1000)
    bench.store(TOHOST, pointer)
    assert bench.word(FROMHOST) == 1, "the guest is not left waiting"
    assert bench.ram.read(BASE, 0x1000) == before


def test_unknown_devices_and_commands_are_ignored(bench):
    for command in (2 << 56, 1 << 56 | 7 << 48, 5 << 48 | 1, 0xFE << 56 | 1):
        bench.store(TOHOST, command)
        assert bench.word(TOHOST) == 0
    assert (bench.exits, bench.output, bench.word(FROMHOST)) == ([], b"", 0)


def test_without_fromhost():
    bench = Bench(fromhost=None)
    bench.input += b"abc"
    assert bench.htif.words == (TOHOST,)
    assert bench.htif.offset_of(FROMHOST, 8) is None
    for _ in range(100):
        bench.store(TOHOST, 1 << 56)
        bench.store(TOHOST, BLOCK)
    assert len(bench.htif.answers) <= 16
    bench.store(TOHOST, 1)
    assert bench.exits == [0]


def test_nobody_types():
    bench = Bench()
    for _ in range(1000):
        bench.store(TOHOST, 1 << 56)
    assert bench.htif.pending_reads <= 16


def test_window(bench):
    htif = bench.htif
    assert htif.words == (TOHOST, FROMHOST)
    assert htif.offset_of(TOHOST + 4, 4) == 4
    assert htif.offset_of(TOHOST + 4, 8) is None
    assert htif.offset_of(FROMHOST, 8) == 8
    assert htif.offset_of(TOHOST - 8, 8) is None
    bench.ram.write(TOHOST, bytes(range(8)))
    bench.ram.write(FROMHOST, bytes(range(8, 16)))
    assert htif.read(0, 8) == 0x0706_0504_0302_0100
    assert htif.read(4, 4) == 0x0706_0504
    assert htif.read(10, 2) == 0x0B0A


@pytest.mark.parametrize("address", [TOHOST + 4, BASE - 8, BASE + 0x2000])
def test_words_must_be_in_memory(address):
    ram = Ram(BASE, 0x2000)
    with pytest.raises(RvemuError, match="tohost"):
        Htif(ram, address, on_exit=print)
    with pytest.raises(RvemuError, match="fromhost"):
        Htif(ram, TOHOST, address, on_exit=print)


def test_reset_forgets(bench):
    bench.store(TOHOST, 1 << 56)
    bench.htif.reset()
    bench.input += b"x"
    bench.htif.poll()
    assert bench.word(FROMHOST) == 0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, M64)), max_size=20))
def test_no_command_harms_the_host(commands):
    bench = Bench()
    bench.input += b"abc"
    for where, value in commands:
        bench.store((TOHOST, FROMHOST)[where], value)
