"""The virt board: its memory map, its wiring, its device tree."""

import shutil
import subprocess

import pytest

from rvemu.board import MEIP, MSIP, SEIP, Board, BoardConfig, isa_properties
from rvemu.devices.rtc import DEFAULT_EPOCH
from rvemu.devices.syscon import Ending
from rvemu.errors import RvemuError
from rvemu.fdt import Node, cells, cells64, from_dtb, strings, to_dts


class Clock:
    ticks = 0

    def time(self) -> int:
        return self.ticks

    def set_time(self, value: int) -> None:
        self.ticks = value


class Hart:
    def __init__(self) -> None:
        self.mtimecmp = 0
        self.mip = 0

    def set_interrupt(self, bit: int, level: bool) -> None:
        self.mip = self.mip & ~(1 << bit) | int(level) << bit


def build(harts: int = 1, **options: object) -> tuple[Board, list[Hart], Clock]:
    ports, clock = [Hart() for _ in range(harts)], Clock()
    return Board(BoardConfig(**options), clock, ports), ports, clock


def test_memory_map():
    board, _, _ = build(ram_size=64 << 20)
    assert [(r.base, r.size, r.name) for r in board.bus.regions()] == [
        (0x1000, 0xF000, "ROM"),
        (0x10_0000, 0x1000, "test"),
        (0x10_1000, 0x1000, "rtc"),
        (0x200_0000, 0x1_0000, "clint"),
        (0xC00_0000, 0x60_0000, "plic"),
        (0x1000_0000, 0x100, "uart"),
        *((0x1000_1000 + n * 0x1000, 0x1000, "virtio") for n in range(8)),
        (0x8000_0000, 64 << 20, "RAM"),
    ]
    assert not board.rom.writable


def test_software_interrupts_and_timers_reach_their_hart():
    board, ports, clock = build(harts=2)
    board.bus.write(0x200_0004, 4, 1)
    assert [port.mip for port in ports] == [0, 1 << MSIP]
    board.bus.write(0x200_4008, 8, 1234)
    assert [port.mtimecmp for port in ports] == [0, 1234]
    clock.ticks = 99
    assert board.bus.read(0x200_BFF8, 8) == 99


@pytest.mark.parametrize(
    ("context", "hart", "bit"), [(0, 0, MEIP), (1, 0, SEIP), (2, 1, MEIP), (3, 1, SEIP)]
)
def test_external_interrupts_reach_their_context(context, hart, bit):
    board, ports, _ = build(harts=2)
    board.bus.write(0xC00_0000 + 4 * 10, 4, 1)
    board.bus.write(0xC00_2000 + 0x80 * context, 4, 1 << 10)
    board.bus.write(0x1000_0001, 1, 1)
    board.uart.receive(b"x")
    assert ports[hart].mip == 1 << bit
    assert ports[1 - hart].mip == 0
    assert board.bus.read(0xC20_0004 + 0x1000 * context, 4) == 10
    assert ports[hart].mip == 0


def test_the_alarm_interrupts():
    board, ports, clock = build()
    board.bus.write(0xC00_0000 + 4 * 11, 4, 1)
    board.bus.write(0xC00_2000, 4, 1 << 11)
    board.bus.write(0x10_1010, 4, 1)
    alarm = DEFAULT_EPOCH + 500
    board.bus.write(0x10_100C, 4, alarm >> 32)
    board.bus.write(0x10_1008, 4, alarm & 0xFFFF_FFFF)
    assert board.deadline() == 5
    clock.ticks = 5
    board.update()
    assert ports[0].mip == 1 << MEIP
    assert board.deadline() is None


def test_output_and_exit():
    output, exits = bytearray(), []
    board = Board(
        BoardConfig(),
        Clock(),
        [Hart()],
        on_output=output.extend,
        on_exit=lambda code, ending: exits.append((code, ending)),
    )
    board.bus.write(0x1000_0000, 1, ord("!"))
    board.bus.write(0x10_0000, 4, 0x0002_3333)
    assert output == b"!"
    assert exits == [(2, Ending.FAIL)]


