"""The platform-level interrupt controller.

Source: RISC-V Platform-Level Interrupt Controller Specification 1.0.0; sizes and contexts are
those of QEMU's `virt` board.
"""

from __future__ import annotations

from collections.abc import Sequence

from rvemu.devices.device import InterruptLine, UnsupportedAccess

_PRIORITY = 0x00_0000  # 4 bytes for each source
_PENDING = 0x00_1000  # one bit for each source
_ENABLE = 0x00_2000  # 0x80 bytes for each context, one bit for each source
_ENABLE_STRIDE = 0x80
_CONTEXT = 0x20_0000  # 0x1000 bytes for each context: threshold, claim/complete
_CONTEXT_STRIDE = 0x1000
_MASK32 = 0xFFFF_FFFF

_MAX_PRIORITY = 7  # priorities and thresholds are 3 bits wide


class _Source:
    """The wire of one interrupt source."""

    def __init__(self, plic: Plic, number: int) -> None:
        self._plic = plic
        self._bit = 1 << number

    def set(self, level: bool) -> None:
        self._plic.drive(self._bit, level)


class Plic:
    """Interrupt sources 1 to `sources` - 1, for one context per line of `outputs`.

    Sets of sources are integers with bit n standing for source n; source 0 does not exist.
    """

    name = "plic"
    size = 0x60_0000

    def __init__(self, outputs: Sequence[InterruptLine], sources: int = 96) -> None:
        assert 1 < sources <= 1024
        self.outputs = outputs
        self.sources = sources
        self._all = (1 << sources) - 2
        #: Sources whose wire is high. It belongs to the devices and outlives a reset.
        self.level = 0
        self.reset()

    def reset(self) -> None:
        """Disable everything and forget what was claimed. Wires that are high stay so."""
        self.priority = [0] * self.sources
        #: Sources whose request waits to be claimed.
        self.pending = 0
        #: Sources that were claimed and are not completed: their gateway lets nothing through.
        self.claimed = 0
        self.enable = [0] * len(self.outputs)
        self.threshold = [0] * len(self.outputs)
        self._open_gateways()
        self.update()

    def line(self, irq: int) -> InterruptLine:
        """The wire of an interrupt source."""
        assert 0 < irq < self.sources
        return _Source(self, irq)

    def drive(self, bit: int, level: bool) -> None:
        """Set the level of the wire of the source whose bit is given."""
        if bool(self.level & bit) == level:
            return
        self.level ^= bit
        # A request that passed its gateway stays pending even if the wire falls before it is
        # claimed; the handler then finds that the device wants nothing.
        if level and not self.claimed & bit:
            self.pending |= bit
            self.update()

    def update(self) -> None:
        """Drive every context's output: high while a source is pending and enabled there with a
        priority above the threshold."""
        for context, output in enumerate(self.outputs):
            best = self._best(context)
            output.set(self.priority[best] > self.threshold[context])

    def read(self, offset: int, width: int) -> int:
        """Read a 32-bit register. Reading a claim register claims; absent registers are 0."""
        if width != 4:
            raise UnsupportedAccess
        if offset < _PENDING:
            source = offset // 4
            return self.priority[source] if source < self.sources else 0
        if offset < _ENABLE:
            return self.pending >> 8 * (offset - _PENDING) & _MASK32
        if offset < _CONTEXT:
            context, byte = divmod(offset - _ENABLE, _ENABLE_STRIDE)
            return self.enable[context] >> 8 * byte & _MASK32 if self._has(context) else 0
        context, register = divmod(offset - _CONTEXT, _CONTEXT_STRIDE)
        if self._has(context) and register == 0:
            return self.threshold[context]
        if self._has(context) and register == 4:
            return self._claim(context)
        return 0

    def write(self, offset: int, width: int, value: int) -> None:
        """Write a 32-bit register. Writing a claim register completes; the pending bits are
        read-only, and absent registers are ignored."""
        if width != 4:
            raise UnsupportedAccess
        if offset < _PENDING:
            source = offset // 4
            if 0 < source < self.sources:
                self.priority[source] = value & _MAX_PRIORITY
        elif offset < _ENABLE:
            return
        elif offset < _CONTEXT:
            context, byte = divmod(offset - _ENABLE, _ENABLE_STRIDE)
            if self._has(context):
                others = self.enable[context] & ~(_MASK32 << 8 * byte)
                self.enable[context] = (others | value << 8 * byte) & self._all
        else:
            context, register = divmod(offset - _CONTEXT, _CONTEXT_STRIDE)
            if self._has(context) and register == 0:
                self.threshold[context] = value & _MAX_PRIORITY
            elif self._has(context) and register == 4:
                self._complete(context, value)
        self.update()

    def _has(self, context: int) -> bool:
        return context < len(self.outputs)

    def _best(self, context: int) -> int:
        """The pending and enabled source of the highest priority, the lowest number among
        equals; 0 if there is none. Priority 0 means never."""
        best = 0
        candidates = self.pending & self.enable[context]
        while candidates:
            bit = candidates & -candidates
            source = bit.bit_length() - 1
            if self.priority[source] > self.priority[best]:
                best = source
            candidates ^= bit
        return best

    def _claim(self, context: int) -> int:
        """Take the best request, threshold or not: the threshold masks the notification only."""
        source = self._best(context)
        if source:
            self.pending &= ~(1 << source)
            self.claimed |= 1 << source
            self.update()
        return source

    def _complete(self, context: int, source: int) -> None:
        """Reopen a source's gateway. A completion for a source that is not enabled for this
        context is ignored; whether it was claimed here is not checked."""
        if source < self.sources and self.enable[context] >> source & 1:
            self.claimed &= ~(1 << source)
            self._open_gateways()

    def _open_gateways(self) -> None:
        """Let the requests of all high wires through that are not being serviced."""
        self.pending |= self.level & ~self.claimed
