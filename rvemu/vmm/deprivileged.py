"""Direct execution of a deprivileged guest: all of it, its kernel too, is in the hart's U-mode, and
the VMM at M-mode, to which all traps go. What modes differ in is the table that translates, and
what becomes of a trap."""

from collections.abc import Callable, Sequence

from rvemu.hart.state import STOP_OWNED, Hart, Shared
from rvemu.vmm.answers import STOPPED, TRAPPED, Answers, Time
from rvemu.vmm.host import ENTER_U, ENTER_U_FENCED, Host
from rvemu.vmm.monitor import Monitor
from rvemu.vmm.switch import NEEDED, Entry, enter_user, leave_user


class Deprivileged(Monitor):
    """A mode whose guests run in U-mode."""

    #: Counters that guests read by themselves, as mcounteren has them.
    counters = 0

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        super().__init__(host, shared, harts)
        p = host.hart
        self._enter_user = [host.bind(enter_user, p, v) for v in harts]
        self._leave_user = [host.bind(leave_user, p, v) for v in harts]
        #: For a loop that answers exits without Python.
        self.answers = Answers.of(host.engine, self.to_physical, ENTER_U, ENTER_U_FENCED)
        self.time = Time()

    def way_in(self) -> Entry:
        """How to enter the guest, after making the hart ready for it if it has run another."""
        host = self.host
        if host.resident is not self:
            # Cache-block operations trap, and so do counters that are not the guest's to read.
            host.resident = self
            p = host.hart
            p.mie = p.medeleg = p.senvcfg = 0
            p.mcounteren = p.scounteren = self.counters
            host.stale = True  # another guest's tables may have used the same ASIDs
        entry = ENTER_U_FENCED if host.stale else ENTER_U
        host.stale = False
        return entry

    def run_deprivileged(self, h: Hart, satp: int) -> bool:
        """Run the guest under a page table of the physical machine: whether it trapped. The
        physical hart's CSRs then say how; the guest's state is the virtual hart's again, and its pc
        is that of what trapped."""
        entry = self.way_in()
        if self.host.hart.satp != satp:
            self.accounting.switches += 1
        self._enter_user[self.number](self.to_physical, satp, entry.address, entry.length)
        return self.run_to_stop(h, self._leave_user[self.number])

    def run_to_stop(self, h: Hart, leave: Callable[[int], int]) -> bool:
        """Run the physical hart, which is on its way into the guest, until it stops, and have
        `leave` take the guest's state back: whether the guest trapped."""
        reason = self.host.run(h)
        self.accounting.direct += leave(self.to_physical)
        self.accounting.entries += 1
        if reason == STOP_OWNED:
            return True
        self.paused(reason)
        return False

    def may_answer(self, h: Hart) -> bool:
        """Whether exits may be answered without Python: the hart's engine is native, nobody wants
        to see each exit, nor each instruction's address, and the physical hart is like the virtual
        one."""
        shared = self.shared
        return (
            self.trace is None
            and not (shared.breakpoint_count or shared.watch_count or h.point_pass)
            and self.host.hart.extensions == h.extensions | NEEDED
            and self.answers.run != 0
        )

    def run_answering(self, loop: Callable[[], int], satp: int) -> bool:
        """As `run_deprivileged`; and go on while exits are answered by a loop, which `self.answers`
        was given to."""
        self.answers.satp = satp
        return self.run_loop(loop, self.answers, self.way_in())

    def run_loop(self, loop: Callable[[], int], answers: Answers, entry: Entry) -> bool:
        """Run the guest, beginning with a way into it, as long as a loop answers its exits: whether
        it has trapped, then."""
        answers.entry, answers.length = entry.address, entry.length
        answers.exits_left = self.exits_left + 1  # this one has been counted
        outcome = loop()
        self.host.guest_seconds += answers.account(self.accounting)
        self.exits_left = answers.exits_left
        if outcome == STOPPED:
            self.paused(int(self.host.hart.stop_reason))
        return outcome == TRAPPED