def test_reset_resets_devices_and_keeps_memory():
    board, ports, _ = build()
    board.bus.write(0x200_0000, 4, 1)
    board.bus.write(0x1000_0007, 1, 0x5A)
    board.ram.write(0x8000_0000, b"kept")
    board.reset()
    assert ports[0].mip == 0
    assert board.bus.read(0x1000_0007, 1) == 0
    assert board.ram.read(0x8000_0000, 4) == b"kept"


def test_reset_vector():
    board, _, _ = build()
    board.program_reset_vector(0x8020_0000, 0x8700_0000)
    assert board.rom.read(0x1018, 16) == (0x8020_0000).to_bytes(8, "little") + (
        0x8700_0000
    ).to_bytes(8, "little")
    assert board.rom.read(0x1000, 4) == bytes.fromhex("97020000")


@pytest.mark.parametrize(
    ("size", "address"),
    [
        (128 << 20, 0x87E0_0000),
        (16 << 20, 0x80E0_0000),
        (1 << 20, 0x800F_D000),
        (4 << 30, 0xBFE0_0000),
    ],
)
def test_where_the_device_tree_goes(size, address):
    board, _, _ = build(ram_size=size)
    tree = board.place_device_tree()
    assert tree.address == address
    assert tree.reserved == ("device tree", address, len(tree.blob))
    assert from_dtb(tree.blob) == board.device_tree()
    assert not any(board.ram.read(address, 64)), "choosing is not writing"


def test_no_room_for_the_device_tree():
    board, _, _ = build(harts=64, ram_size=4096)
    with pytest.raises(RvemuError, match="no room for the device tree"):
        board.place_device_tree()


def test_initrd_on_the_device_tree():
    board, _, _ = build(initrd=(0x8700_0000, 0x87E0_0001))
    with pytest.raises(RvemuError, match=r"initrd at 0x87000000\.\.0x87e00000 overlaps"):
        board.place_device_tree()
    build(initrd=(0x8700_0000, 0x87E0_0000))[0].place_device_tree()


def test_chosen():
    board, _, _ = build(
        bootargs="console=ttyS0 quiet", initrd=(0x8200_0000, 0x8210_0000), rng_seed=b"12345678"
    )
    chosen = board.device_tree().find("/chosen")
    assert chosen is not None
    assert chosen.props == {
        "stdout-path": strings("/soc/serial@10000000"),
        "bootargs": strings("console=ttyS0 quiet"),
        "linux,initrd-start": cells64(0x8200_0000),
        "linux,initrd-end": cells64(0x8210_0000),
        "rng-seed": b"12345678",
    }
    bare = build()[0].device_tree().find("/chosen")
    assert bare is not None
    assert list(bare.props) == ["stdout-path"]


def test_cpus():
    board, _, _ = build(harts=3, isa="rv64imac_zicsr_zicbom_zicboz", mmu_type="sv39")
    cpus = board.device_tree().find("/cpus")
    assert cpus is not None
    assert cpus.props["timebase-frequency"] == cells(10_000_000)
    assert [child.name for child in cpus.children] == ["cpu@0", "cpu@1", "cpu@2", "cpu-map"]
    props = cpus.children[2].props
    assert props["reg"] == cells(2)
    assert props["mmu-type"] == strings("riscv,sv39")
    assert props["riscv,isa"] == strings("rv64imac_zicsr_zicbom_zicboz")
    assert props["riscv,cbom-block-size"] == props["riscv,cboz-block-size"] == cells(64)
    assert "riscv,cbop-block-size" not in props
    bare = build(mmu_type=None)[0].device_tree().find("/cpus/cpu@0")
    assert bare is not None
    assert "mmu-type" not in bare.props


@pytest.mark.parametrize(
    ("isa", "base", "extensions"),
    [
        ("rv64i", "rv64i", ["i"]),
        ("rv64imafdc_zba_zbb", "rv64i", ["i", "m", "a", "f", "d", "c", "zba", "zbb"]),
        ("RV64GC", "rv64i", ["i", "m", "a", "f", "d", "zicsr", "zifencei", "c"]),
        ("rv64gc_zicsr", "rv64i", ["i", "m", "a", "f", "d", "zicsr", "zifencei", "c"]),
        ("rv64imahzicsr_sstc", "rv64i", ["i", "m", "a", "h", "zicsr", "sstc"]),
    ],
)
def test_isa_properties(isa, base, extensions):
    props = isa_properties(isa)
    assert props["riscv,isa"] == strings(isa.lower())
    assert props["riscv,isa-base"] == strings(base)
    assert props["riscv,isa-extensions"] == strings(*extensions)


