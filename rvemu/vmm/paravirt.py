"""Paravirtualization: the guest's kernel knows that it has no hart of its own, and asks.

Kernel and processes run in the hart's U-mode, as in trap-and-emulate. But nothing is emulated: in
place of privileged instructions the kernel makes hypercalls (rvemu.vmm.hypercalls), and in place of
CSRs it has a page that it shares with the VMM. Its own page tables translate, each entry checked
before it stands there (rvemu.vmm.direct_paging), so there are no shadows. A privileged instruction
is the kernel's own mistake, and so is the access to a device: it has rings (rvemu.vmm.rings).

The virtual hart is in S- or U-mode, and what traps and RETURN do to it is what the model does.
"""

from collections.abc import Callable, Sequence

from rvemu.drives import SECTOR, Drive
from rvemu.errors import RvemuError
from rvemu.hart.counters import request_poll
from rvemu.hart.csr_status import write_sstatus
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import COUNTEREN, MIP, MSTATUS
from rvemu.hart.state import S_MODE, U_MODE, Hart, Shared
from rvemu.lang import M64, get, put
from rvemu.traps import cause_name
from rvemu.vmm.answers import ECALL, ECALL_INSTRUCTION, GUEST_FAULT, HYPERCALL, NO_ANSWER, REASONS
from rvemu.vmm.deprivileged import Deprivileged
from rvemu.vmm.direct_paging import DirectPaging, RefusedError
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import Host
from rvemu.vmm.hypercalls import EXTENSION, RING_BLOCK, RING_CONSOLE, Call
from rvemu.vmm.paravirt_loop import answer, end_hypercall, reason_of, run_paravirtual
from rvemu.vmm.rings import BlockRing, ConsoleRing
from rvemu.vmm.sbi import UnhandledExitError
from rvemu.vmm.sbi_results import DENIED, INVALID_PARAM, NOT_SUPPORTED, SUCCESS, Result
from rvemu.vmm.shared_page import SharedPage, poll_events, see_rings, show_time
from rvemu.vmm.switch import Entry

_A0, _A1, _A6, _A7 = 10, 11, 16, 17

# Of the guest's Shared: RAM and ROM come first.
_BANK_REGION = 2

# What is said of exits that are answered at once.
_DELIVERED = "delivered to the guest's kernel"
_ACTIONS: dict[int, str] = {Call.RETURN: "return from a trap", Call.WAIT: "the virtual hart waits"}

_S_INTERRUPTS = MIP.SSIP.mask | MIP.STIP.mask | MIP.SEIP.mask
_PAGE_FAULTS = {
    Cause.INSTRUCTION_PAGE_FAULT: False,
    Cause.LOAD_PAGE_FAULT: False,
    Cause.STORE_PAGE_FAULT: True,
}


