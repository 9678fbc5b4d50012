"""The attack guests, each between two others, in every mode: they get what they get on a machine of
their own, and neither the other guests nor the VMM notice (*safety*)."""

from functools import cache
from pathlib import Path

import pytest

from rvemu.devices.virtio.block import Block
from rvemu.drives import DriveOptions, open_drives
from rvemu.guests import expected_output, list_guests
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.vmm import rounds
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import EMULATE, VirtualMachine
from tests.vmm.audit import check_reach, entry_code
from tests.vmm.programs import DIRECT, PATCHED, bundled, ram_of, virtual_machine, visible_harts

VICTIM = "tinyos-s"
MEMORY = 16 << 20
GUESTS = {guest.name: guest for guest in list_guests()}
ATTACKS = [name for name in GUESTS if name.startswith("attack-")]

State = tuple[bytes, list, int]


def outcome(machine: VirtualMachine, output: bytearray) -> State:
    """All that there is to see of a guest that has ended: output, harts, memory."""
    return bytes(output), visible_harts(machine), hash(ram_of(machine))


def disks(name: str, image: Path) -> list[Block]:
    """The disk of a guest, a slice in the middle of an image; none if it uses none."""
    size = GUESTS[name].disk
    image.write_bytes(b"x" * size + bytes(size) + b"y" * size)
    options = DriveOptions(str(image), offset=size, size=size)
    return [Block(drive) for drive in open_drives([options] if size else [])]


@cache
def alone(name: str, image: Path) -> State:
    """What comes of a guest on a machine of its own."""
    path, sbi = bundled(name)
    devices = disks(name, image)
    machine, output = virtual_machine(
        *(EMULATE, path), sbi=sbi, memory=MEMORY, harts=GUESTS[name].harts, devices=devices
    )
    assert machine.run(100_000_000).passed
    for device in devices:
        device.drive.close()
    return outcome(machine, output)


@pytest.fixture(autouse=True)
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Guests have many turns, though they are small."""
    monkeypatch.setattr(rounds, "QUANTUM", 20_000)


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks") / "disk.img"


def test_there_are_attack_guests_for_all_that_is_to_be_tried() -> None:
    """By page tables, A and D, entries changed after use, wrapping addresses, descriptors of DMA,
    without a timer, without giving control up, by floods of exits, by what is left in the hart, by
    a second hart."""
    kinds = {"map", "dirty", "remap", "wrap", "dma", "timer", "spin", "exits", "leak", "harts"}
    assert {f"attack-{kind}" for kind in kinds} == set(ATTACKS)


@pytest.mark.parametrize("mode", (EMULATE, *DIRECT, PATCHED))
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_fails(attack: str, mode: str, image: Path) -> None:
    expected = {name: alone(name, image) for name in (attack, VICTIM)}
    assert expected[attack][0] == expected_output(attack)
    host = Host(parse_isa(DEFAULT_ISA))
    devices = disks(attack, image)
    machines, outputs = [], []
    for name in (VICTIM, attack, VICTIM):
        path, sbi = bundled(name)
        plugged = devices if name == attack else []
        machine, output = virtual_machine(
            mode.removesuffix(" --patch"),
            path,
            sbi=sbi,
            memory=MEMORY,
            harts=GUESTS[name].harts,
            host=host,
            devices=plugged,
            patch=mode == PATCHED,
        )
        machines.append(machine)
        outputs.append(output)
    code = entry_code(host)
    reached = []
    attacker = machines[1]
    if mode != EMULATE:
        attacker.machine.hooks.between.append(lambda: reached.append(check_reach(attacker)))

    runs = rounds.run_in_turns(machines)

    assert all(run.passed for run in runs)
    for name, machine, output in zip((VICTIM, attack, VICTIM), machines, outputs, strict=True):
        assert outcome(machine, output) == expected[name]
    assert entry_code(host) == code
    assert mode == EMULATE or max(reached) > 0
    size = GUESTS[attack].disk
    content = image.read_bytes()
    assert (content[:size], content[2 * size :]) == (b"x" * size, b"y" * size)
    for device in devices:
        device.drive.close()


@pytest.mark.parametrize("mode", DIRECT)
def test_what_a_guest_leaves_in_the_hart_no_other_finds(mode: str) -> None:
    """Several that leave different values, and look for them."""
    path, sbi = bundled("attack-leak")
    host = Host(parse_isa(DEFAULT_ISA))
    machines, outputs = [], []
    for seed in (1, 2, 4):
        machine, output = virtual_machine(mode, path, sbi=sbi, memory=MEMORY, host=host)
        where = machine.machine.symbol("leak_seed")
        machine.machine.write_physical(where, seed.to_bytes(8, "little"))
        machines.append(machine)
        outputs.append(output)
    turns = []
    machines[0].machine.hooks.between.append(lambda: turns.append(machines[0].machine.now))
    assert all(run.passed for run in rounds.run_in_turns(machines))
    assert len(turns) > 50
    assert [bytes(output) for output in outputs] == [expected_output("attack-leak")] * 3
    for machine in machines:
        kept = machine.machine.read_physical(machine.machine.symbol("kept"), 4)
        assert int.from_bytes(kept, "little") == 4, "reservations that were its own"