def all_nodes(node: Node) -> list[Node]:
    return [node, *(below for child in node.children for below in all_nodes(child))]


def test_phandles_are_unique_and_resolve():
    root = build(harts=4)[0].device_tree()
    handles = [node.props["phandle"] for node in all_nodes(root) if "phandle" in node.props]
    assert len(handles) == len(set(handles))
    by_handle = {node.props["phandle"]: node for node in all_nodes(root) if "phandle" in node.props}
    plic, test = root.find("/soc/plic@c000000"), root.find("/soc/test@100000")
    for path in ("/soc/serial@10000000", "/soc/rtc@101000", "/soc/virtio_mmio@10001000"):
        node = root.find(path)
        assert node is not None
        assert by_handle[node.props["interrupt-parent"]] is plic
    for path in ("/poweroff", "/reboot"):
        node = root.find(path)
        assert node is not None
        assert by_handle[node.props["regmap"]] is test
    for path, bits in (("/soc/plic@c000000", (11, 9)), ("/soc/clint@2000000", (3, 7))):
        node = root.find(path)
        assert node is not None
        raw = node.props["interrupts-extended"]
        pairs = [(raw[i : i + 4], raw[i + 4 : i + 8]) for i in range(0, len(raw), 8)]
        assert [int.from_bytes(bit, "big") for _, bit in pairs] == list(bits) * 4
        for i, (handle, _) in enumerate(pairs):
            cpu = root.find(f"/cpus/cpu@{i // 2}")
            assert cpu is not None
            assert by_handle[handle] is cpu.children[0]


def test_dtc_has_no_complaints():
    dtc = shutil.which("dtc")
    if dtc is None:
        pytest.skip("dtc is not installed (Debian package device-tree-compiler)")
    board, _, _ = build(harts=2, bootargs="console=ttyS0", initrd=(0x8200_0000, 0x8210_0000))
    for arguments, data in (
        (["-I", "dtb"], board.place_device_tree().blob),
        # In source text dtc would rather see labels than numbers for phandles: not said with -q.
        (["-q", "-I", "dts"], to_dts(board.device_tree()).encode()),
    ):
        done = subprocess.run(
            [dtc, *arguments, "-O", "dtb"], input=data, capture_output=True, check=False
        )
        assert (done.returncode, done.stderr.decode()) == (0, "")
        assert from_dtb(done.stdout) == board.device_tree()


def test_same_as_qemu(tmp_path):
    qemu = shutil.which("qemu-system-riscv64")
    if qemu is None:
        pytest.skip("qemu-system-riscv64 is not installed (Debian package qemu-system-misc)")
    blob = tmp_path / "virt.dtb"
    subprocess.run(
        [qemu, "-M", f"virt,dumpdtb={blob}", "-smp", "2", "-m", "128", "-display", "none"],
        check=True,
        capture_output=True,
    )
    theirs, ours = from_dtb(blob.read_bytes()), build(harts=2)[0].device_tree()
    paths = [f"/soc/{child.name}" for soc in ours.children for child in soc.children
             if soc.name == "soc"]  # fmt: skip
    assert len(paths) == 13
    for path in [*paths, "/memory@80000000", "/poweroff", "/reboot", "/cpus", "/cpus/cpu@1",
                 "/cpus/cpu@1/interrupt-controller", "/soc"]:  # fmt: skip
        mine, other = ours.find(path), theirs.find(path)
        assert mine is not None
        assert other is not None, f"QEMU has no {path}"
        for name in ("reg", "compatible", "interrupts", "value", "offset", "clock-frequency",
                     "#address-cells", "#size-cells", "#interrupt-cells", "ranges",
                     "timebase-frequency", "device_type", "interrupt-controller"):  # fmt: skip
            if name == "#address-cells" and name not in other.props:
                continue  # Older versions leave out what dtc asks for.
            assert mine.props.get(name) == other.props.get(name), f"{path} {name}"
