"""What a guest did last: its run done again, which is the same bit for bit, with single steps near
the end."""

from rvemu.hart.exceptions import FETCH
from rvemu.hart.registers import INTEGER_REGISTERS
from rvemu.harts import HartView
from rvemu.isa.disassembler import disassemble
from rvemu.lang import M64
from rvemu.machine import Machine, Outcome, Reason


def where(machine: Machine, address: int) -> str:
    """An address of the guest, with its name: `0x80000040 <write_tohost+0x4>`."""
    found = machine.image.lookup(address) if machine.image is not None else None
    if found is None and machine.image is not None:
        found = machine.image.lookup(_physical(machine.hart, address))
    if found is None:
        return f"{address:#x}"
    name, offset = found
    return f"{address:#x} <{name}+{offset:#x}>" if offset else f"{address:#x} <{name}>"


def last_instructions(machine: Machine, attempted: int, count: int) -> tuple[str, ...]:
    """The last `count` of the `attempted` instructions of a run, as `step` shows them. `machine`
    is loaded, and has run nothing yet."""
    if attempted > count:
        machine.run(attempted - count)
    return step(machine, min(attempted, count))[0]


def step(machine: Machine, count: int) -> tuple[tuple[str, ...], Outcome]:
    """Run up to `count` instructions one by one. A line for each: the address, the mode, the
    instruction, and what it wrote to integer registers; and how the last ended."""
    lines = []
    outcome = Outcome(Reason.BUDGET)
    for _ in range(count):
        hart = machine.hart
        place, mode = where(machine, hart.pc), hart.mode
        text = _instruction(machine, hart)
        before = list(hart.state.x)[:32]
        outcome = machine.run(1)
        changes = [
            f"{INTEGER_REGISTERS[n]}={new:#x}"
            for n, (old, new) in enumerate(zip(before, list(hart.state.x)[:32], strict=True))
            if new != old
        ]
        lines.append(f"{place} {mode}: {text}" + ("  # " + " ".join(changes) if changes else ""))
        if outcome.reason is not Reason.BUDGET:
            break
    return tuple(lines), outcome


def _physical(hart: HartView, address: int) -> int:
    physical = hart.translate(address, FETCH)
    return address if physical is None else physical


def _instruction(machine: Machine, hart: HartView) -> str:
    """The instruction at the hart's pc, as text."""
    raw = _parcel(machine, hart, hart.pc)
    if raw is not None and raw & 3 == 3:
        high = _parcel(machine, hart, (hart.pc + 2) & M64)
        raw = None if high is None else raw | high << 16
    if raw is None:
        return "(cannot be fetched)"
    symbols = machine.image.symbol_table if machine.image is not None else None
    return disassemble(raw, hart.pc, symbols)


def _parcel(machine: Machine, hart: HartView, address: int) -> int | None:
    """Two bytes of code, or None where they can't be fetched."""
    physical = hart.translate(address, FETCH)
    for ram in (machine.board.ram, machine.board.rom):
        if physical is not None and ram.contains(physical, 2):
            return int.from_bytes(ram.read(physical, 2), "little")
    return None
