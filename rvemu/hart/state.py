"""The hart's state: one C structure that every engine works on.

The reference engine reads and writes it through ctypes, native code through pointers, and so do
the debugger, snapshots and the lockstep comparison. Nothing of a hart's architectural state is
anywhere else.
"""

import ctypes
from ctypes import c_int32, c_uint8, c_uint32, c_uint64
from typing import Any, ClassVar

from rvemu.lang import Range, fill_words

# --- Privilege -------------------------------------------------------------------------------

U_MODE, S_MODE, M_MODE = 0, 1, 3

# --- Contexts: what an address means ---------------------------------------------------------
# A soft-TLB entry belongs to a context: an effective privilege, with V, and with SUM where it
# matters. So a change of privilege or of SUM only selects other entries. Whatever else changes
# what an access may do (MXR, satp, PMP...) drops entries.

CONTEXT_M, CONTEXT_S, CONTEXT_S_SUM, CONTEXT_U = 0, 1, 2, 3
CONTEXT_VS, CONTEXT_VS_SUM, CONTEXT_VU = 4, 5, 6
CONTEXTS = 8

# Data entries are four words: [tag of loads, tag of fast stores, host address - guest address,
# tag of stores]. A tag is the virtual page's address; all ones is no page. The tag of fast stores
# lacks where a store has more to do than to write: the page holds decoded instructions.
DATA_ENTRIES = 32768
DATA_WORDS = 4 * DATA_ENTRIES
LOAD_TAG, FAST_STORE_TAG, ADDEND, STORE_TAG = 0, 1, 2, 3

# Fetch entries are four words: [tag, host address - guest address, decoded page or 0, unused].
FETCH_ENTRIES = 256
FETCH_WORDS = 4 * FETCH_ENTRIES
FETCH_TAG, FETCH_ADDEND, FETCH_DECODED = 0, 1, 2

# Which entries a context has filled since it was last emptied, so that emptying one that was
# hardly used is cheap.
FILL_LOG = 512

# The bits of an address that name its page, which a tag holds; and what an empty entry has there.
PAGE_MASK = 0xFFFF_FFFF_FFFF_F000
NO_PAGE = 0xFFFF_FFFF_FFFF_FFFF

# How many translations mmu_hook can note before the host looks: more than one instruction makes.
SEEN_MAX = 8

# How many entries a walk of one stage looks at, at most.
WALK_MAX = 8

# --- Memory ----------------------------------------------------------------------------------

REGIONS = 8
PMP_MAX = 64
COUNTERS = 32
TRAP_COUNTS = 128  # causes 0 to 63 of exceptions, and of interrupts
DATA_FILLS, FETCH_FILLS = 0, 1

# A page of memory's word in `Shared.region_pages`: the number of its decoded page, plus one (0:
# none), whether the host watches stores to words in it (`Shared.watched`), and whether some hart's
# TLB may hold it for fast stores.
PAGE_DECODED = 0x3FFF_FFFF
PAGE_WATCHED = 0x4000_0000
PAGE_STORED = 0x8000_0000

# --- Why the engine returned to the host -----------------------------------------------------

STOP_NONE = 0
STOP_BUDGET = 1  # as many instructions as asked for
STOP_READ = 2  # device read: device_address, device_width; answer in device_value
STOP_WRITE = 3  # device write: device_address, device_width, device_value
STOP_WFI = 4  # waiting for an interrupt, and none is pending
STOP_BREAKPOINT = 5  # before the instruction at a breakpoint
STOP_WATCHPOINT = 6  # before a watched access: watch_number, watch_address
STOP_TRAP = 7  # a trap was taken, and the host asked to see it (trap_hooks)
STOP_FLUSH = 8  # the set of instructions changed: drop everything decoded
STOP_TRANSLATION = 9  # a translation was made or refused, and the host asked (mmu_hook)
STOP_HOST = 10  # the host asked the engine to return (Ctrl-C, another thread)
STOP_OWNED = 11  # a trap was taken into a level that the host owns (owned_levels)

# Departures from the architecture that make a hart non-virtualizable, as x86 was: sensitive
# instructions that U-mode executes without a trap, with no or another effect. For experiments.
QUIRK_STATUS = 1  # mstatus and sstatus: writes do nothing (x86's popf), reads give the real value
QUIRK_CSR = 2  # the same for all CSRs of higher levels
QUIRK_XRET = 4  # mret and sret do nothing
QUIRK_FENCE = 8  # sfence.vma does nothing