class Paravirt(Deprivileged):
    """Runs a guest that makes hypercalls."""

    name = "paravirt"
    counters = COUNTEREN.TM.mask

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(host, shared, harts)
        self.paging = DirectPaging(self)
        self._reason_of = host.bind(reason_of, host.hart, self.hart, self.paging.roots)
        self._show_bank(shared)
        self.begin()
        #: The disk behind the block ring, the console behind the other one.
        self.drive: Drive | None = None
        self.send: Callable[[bytes], None] = lambda _: None
        self.receive: Callable[[int], bytes] = lambda _: b""
        #: Called where the guest gives up the rest of its turn.
        self.on_yield: Callable[[], None] = lambda: None
        #: Told how many device accesses some work for the guest was worth.
        self.worked: Callable[[int], None] = lambda _: None
        self._calls: dict[int, Callable[[int, int], Result]] = {
            Call.START: self._start,
            Call.UPDATE: self._update,
            Call.SET_ROOTS: self._set_roots,
            Call.YIELD: self._yield,
            Call.FLOATING_POINT: self._floating_point,
            Call.CONSOLE: self._use_console,
            Call.BLOCK: self._use_block,
            Call.NOTIFY: self._notify,
        }

    def begin(self) -> None:
        """A guest was loaded, and begins: nothing is known of it."""
        self.paging.begin()
        self._started = False
        self._use_page(SharedPage())  # no guest's, until it has one
        self._console: ConsoleRing | None = None
        self._block: BlockRing | None = None
        self._spoiled: int | None = None  # a table that the host has stored to

    def _use_page(self, page: SharedPage) -> None:
        """Tell the guest's kernel of its traps and events in a page that they share."""
        self._page = page
        bind, p, v = self.host.bind, self.host.hart, self.hart
        roots, books = self.paging.roots, self.paging.books
        self._show_time = bind(show_time, v, page)
        self._see_rings = bind(see_rings, v, page)
        self._poll_events = bind(poll_events, v, page, roots)
        self._answer = bind(answer, p, v, page, roots)
        self._end_hypercall = bind(end_hypercall, v, page, books)
        self._run_paravirtual = bind(
            run_paravirtual, p, v, page, roots, books, self.answers, self.time
        )

    def frames_stored(self, frames: Sequence[int]) -> None:
        for frame in frames:
            if self.paging.level(frame) is not None:
                self._spoiled = frame

    def _show_bank(self, shared: Shared) -> None:
        """Who walks the guest's tables for the virtual hart, as a debugger does, finds physical
        addresses there: they lead to the guest's memory too."""
        for values in (shared.region_size, shared.region_host, shared.region_pages):
            values[_BANK_REGION] = values[0]
        shared.region_base[_BANK_REGION] = self.bank

    def guest_physical(self, address: int) -> int:
        """The guest-physical address that a physical one in the guest's tables stands for."""
        guest = address - self.to_physical
        return guest if self.in_ram(guest) else address

    def is_shared(self, host_address: int) -> bool:
        """Whether the VMM writes by itself where the guest's memory is in the host's process."""
        return self.paging.is_shared(host_address - self.host_address + self.ram_base)

    # --- Direct execution --------------------------------------------------------------------

    def _run_observed(self, h: Hart) -> int:
        del h
        raise RvemuError(
            "the translations of a paravirtual guest can't be traced: the model knows no hypercalls"
        )

    def advance(self, h: Hart) -> None:
        if self._spoiled is not None:
            raise UnhandledExitError(
                f"the host has stored to {self._spoiled:#x}, a page table of the guest's: what it "
                "says now is not what was checked"
            )
        satp = int(self.paging.roots.physical[h.priv & 1])
        if self._started and self.may_answer(h):
            trapped = self.run_answering(self._run_paravirtual, satp)
        else:
            if self._started:
                self._show_time()
            trapped = self.run_deprivileged(h, satp)
        if trapped:
            self._handle(h, int(self.host.hart.mcause), int(self.host.hart.mtval))
        self._account_updates()

    def way_in(self) -> Entry:
        """How to enter the guest: with a fence, if its tables were changed."""
        self.host.stale |= bool(self.paging.books.stale)
        self.paging.books.stale = 0
        return super().way_in()

    def _account_updates(self) -> None:
        """Count the updates that were made, and what they were worth."""
        books = self.paging.books
        self.accounting.updates += books.updates
        if books.work:
            self.worked(books.work)
        books.updates = books.work = 0

    def poll(self, h: Hart) -> None:
        """Deliver an event, if there is one and the guest takes it."""
        if self._started:
            self._poll_events()
        else:
            super().poll(h)

    # --- Exits -------------------------------------------------------------------------------

    def _handle(self, h: Hart, cause: int, value: int) -> None:
        reason = self._reason_of() if self._started else NO_ANSWER
        if reason != NO_ANSWER:
            self._deliver(h, reason, value)
        elif cause == Cause.ECALL_FROM_U and h.priv != U_MODE:
            self._call(h)
        elif self._fill_linear(cause, value):
            self.note(ExitReason.SHADOW_FILL, value, "mapped where it is", cause=cause)
        elif self._started:
            self._deliver(h, GUEST_FAULT, value)
        else:
            raise UnhandledExitError(
                f"the guest traps before it has said where to: {cause_name(cause)}, value "
                f"{value:#x}. (In mode paravirt kernels make hypercalls, see docs/vmm.md: this one "
                "may have been built for other modes.)"
            )

    def _fill_linear(self, cause: int, value: int) -> bool:
        """Whether an access was refused because the linear map, if it is that which translates, did
        not have the page yet."""
        if cause not in _PAGE_FAULTS or self.paging.roots.frames[S_MODE]:
            return False
        return self.paging.fill_linear(value, _PAGE_FAULTS[Cause(cause)])

    def _deliver(self, h: Hart, reason: int, value: int) -> None:
        """Answer an exit, and note it: a loop does that unless somebody looks on."""
        if reason == HYPERCALL:
            function = int(h.x[_A6])
            self.note(REASONS[reason], function, _ACTIONS[function], ECALL_INSTRUCTION)
        elif reason == ECALL:
            self.note(REASONS[reason], h.x[_A7], _DELIVERED, ECALL_INSTRUCTION)
        else:
            cause = int(self.host.hart.mcause)
            self.note(REASONS[reason], value, _DELIVERED, cause=cause)
        self._answer(reason)

    # --- Hypercalls --------------------------------------------------------------------------

    def _call(self, h: Hart) -> None:
        if h.x[_A7] == EXTENSION:
            self._hypercall(h, int(h.x[_A6]))
        else:
            self.note(ExitReason.SBI, h.x[_A7], "answered by the VMM", ECALL_INSTRUCTION)
            self.execute(ECALL_INSTRUCTION)

    def _hypercall(self, h: Hart, function: int) -> None:
        call = self._calls.get(function)
        if call is None or not (self._started or function == Call.START):
            self.note(ExitReason.HYPERCALL, function, "no such hypercall", ECALL_INSTRUCTION)
            self._end_hypercall(NOT_SUPPORTED & M64, 0)
            return
        try:
            error, value = call(int(h.x[_A0]), int(h.x[_A1]))
            action = Call(function).name if error == SUCCESS else "refused: wrong arguments"
        except RefusedError as refused:
            error, value = DENIED, refused.made
            action = f"refused: {refused}"
        self.note(ExitReason.HYPERCALL, function, action, ECALL_INSTRUCTION)
        self._end_hypercall(error & M64, value)

    def _start(self, page: int, _: int) -> Result:
        self.paging.share(page)
        self._started = True
        self._use_page(SharedPage.from_address(page - self.ram_base + self.host_address))
        self._page.distance = self.to_physical & M64
        self.hart.mie = _S_INTERRUPTS
        return SUCCESS, 0

    def _update(self, address: int, count: int) -> Result:
        made = self.paging.make_updates(address, count)
        return (INVALID_PARAM, 0) if made is None else (SUCCESS, made)

    def _set_roots(self, kernel: int, user: int) -> Result:
        if (kernel == 0) != (user == 0):
            return INVALID_PARAM, 0
        self.paging.set_roots(kernel, user)
        return SUCCESS, 0

    def _yield(self, _: int, __: int) -> Result:
        self.on_yield()
        request_poll(self.hart)
        return SUCCESS, 0

    def _floating_point(self, state: int, _: int) -> Result:
        if state > 3:
            return INVALID_PARAM, 0
        h = self.hart
        write_sstatus(h, put(h.mstatus, MSTATUS.FS, state))
        return SUCCESS, get(h.mstatus, MSTATUS.FS)

    # --- Rings -------------------------------------------------------------------------------

    def _use_console(self, page: int, _: int) -> Result:
        self.paging.share(page)
        self._console = ConsoleRing(self.paging, page, self.send, self.receive)
        return SUCCESS, 0

    def _use_block(self, page: int, _: int) -> Result:
        if self.drive is None:
            return NOT_SUPPORTED, 0
        self.paging.share(page)
        self._block = BlockRing(self.paging, page, self.drive)
        return SUCCESS, self.drive.size // SECTOR

    def _notify(self, rings: int, _: int) -> Result:
        if rings & ~(RING_CONSOLE | RING_BLOCK):
            return INVALID_PARAM, 0
        if rings & RING_CONSOLE and self._console is not None:
            self._console.print_output()
        if rings & RING_BLOCK and self._block is not None and (work := self._block.answer()):
            self._page.events |= RING_BLOCK
            self.worked(work)
        self._see_rings()
        return SUCCESS, 0

    def take_input(self) -> None:
        """Look whether something was typed. To be called between the guest's turns."""
        if self._console is not None and self._console.take_input():
            self._page.events |= RING_CONSOLE
            self._see_rings()
