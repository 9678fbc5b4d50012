"""The SBI firmware: what it offers and refuses, under rvemu and under QEMU."""

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from rvemu import Machine, Outcome, Reason
from rvemu.fdt import Node, from_dtb, to_dtb

BASE, SIZE = 0x8000_0000, 0x4_0000
MIB = 1 << 20


class Output(bytearray):
    """Collects what a guest prints."""

    def __call__(self, data: bytes) -> None:
        self += data


def run(firmware: Path, kernel: Path | None, harts: int = 1, **options: object) -> str:
    """Run to the end; what was printed."""
    output = Output()
    machine = Machine(memory=64 * MIB, harts=harts, output=output, **options)  # type: ignore[arg-type]
    machine.boot(kernel, firmware=firmware)
    outcome = machine.run(400_000_000)
    assert outcome == Outcome(Reason.EXITED, 0), (outcome, output.decode())
    return output.decode()


@pytest.mark.parametrize("harts", [1, 4, 7])
def test_what_it_offers_and_refuses(firmware: Path, sbi_guest: Path, harts: int) -> None:
    text = run(firmware, sbi_guest, harts)
    assert "written by DBCN\n!\n" in text
    assert f"{harts} harts, " in text
    assert text.endswith(" checks, 0 failures\n"), text


@pytest.mark.parametrize(
    ("isa", "pmp"),
    [
        ("rv64imac_zicsr_zifencei_zicntr", 16),  # no stimecmp, no H, no floating point
        ("rv64imafdc_zicntr_zifencei_sstc", 64),
    ],
)
def test_harts_with_less(firmware: Path, sbi_guest: Path, isa: str, pmp: int) -> None:
    text = run(firmware, sbi_guest, 2, isa=isa, pmp=pmp)
    if "zihpm" not in isa and "sstc" not in isa:
        assert " failures\n" in text
    assert text.endswith(" 0 failures\n"), text


def test_the_reference_engine_agrees(firmware: Path, sbi_guest: Path) -> None:
    assert run(firmware, sbi_guest, 1, engine="reference") == run(firmware, sbi_guest, 1)


@pytest.mark.skipif(shutil.which("qemu-system-riscv64") is None, reason="no qemu-system-riscv64")
@pytest.mark.parametrize("harts", [1, 4])
@pytest.mark.parametrize("cpu", ["rv64", "rv64,h=false,sstc=false"])
def test_under_qemu(firmware: Path, sbi_guest: Path, harts: int, cpu: str) -> None:
    command = ["qemu-system-riscv64", "-M", "virt", "-m", "64M", "-smp", str(harts), "-cpu", cpu]
    command += ["-nographic", "-bios", str(firmware), "-kernel", str(sbi_guest)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
    )
    assert done.stdout.endswith(b" checks, 0 failures\n"), done
    assert done.returncode == 0


def tree_at(machine: Machine, address: int) -> Node:
    return from_dtb(machine.read_physical(address, machine.board.ram.end - address))


@pytest.mark.parametrize("reserved", [False, True])
def test_its_memory_is_reserved(firmware: Path, sbi_guest: Path, reserved: bool) -> None:
    machine = Machine(memory=64 * MIB, output=Output())
    machine.boot(sbi_guest, firmware=firmware)
    address = machine.hart["a1"]
    tree = tree_at(machine, address)
    other = Node("other@81000000", {"reg": bytes(16)})
    if reserved:
        tree.add("reserved-memory", {"ranges": b""}).children.append(other)
        tree.add("behind", {"x": b"1234"})
        machine.write_physical(address, to_dtb(tree))
    machine.run(until=lambda: machine.hart.mode == "S", budget=1_000_000)
    total, _, strings = struct.unpack(">3I", machine.read_physical(address + 4, 12))
    (strings_size,) = struct.unpack(">I", machine.read_physical(address + 32, 4))
    assert total - strings - strings_size == 4096, "room, for a boot loader to add something"
    after = tree_at(machine, address)
    node = after.find("/reserved-memory")
    assert node is not None
    ours = node.children.pop()
    assert ours.name == f"firmware@{BASE:x}"
    assert ours.props["reg"] == BASE.to_bytes(8, "big") + SIZE.to_bytes(8, "big")
    assert ours.props["no-map"] == b""
    if reserved:
        assert after == tree, "nothing else has changed"
    else:
        assert node.props["#address-cells"] == node.props["#size-cells"] == bytes([0, 0, 0, 2])
        after.children.remove(node)
        assert after == tree


def test_a_tree_at_the_end_of_memory(firmware: Path, sbi_guest: Path) -> None:
    """There is room for the firmware's node, even if the tree fills its pages."""
    memory = 4 * MIB
    size = len(Machine(memory=memory, bootargs="x").board.place_device_tree().blob)
    machine = Machine(memory=memory, bootargs="x" * (-size % 4096), output=Output())
    assert len(machine.board.place_device_tree().blob) % 4096 > 4080
    machine.boot(sbi_guest, firmware=firmware)
    address = machine.hart["a1"]
    machine.run(until=lambda: machine.hart.mode == "S", budget=1_000_000)
    assert tree_at(machine, address).find("/reserved-memory") is not None


@pytest.mark.parametrize("address", [0, 0x8000_0004, 0x80F0_0000, 1 << 40])
def test_no_device_tree(firmware: Path, sbi_guest: Path, address: int) -> None:
    output = Output()
    machine = Machine(memory=64 * MIB, output=output)
    machine.boot(sbi_guest, firmware=firmware)
    machine.hart["a1"] = address
    assert machine.run(400_000_000) == Outcome(Reason.EXITED, 0)
    assert f"1 hart, no device tree at {address:#x}, S-mode at" in output.decode()


def test_the_kernel_is_told_hart_and_tree(firmware: Path, sbi_guest: Path) -> None:
    machine = Machine(memory=64 * MIB, harts=2, output=Output())
    image = machine.boot(sbi_guest, firmware=firmware)
    machine.hooks.before.append(
        lambda n: machine.stop() if machine.harts[n].mode == "S" else None  # its first instruction
    )
    tree = machine.hart["a1"]
    machine.run(1_000_000)
    hart = machine.hart
    assert (hart["a0"], hart["a1"]) == (0, tree)
    assert hart["satp"] == 0
    assert hart["sstatus.SIE"] == 0
    assert hart.pc in (image.next_entry, image.next_entry + 4)


def test_nothing_to_start(firmware: Path) -> None:
    output = Output()
    machine = Machine(memory=64 * MIB, output=output)
    machine.boot(firmware=firmware)
    assert machine.run(10_000_000) == Outcome(Reason.EXITED, 1)
    assert b"there is no kernel to start" in output


def test_without_information_it_goes_on_at_the_customary_address(
    firmware: Path, sbi_guest: Path
) -> None:
    output = Output()
    machine = Machine(memory=64 * MIB, output=output)
    machine.boot(sbi_guest, firmware=firmware)
    machine.hart["a2"] = 0x1234_5678_9ABC
    machine.run(400_000_000)
    assert output.endswith(b" 0 failures\n")