# How many breakpoints and watchpoints a debugger may set, for all harts together.
BREAKPOINTS = 256
WATCHPOINTS = 16

# What a hart passes without a stop: nothing; a breakpoint at the next instruction, at the current
# one; breakpoints and watchpoints of the next instruction, of the current one.
PASS_NONE, PASS_NEXT, PASS_CURRENT, PASS_NEXT_WATCHED, PASS_CURRENT_WATCHED = range(5)

# What the host did about a device access, when it starts the instruction again.
DEVICE_NONE, DEVICE_DONE, DEVICE_ABSENT = 0, 1, 2


class Shared(ctypes.Structure):
    """What the harts of a machine share. Addresses named `host` are the host's."""

    _fields_ = [
        ("region_base", c_uint64 * REGIONS),  # guest-physical, page-aligned
        ("region_size", c_uint64 * REGIONS),  # bytes, whole pages; 0 ends the list
        ("region_host", c_uint64 * REGIONS),  # host address of the first byte
        ("region_writable", c_uint64 * REGIONS),
        ("region_pages", c_uint64 * REGIONS),  # host address of a 32-bit word for each page
        ("watched", c_uint64 * 2),  # physical addresses of 64-bit words; stores go to the host
        ("harts", c_uint64 * 64),  # host addresses of the harts
        ("hart_count", c_uint32),
        # The pool of decoded pages (native engine; empty under the reference engine).
        ("pool_host", c_uint64),
        ("pool_pages", c_uint32),
        ("pool_used", c_uint32),
        ("pool_owner", c_uint64),  # host address of a 64-bit word per decoded page: its page word
        ("undecoded", c_uint64),  # the handler of a slot that is not decoded
        ("straddling", c_uint64),  # the handler of an instruction that lies in two pages
        ("page_end", c_uint64),  # the handler of the slot after a page's last
        # Deterministic time: ticks = clock / clock_per_tick, plus an offset that mtime writes set.
        ("clock_per_tick", c_uint64),
        ("time_offset", c_uint64),
        # The debugger's points: virtual addresses. See rvemu.hart.points.
        ("breakpoint_count", c_uint32),
        ("breakpoints", c_uint64 * BREAKPOINTS),
        ("watch_count", c_uint32),
        ("watch_first", c_uint64 * WATCHPOINTS),  # the first byte of each
        ("watch_last", c_uint64 * WATCHPOINTS),  # the last byte
        ("watch_access", c_uint8 * WATCHPOINTS),  # WATCH_READ, WATCH_WRITE
    ]


_ARRAYS: list[tuple[str, Any]] = [
    ("x", c_uint64 * 33),  # x[32] takes what is written to x0
    ("f", c_uint64 * 32),  # NaN-boxed
    ("pmpaddr", c_uint64 * PMP_MAX),
    ("pmpcfg", c_uint8 * PMP_MAX),
    ("pmp_low", c_uint64 * PMP_MAX),  # first byte that the entry matches
    ("pmp_high", c_uint64 * PMP_MAX),  # last byte that it matches; below pmp_low: none
    ("mhpmcounter", c_uint64 * COUNTERS),
    ("mhpmevent", c_uint64 * COUNTERS),
    ("dtlb", c_uint64 * (CONTEXTS * DATA_WORDS)),
    ("ftlb", c_uint64 * (CONTEXTS * FETCH_WORDS)),
    ("dtlb_filled", c_uint64 * CONTEXTS),
    ("dtlb_log", c_uint64 * (CONTEXTS * FILL_LOG)),
    ("ftlb_filled", c_uint64 * CONTEXTS),
    ("ftlb_log", c_uint64 * (CONTEXTS * FILL_LOG)),
    # The latest translations made or refused, for mmu_hook; `seen_count` of them.
    ("seen_address", c_uint64 * SEEN_MAX),
    ("seen_physical", c_uint64 * SEEN_MAX),
    ("seen_access", c_uint8 * SEEN_MAX),  # LOAD, STORE, FETCH
    ("seen_context", c_uint8 * SEEN_MAX),  # CONTEXT_*
    ("seen_refused", c_uint8 * SEEN_MAX),  # 0, or which fault: outcomes of rvemu.hart.walk
    # The physical addresses of the table entries that a walk has looked at, `walked_count` of them,
    # if the host asked (rvemu.vmm.lookup).
    ("walked", c_uint64 * WALK_MAX),
    # Virtual addresses that a large page's entries may lie in, for each context (low > high: none).
    ("large_low", c_uint64 * CONTEXTS),
    ("large_high", c_uint64 * CONTEXTS),
    # What happened since reset, for people to see; no instruction can.
    ("trap_counts", c_uint64 * TRAP_COUNTS),  # by cause: exceptions, then interrupts
    ("tlb_fills", c_uint64 * 2),  # of data and of fetch entries
]

