"""The virtio transport over MMIO, version 2: the registers through which a driver finds a device,
negotiates features, sets up queues and is interrupted.

Source: virtio: Virtio Over MMIO, and Basic Facilities of a Virtio Device.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

from rvemu.devices.device import InterruptLine, NoLine
from rvemu.devices.virtio.device import Feature, VirtioDevice
from rvemu.devices.virtio.queue import Queue, QueueError
from rvemu.memory import Ram

MAGIC = 0x7472_6976  # "virt"
VERSION = 2
#: QEMU's. Some small systems look for it.
VENDOR_ID = 0x554D_4551

_CONFIG = 0x100
_MASK32 = 0xFFFF_FFFF


class Register(IntEnum):
    """Register offsets. (virtio: MMIO Device Register Layout)"""

    MAGIC_VALUE = 0x000
    VERSION = 0x004
    DEVICE_ID = 0x008
    VENDOR_ID = 0x00C
    DEVICE_FEATURES = 0x010
    DEVICE_FEATURES_SEL = 0x014
    DRIVER_FEATURES = 0x020
    DRIVER_FEATURES_SEL = 0x024
    QUEUE_SEL = 0x030
    QUEUE_NUM_MAX = 0x034
    QUEUE_NUM = 0x038
    QUEUE_READY = 0x044
    QUEUE_NOTIFY = 0x050
    INTERRUPT_STATUS = 0x060
    INTERRUPT_ACK = 0x064
    STATUS = 0x070
    QUEUE_DESC_LOW = 0x080
    QUEUE_DESC_HIGH = 0x084
    QUEUE_DRIVER_LOW = 0x090
    QUEUE_DRIVER_HIGH = 0x094
    QUEUE_DEVICE_LOW = 0x0A0
    QUEUE_DEVICE_HIGH = 0x0A4
    SHM_SEL = 0x0AC
    SHM_LEN_LOW = 0x0B0
    SHM_LEN_HIGH = 0x0B4
    SHM_BASE_LOW = 0x0B8
    SHM_BASE_HIGH = 0x0BC
    CONFIG_GENERATION = 0x0FC


class Status(IntFlag):
    """The device's status. (virtio: Device Status Field)"""

    ACKNOWLEDGE = 1
    DRIVER = 2
    DRIVER_OK = 4
    FEATURES_OK = 8
    NEEDS_RESET = 64
    FAILED = 128


class Interrupt(IntFlag):
    """Why the device interrupts."""

    USED_BUFFER = 1
    CONFIGURATION = 2


