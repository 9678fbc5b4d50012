"""The paravirtual interface: what a guest and the VMM agree on.

The guest's side of it is `guests/common/hypercall.h`, which has the same names; docs/vmm.md
explains it. Hypercalls are SBI calls of one extension, whose number is that which the SBI
specification gives to an implementation's own (chapter "Firmware Specific Extension Space"): its id
in the low 24 bits. All addresses are guest-physical, of 64 bits, but for `entry` and what a trap
reports.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from enum import IntEnum

from construct import Array, Bytes, Int32ul, Int64ul, Struct

#: What the VMM's firmware calls itself: no registered number.
IMPLEMENTATION = 0x7276

#: The SBI extension of hypercalls.
EXTENSION = 0x0A000000 | IMPLEMENTATION

#: A guest that can use this interface says so in an ELF note of this name and type; its
#: description is the version of the interface, a 32-bit number.
NOTE_NAME, NOTE_TYPE = "rvemu", 1
VERSION = 1


class Call(IntEnum):
    """Functions, by the number in a6."""

    START = 0  # (shared page)
    UPDATE = 1  # (list of UPDATE records, how many): how many were made, also if one was refused
    SET_ROOTS = 2  # (kernel's table, processes' table)
    RETURN = 3  # from a trap, as the shared page says
    WAIT = 4  # until an event is pending
    YIELD = 5  # the rest of the turn
    FLOATING_POINT = 6  # (FS of the kernel)
    CONSOLE = 7  # (ring page)
    BLOCK = 8  # (ring page): sectors of the disk
    NOTIFY = 9  # (RING_*)


#: A page that guest and VMM share, as 64-bit words. The first ones are a trap: the VMM writes them
#: as it enters the kernel, and reads them for RETURN.
SHARED_PAGE = Struct(
    "epc" / Int64ul,
    "status" / Int64ul,  # as sstatus: SPP, SPIE and FS; other bits are 0
    "cause" / Int64ul,  # as scause
    "tval" / Int64ul,  # as stval
    "sp" / Int64ul,
    "a6" / Int64ul,  # which the hypercall RETURN itself needs
    "a7" / Int64ul,
    # Written by the guest.
    "entry" / Int64ul,  # where traps enter the kernel, virtual
    "kernel_sp" / Int64ul,  # its stack, if it is entered from a process
    "enabled" / Int64ul,  # 1: events may interrupt the kernel (as sstatus.SIE); a trap clears it
    "wanted" / Int64ul,  # bits RING_*: whose events interrupt, and end WAIT (as sie); 0 at first
    # Written by the VMM.
    "timer" / Int64ul,  # 1: the deadline of sbi_set_timer has passed
    "events" / Int64ul,  # bits RING_*; the guest clears what it has seen to
    "time" / Int64ul,  # when the guest was last entered, as the CSR `time`, which it may read
    "distance" / Int64ul,  # of physical addresses in page tables from guest-physical ones
)

#: One record of UPDATE.
UPDATE = Struct("what" / Int64ul, "address" / Int64ul, "value" / Int64ul)


class What(IntEnum):
    """What a record of UPDATE is to do."""

    SET_ENTRY = 0  # store an entry (value) of a table, at its address
    PIN_TABLE = 1  # the frame at the address becomes a table, of the level `value` (0: of leaves)
    UNPIN_TABLE = 2  # and is an ordinary frame again


#: Rings, and the bits of their events.
RING_CONSOLE, RING_BLOCK = 1, 2

#: The console's page: two rings of bytes. Producer's and consumer's counts run on without bounds.
CONSOLE_INPUT, CONSOLE_OUTPUT = 1024, 2048
CONSOLE_COUNTS = Struct(
    "input_consumed" / Int32ul,
    "input_produced" / Int32ul,
    "output_consumed" / Int32ul,
    "output_produced" / Int32ul,
)
CONSOLE_RING = Struct(
    "input" / Bytes(CONSOLE_INPUT),
    "output" / Bytes(CONSOLE_OUTPUT),
    "counts" / CONSOLE_COUNTS,
)

BLOCK_SLOTS = 64

#: The disk's page. The guest produces requests; the VMM answers in `status`, in order.
BLOCK_REQUEST = Struct(
    "operation" / Int32ul,
    "status" / Int32ul,
    "sector" / Int64ul,  # of 512 bytes
    "address" / Int64ul,  # of the data
    "length" / Int64ul,  # bytes, whole sectors, up to 1 MiB; of FLUSH, nothing
)
BLOCK_COUNTS = Struct("consumed" / Int32ul, "produced" / Int32ul, "unused" / Bytes(24))
BLOCK_RING = Struct("counts" / BLOCK_COUNTS, "requests" / Array(BLOCK_SLOTS, BLOCK_REQUEST))


class Operation(IntEnum):
    """Operations of the disk."""

    READ = 0
    WRITE = 1
    FLUSH = 2
    CLEAR = 3  # fill with zeros; there is no data
    DISCARD = 4  # what the sectors hold does not matter any more


class BlockStatus(IntEnum):
    """How they went."""

    DONE = 0
    FAILED = 1  # the host's disk
    REFUSED = 2  # not on the disk, or not the guest's memory