_SCALARS: list[tuple[str, Any]] = [
    ("pc", c_uint64),
    ("next_pc", c_uint64),
    ("insn", c_uint32),  # the current instruction's bits, zero-extended where compressed
    ("insn_length", c_uint8),  # 2 or 4 bytes
    ("priv", c_uint8),  # 0 U, 1 S, 3 M
    ("v", c_uint8),  # virtualization mode
    ("hartid", c_uint64),
    ("shared_host", c_uint64),  # host address of `shared`
    # What the hart implements; set when it is built.
    ("extensions", c_uint64),  # bits of rvemu.hart.extensions, as misa now has them
    ("extensions_built", c_uint64),  # as built
    ("pc_align_mask", c_uint8),  # 2 where IALIGN=32, 0 where 16
    ("pmp_count", c_uint8),
    ("pmp_active", c_uint8),  # entries from this one on are off
    ("pmp_updates", c_uint64),  # how often PMP was set
    ("physical_bits", c_uint8),
    # Time and budget. `budget` counts down with each instruction attempted; the engine polls when
    # it goes below zero. At all times instret = retire_end - budget, clock = clock_end - budget.
    ("budget", ctypes.c_int64),
    ("retire_end", c_uint64),
    ("clock_end", c_uint64),
    ("clock_stop", c_uint64),  # the clock at which to return to the host (STOP_BUDGET)
    ("stop_reason", c_uint8),
    ("restart", c_uint8),  # the instruction was abandoned, to be started over after the stop
    ("waiting", c_uint8),  # in WFI (STOP_WFI): the host sets it, and clears it to go on
    ("host_request", c_uint8),  # another thread wants the engine to return (STOP_HOST)
    # The trap being raised; `take_trap` delivers it.
    ("trap_cause", c_uint64),
    ("trap_value", c_uint64),  # xtval
    ("trap_guest_address", c_uint64),  # guest-physical, bytes (htval and mtval2 hold it >> 2)
    ("trap_instruction", c_uint64),  # htinst, mtinst
    ("trap_gva", c_uint8),  # trap_value is a guest virtual address
    ("trap_hooks", c_uint8),  # bit 0: return to the host after each trap
    ("trap_target", c_uint8),  # where the last trap was taken: its privilege, bit 2 for V
    ("mmu_hook", c_uint8),
    # Levels whose software is the host: bit n is the level n of trap_target. A trap into one is
    # taken as the architecture says, and then the host goes on in place of the trap vector.
    ("owned_levels", c_uint8),
    ("quirks", c_uint8),  # QUIRK_*: how the hart departs from the architecture
    # A device access in progress.
    ("device_state", c_uint8),  # DEVICE_*
    ("device_width", c_uint8),  # bytes
    ("device_address", c_uint64),  # guest-physical
    ("device_value", c_uint64),
    # Breakpoints and watchpoints; see rvemu.hart.points.
    ("point_pass", c_uint8),  # PASS_*
    ("watch_number", c_uint8),  # which watchpoint it was (STOP_WATCHPOINT)
    ("watch_address", c_uint64),  # the first byte that is both accessed and watched
    # What the decoder found: fields of the current instruction, as a decoded slot holds them.
    ("decoded_rd", c_uint8),
    ("decoded_rs1", c_uint8),
    ("decoded_rs2", c_uint8),
    ("decoded_rs3", c_uint8),
    ("decoded_imm", c_int32),
    # Where the native engine's decoded instructions are.
    ("page_slots", c_uint64),  # host address of the current page's slots; 0: a lone instruction
    ("page_bias", c_uint64),  # pc - (slot's host address >> 3)
    ("page_addend", c_uint64),  # host address of the instruction - pc
    ("lone_slots", c_uint64),  # host address of slots for an instruction that straddles pages
    # The reservation of lr: physical address, bytes (0: none).
    ("reservation_address", c_uint64),
    ("reservation_size", c_uint8),
    # The translation contexts in force, as offsets in the TLB arrays; see update_context.
    ("dtlb_base", c_uint32),
    ("ftlb_base", c_uint32),
    ("data_context", c_uint8),
    ("fetch_context", c_uint8),
    ("data_priv", c_uint8),  # effective privilege of loads and stores (MPRV)
    ("data_v", c_uint8),
    # Machine-level CSRs.
    ("mstatus", c_uint64),
    ("medeleg", c_uint64),
    ("mideleg", c_uint64),
    ("mie", c_uint64),
    ("mip", c_uint64),  # bits that software writes, and that `poll` refreshes from timers
    ("interrupt_lines", c_uint64),  # mip bits driven by devices: MSIP, MEIP, SEIP
    ("mtvec", c_uint64),
    ("mepc", c_uint64),
    ("mcause", c_uint64),
    ("mtval", c_uint64),
    ("mtval2", c_uint64),
    ("mtinst", c_uint64),
    ("mscratch", c_uint64),
    ("mcounteren", c_uint64),
    ("mcountinhibit", c_uint64),
    ("menvcfg", c_uint64),
    ("mseccfg", c_uint64),
    ("mcycle_offset", c_uint64),  # mcycle = clock + offset; while inhibited: the value
    ("minstret_offset", c_uint64),  # minstret = instret + offset; while inhibited: the value
    ("mtimecmp", c_uint64),  # memory-mapped, in the ACLINT
    # Supervisor-level CSRs.
    ("stvec", c_uint64),
    ("sepc", c_uint64),
    ("scause", c_uint64),
    ("stval", c_uint64),
    ("sscratch", c_uint64),
    ("scounteren", c_uint64),
    ("senvcfg", c_uint64),
    ("satp", c_uint64),
    ("stimecmp", c_uint64),
    # Hypervisor and virtual-supervisor CSRs.
    ("hstatus", c_uint64),
    ("hedeleg", c_uint64),
    ("hideleg", c_uint64),
    ("hvip", c_uint64),
    ("hgeie", c_uint64),
    ("hgeip", c_uint64),
    ("htval", c_uint64),
    ("htinst", c_uint64),
    ("hcounteren", c_uint64),
    ("henvcfg", c_uint64),
    ("htimedelta", c_uint64),
    ("hgatp", c_uint64),
    ("vsstatus", c_uint64),
    ("vstvec", c_uint64),
    ("vsepc", c_uint64),
    ("vscause", c_uint64),
    ("vstval", c_uint64),
    ("vsscratch", c_uint64),
    ("vsatp", c_uint64),
    ("vstimecmp", c_uint64),
    # Floating point.
    ("fflags", c_uint64),
    ("frm", c_uint64),
    ("fp_fast", c_uint32),  # derived: what fast paths may do; see rvemu.hart.floating
    ("seen_count", c_uint8),  # translations noted since the host last set it to 0
    ("walked_count", c_uint8),
    ("walked_update", c_uint8),  # the last of these is a leaf whose A or D must be set first
]