class MmioTransport:
    """One slot for a virtio device, which may be empty: then its device id is 0.

    Registers are 32 bits wide; as on QEMU's board, other accesses to them read 0 and do nothing.
    The configuration space takes accesses of any width.
    """

    name = "virtio"
    size = 0x1000

    def __init__(
        self, memory: Ram, line: InterruptLine | None = None, device: VirtioDevice | None = None
    ) -> None:
        self.memory = memory
        self.line: InterruptLine = line or NoLine()
        self.device: VirtioDevice | None = None
        self.queues: list[Queue] = []
        #: Queues in which requests are left that there was no time for, until `update`.
        self.backlog: set[int] = set()
        #: Why the device was broken, if it was.
        self.complaint: str | None = None
        if device is not None:
            self.plug(device)
        else:
            self.reset()

    def plug(self, device: VirtioDevice) -> None:
        """Put a device into the slot."""
        assert self.device is None, "the slot is taken"
        self.device = device
        self.name = device.name
        self.queues = [Queue(self.memory, size) for size in device.queue_sizes]
        device.queues = self.queues
        device.wake = self.serve
        device.config_changed = self.config_changed
        self.reset()

    def reset(self) -> None:
        """As after power-on, or after the driver wrote 0 to Status."""
        self.status = 0
        self.interrupt_status = 0
        self.config_generation = 0
        self.device_features_sel = 0
        self.driver_features_sel = 0
        self.driver_features = 0
        self.queue_sel = 0
        self.backlog.clear()
        self.complaint = None
        for queue in self.queues:
            queue.reset()
        if self.device is not None:
            self.device.negotiated = 0
            self.device.reset()
        self.update_line()

    # --- The device's side -----------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the driver has started the device, and nothing has broken it since."""
        return self.status & (Status.DRIVER_OK | Status.NEEDS_RESET) == Status.DRIVER_OK

    def serve(self, index: int) -> None:
        """Have the device look into a queue, if the driver has started it."""
        if self.device is None or not self.running:
            return
        queue = self.queues[index]
        if not queue.ready:
            return
        try:
            if self.device.handle(index):
                self.backlog.add(index)
            else:
                self.backlog.discard(index)
        except QueueError as error:
            self.fail(str(error))
        queue.publish()
        if queue.needs_interrupt():
            self.interrupt_status |= Interrupt.USED_BUFFER
        self.update_line()

    def update(self) -> None:
        """Go on with what there was no time for."""
        for index in sorted(self.backlog):
            self.serve(index)

    def update_line(self) -> None:
        """Drive the interrupt line: high until the driver has acknowledged everything."""
        self.line.set(self.interrupt_status != 0)

    def config_changed(self) -> None:
        """Tell the driver that the configuration space has changed."""
        self.config_generation = (self.config_generation + 1) & _MASK32
        if self.status & Status.DRIVER_OK:
            self.interrupt_status |= Interrupt.CONFIGURATION
            self.update_line()

    def fail(self, complaint: str) -> None:
        """The driver has broken a rule: do no more until it resets the device.

        Source: virtio: Device Status Field, DEVICE_NEEDS_RESET
        """
        self.complaint = complaint
        self.backlog.clear()
        self.status |= Status.NEEDS_RESET
        self.config_changed()

    # --- The driver's side -----------------------------------------------------------------------

    def read(self, offset: int, width: int) -> int:
        """Read a register or the configuration space."""
        if offset >= _CONFIG:
            if self.device is None:
                return 0
            data = self.device.config()[offset - _CONFIG : offset - _CONFIG + width]
            return int.from_bytes(data, "little")
        if width != 4:
            return 0
        return self._read_register(offset)

    def write(self, offset: int, width: int, value: int) -> None:
        """Write a register or the configuration space."""
        if self.device is None:
            return
        if offset >= _CONFIG:
            self.device.write_config(offset - _CONFIG, value.to_bytes(width, "little"))
        elif width == 4:
            self._write_register(self.device, offset, value)

    def _read_register(self, offset: int) -> int:
        match offset:
            case Register.MAGIC_VALUE:
                return MAGIC
            case Register.VERSION:
                return VERSION
            case Register.DEVICE_ID:
                return self.device.device_id if self.device is not None else 0
            case Register.VENDOR_ID:
                return VENDOR_ID
            case Register.DEVICE_FEATURES:
                return self._half(self._offered(), self.device_features_sel)
            case Register.QUEUE_NUM_MAX:
                queue = self._selected()
                return queue.max_size if queue is not None else 0
            case Register.QUEUE_READY:
                queue = self._selected()
                return int(queue is not None and queue.ready)
            case Register.INTERRUPT_STATUS:
                return self.interrupt_status
            case Register.STATUS:
                return self.status
            case Register.SHM_LEN_LOW | Register.SHM_LEN_HIGH:
                return _MASK32  # there is no shared memory region
            case Register.SHM_BASE_LOW | Register.SHM_BASE_HIGH:
                return _MASK32
            case Register.CONFIG_GENERATION:
                return self.config_generation
        return 0

    def _write_register(self, device: VirtioDevice, offset: int, value: int) -> None:
        match offset:
            case Register.QUEUE_NOTIFY:
                if value < len(self.queues):
                    self.serve(value)
            case Register.INTERRUPT_ACK:
                self.interrupt_status &= ~value
                self.update_line()
            case Register.DEVICE_FEATURES_SEL:
                self.device_features_sel = value
            case Register.DRIVER_FEATURES_SEL:
                self.driver_features_sel = value
            case Register.DRIVER_FEATURES:
                self._accept_features(value)
            case Register.QUEUE_SEL:
                self.queue_sel = value
            case Register.STATUS:
                self._write_status(device, value)
            case _:
                queue = self._selected()
                if queue is not None:
                    self._write_queue(queue, offset, value)

    def _write_queue(self, queue: Queue, offset: int, value: int) -> None:
        """Write a register of the selected queue's."""
        if offset == Register.QUEUE_READY:
            self._write_ready(queue, value)
            return
        if queue.ready:
            return  # A driver must not: the rings are in use.
        match offset:
            case Register.QUEUE_NUM:
                queue.size = value
            case Register.QUEUE_DESC_LOW:
                queue.descriptors = queue.descriptors & ~_MASK32 | value
            case Register.QUEUE_DESC_HIGH:
                queue.descriptors = queue.descriptors & _MASK32 | value << 32
            case Register.QUEUE_DRIVER_LOW:
                queue.available = queue.available & ~_MASK32 | value
            case Register.QUEUE_DRIVER_HIGH:
                queue.available = queue.available & _MASK32 | value << 32
            case Register.QUEUE_DEVICE_LOW:
                queue.used = queue.used & ~_MASK32 | value
            case Register.QUEUE_DEVICE_HIGH:
                queue.used = queue.used & _MASK32 | value << 32

    def _write_ready(self, queue: Queue, value: int) -> None:
        if value & 1 == queue.ready:
            return
        if not value & 1:
            self.backlog.discard(self.queue_sel)
            queue.reset()
            return
        assert self.device is not None
        queue.indirect = bool(self.device.negotiated & Feature.INDIRECT_DESC)
        queue.event_index = bool(self.device.negotiated & Feature.EVENT_IDX)
        try:
            queue.enable()
        except QueueError as error:
            self.fail(str(error))

    def _write_status(self, device: VirtioDevice, value: int) -> None:
        if value == 0:
            self.reset()
            return
        # A driver sets bits and clears none, and NEEDS_RESET is the device's.
        new = value & 0xFF & ~Status.NEEDS_RESET & ~self.status
        if new & Status.FEATURES_OK:
            if self.driver_features & ~self._offered():
                new &= ~Status.FEATURES_OK
            else:
                device.negotiated = self.driver_features
        self.status |= new
        if new & Status.DRIVER_OK:
            # Some drivers make buffers available before; they notify of none later.
            for index in range(len(self.queues)):
                self.serve(index)

    def _accept_features(self, value: int) -> None:
        # After FEATURES_OK this changes nothing any more.
        if self.driver_features_sel == 0:
            self.driver_features = self.driver_features & ~_MASK32 | value
        elif self.driver_features_sel == 1:
            self.driver_features = self.driver_features & _MASK32 | value << 32

    def _offered(self) -> int:
        if self.device is None:
            return 0
        return self.device.features | sum(Feature)

    def _half(self, value: int, half: int) -> int:
        return value >> 32 * half & _MASK32 if half < 2 else 0

    def _selected(self) -> Queue | None:
        return self.queues[self.queue_sel] if self.queue_sel < len(self.queues) else None