class Hart(ctypes.Structure):
    """A hart. Scalar fields are attributes; arrays are attributes that keep one view each, because
    ctypes would make a new one at every access."""

    _fields_ = _SCALARS + [(f"_{name}", kind) for name, kind in _ARRAYS]

    # Values that a field keeps to, where its C type alone says too little to prove that an index
    # made from it is inside its array.
    RANGES: ClassVar = {
        "dtlb_base": Range(0, (CONTEXTS - 1) * DATA_WORDS),
        "ftlb_base": Range(0, (CONTEXTS - 1) * FETCH_WORDS),
        "data_context": Range(0, CONTEXTS - 1),
        "fetch_context": Range(0, CONTEXTS - 1),
        "data_v": Range(0, 1),
        "v": Range(0, 1),
        "priv": Range(0, 3),
        "data_priv": Range(0, 3),
        "fflags": Range(0, 31),
        "frm": Range(0, 7),
        "decoded_rd": Range(0, 32),
        "decoded_rs1": Range(0, 31),
        "decoded_rs2": Range(0, 31),
        "decoded_rs3": Range(0, 31),
        "pmp_count": Range(0, PMP_MAX),
        "pmp_active": Range(0, PMP_MAX),
        "seen_count": Range(0, SEEN_MAX),
        "walked_count": Range(0, WALK_MAX),
    }

    x: Any
    f: Any
    shared: Shared

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        for name, _ in _ARRAYS:
            setattr(self, name, getattr(self, f"_{name}"))
        self.shared = shared
        self.shared_host = ctypes.addressof(shared)
        fill_words(self.dtlb, 0, CONTEXTS * DATA_WORDS, 1)
        fill_words(self.ftlb, 0, CONTEXTS * FETCH_WORDS, 1)
        fill_words(self.large_low, 0, CONTEXTS, 1)
