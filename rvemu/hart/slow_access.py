"""Loads and stores that a TLB entry does not answer at once: misaligned ones, first ones to a page,
those to devices, and those that fault. Called by rvemu.hart.access.

Nothing is written before all that may fault has been translated and checked. Where an access
crosses a page, each part is checked for itself, and a fault names the part's first address
(norm:H_straddle; "Machine Trap Value": xtval is the address of the portion that faulted).
"""

from rvemu.hart.decoded import invalidate_decoded
from rvemu.hart.exceptions import LOAD, STORE, access_fault, stop
from rvemu.hart.fields import HSTATUS
from rvemu.hart.pmp import LOAD_EXECUTABLE, Kind, pmp_page_permissions, pmp_suffices
from rvemu.hart.points import WATCH_READ, WATCH_WRITE, meet_watchpoint
from rvemu.hart.regions import find_memory, find_region, page_word, physical_address
from rvemu.hart.state import (
    ADDEND,
    DATA_ENTRIES,
    DEVICE_ABSENT,
    DEVICE_DONE,
    DEVICE_NONE,
    FAST_STORE_TAG,
    LOAD_TAG,
    PAGE_MASK,
    PAGE_WATCHED,
    STOP_READ,
    STOP_WRITE,
    STORE_TAG,
    Hart,
)
from rvemu.hart.tlb import allow_fast_stores, fill_data
from rvemu.hart.translate import REPORTED_AS, check_pmp, translate
from rvemu.hart.walk import MAY_STORE, PAGE_BITS
from rvemu.lang import (
    U1,
    U64,
    Static,
    cold,
    get,
    host_load8,
    host_load16,
    host_load32,
    host_load64,
    host_store8,
    host_store16,
    host_store32,
    host_store64,
    u64,
)

# Physical addresses have 56 bits in every translation mode; above them there is nothing.
PHYSICAL_BITS = 56

_TAG_OF = {LOAD: LOAD_TAG, STORE: STORE_TAG}

# --- Host memory by size ---------------------------------------------------------------------


def read_host(host: U64, size: Static[int]) -> U64:
    """`size` bytes of host memory, zero-extended."""
    if size == 1:
        return host_load8(host)
    if size == 2:
        return host_load16(host)
    if size == 4:
        return host_load32(host)
    return host_load64(host)


def write_host(host: U64, value: U64, size: Static[int]) -> None:
    """The low `size` bytes of a value to host memory."""
    if size == 1:
        host_store8(host, value)
    elif size == 2:
        host_store16(host, value)
    elif size == 4:
        host_store32(host, value)
    else:
        host_store64(host, value)


# --- Finding ---------------------------------------------------------------------------------


def locate(h: Hart, address: U64, size: U64, access: Static[int]) -> tuple[U64, U64]:
    """Translate and check a load or a store of `size` bytes in one page: the host address, or 0
    where there is no (writable) memory, and then the physical address."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + _TAG_OF[access]] == address & PAGE_MASK:
        held = u64(address + h.dtlb[i + ADDEND])
        if access == STORE and h.dtlb[i + FAST_STORE_TAG] != address & PAGE_MASK:
            allow_fast_stores(h, address, held)
        return held, 0
    priv, v = h.data_priv, h.data_v
    physical, attributes = translate(h, address, access, priv, v)
    whole_page = check_pmp(h, address, physical, size, access, priv, v)
    host = find_memory(h, physical, size, access == STORE)
    if host != 0 and whole_page:
        stores: U1 = 1
        if access == LOAD:
            stores = may_store(h, physical, attributes)
        fill_data(h, address, host, stores, attributes & PAGE_BITS)
    return host, physical


def may_store(h: Hart, physical: U64, attributes: U64) -> U1:
    """Whether a page that may be loaded from may be stored to without more ado."""
    if attributes & MAY_STORE == 0:
        return 0
    return pmp_suffices(pmp_page_permissions(h, physical, h.data_priv), STORE)


def locate_virtual(h: Hart, address: U64, size: U64, access: Static[int]) -> tuple[U64, U64]:
    """As `locate`, for HLV, HLVX and HSV: in VS- or VU-mode as hstatus.SPVP says. The TLBs are not
    used, and nothing of the hart's mode is touched, so nothing is left behind by a fault."""
    priv = get(h.hstatus, HSTATUS.SPVP)
    physical, _ = translate(h, address, access, priv, 1)
    check_pmp(h, address, physical, size, access, priv, 1)
    return find_memory(h, physical, size, access == STORE), physical


# --- Devices ---------------------------------------------------------------------------------


def _ask_host(h: Hart, address: U64, physical: U64, size: U64, access: Kind, v: U1) -> U1:
    """Whether the host has made the device access at hand (1), or is to be asked to (0). Raises
    access fault where nothing is there, or nothing that such an access is possible to."""
    if h.device_state == DEVICE_DONE:
        h.device_state = DEVICE_NONE
        return 1
    if h.device_state == DEVICE_ABSENT:
        h.device_state = DEVICE_NONE
        raise access_fault(h, REPORTED_AS[access], address, v)
    if physical & u64(size - 1) != 0 or physical >> PHYSICAL_BITS != 0:
        raise access_fault(h, REPORTED_AS[access], address, v)
    if find_region(h, physical, size) != 0:  # read-only memory
        raise access_fault(h, REPORTED_AS[access], address, v)
    h.device_address = physical
    h.device_width = size
    return 0


def load_device(h: Hart, address: U64, physical: U64, size: Static[int], v: U1) -> U64:
    """A load from where no memory is: the first time the host is asked, which makes the access and
    starts the instruction over; the second time its answer is the result."""
    if _ask_host(h, address, physical, size, LOAD, v) == 0:
        raise stop(h, STOP_READ)
    return u64(h.device_value & ((1 << (8 * size)) - 1))


def store_device(
    h: Hart, address: U64, physical: U64, value: U64, size: Static[int], v: U1
) -> None:
    """A store to where no writable memory is; as `load_device`."""
    if _ask_host(h, address, physical, size, STORE, v) == 0:
        h.device_value = value & ((1 << (8 * size)) - 1)
        raise stop(h, STOP_WRITE)


# --- Words that the host watches -------------------------------------------------------------


def watched_word(h: Hart, host: U64, size: Static[int]) -> U1:
    """Whether a store of `size` bytes at a host address lies in a word that the host watches."""
    word = page_word(h, host)
    if word == 0 or host_load32(word) & PAGE_WATCHED == 0:
        return 0
    physical = physical_address(h, host)
    for n in (0, 1):
        watched = h.shared.watched[n]
        if watched != 0 and u64(physical - watched) <= 8 - size:
            return 1
    return 0


def store_watched(h: Hart, host: U64, value: U64, size: Static[int]) -> None:
    """Have the host make a store. It writes to memory what is to be seen there."""
    if h.device_state == DEVICE_NONE:
        h.device_address = physical_address(h, host)
        h.device_width = size
        h.device_value = value & ((1 << (8 * size)) - 1)
        raise stop(h, STOP_WRITE)
    h.device_state = DEVICE_NONE


# --- Loads and stores ------------------------------------------------------------------------


def crosses_page(address: U64, size: Static[int]) -> U1:
    """Whether an access of `size` bytes lies in two pages."""
    if address & 0xFFF > 4096 - size:
        return 1
    return 0


def find(
    h: Hart, address: U64, size: U64, access: Static[int], virtual: Static[bool]
) -> tuple[U64, U64]:
    """`locate`, or `locate_virtual`."""
    if virtual:
        return locate_virtual(h, address, size, access)
    return locate(h, address, size, access)


def _find_parts(
    h: Hart, address: U64, size: U64, access: Static[int], virtual: Static[bool], v: U1
) -> tuple[U64, U64]:
    """The host addresses of both parts of an access that crosses a page. Only memory can be
    accessed so."""
    second = u64(address + 0x1000) & PAGE_MASK
    length = u64(second - address)
    first_host, _ = find(h, address, length, access, virtual)
    if first_host == 0:
        raise access_fault(h, REPORTED_AS[access], address, v)
    second_host, _ = find(h, second, u64(size - length), access, virtual)
    if second_host == 0:
        raise access_fault(h, REPORTED_AS[access], second, v)
    return first_host, second_host


def slow_load(
    h: Hart, address: U64, size: Static[int], access: Static[int], virtual: Static[bool], v: U1
) -> U64:
    """A load of any alignment. virtual: HLV and HLVX. v: the V that it is made with."""
    if crosses_page(address, size):
        first, second = _find_parts(h, address, size, access, virtual, v)
        if not virtual:
            meet_watchpoint(h, address, size, WATCH_READ)
        length = 4096 - (address & 0xFFF)
        value: U64 = 0
        for n in range(size):
            host = u64(first + n)
            if n >= length:
                host = u64(second + n - length)
            value = value | host_load8(host) << (8 * n)
        return value
    host, physical = find(h, address, size, access, virtual)
    if not virtual:
        meet_watchpoint(h, address, size, WATCH_READ)
    if host == 0:
        if access == LOAD_EXECUTABLE:  # devices are not executable (norm:hlsv_u_op)
            raise access_fault(h, LOAD, address, v)
        return load_device(h, address, physical, size, v)
    return read_host(host, size)


def slow_store(
    h: Hart, address: U64, value: U64, size: Static[int], virtual: Static[bool], v: U1
) -> None:
    """A store of any alignment. virtual: HSV. v: the V that it is made with."""
    if crosses_page(address, size):
        first, second = _find_parts(h, address, size, STORE, virtual, v)
        if not virtual:
            meet_watchpoint(h, address, size, WATCH_WRITE)
        length = 4096 - (address & 0xFFF)
        for n in range(size):
            host = u64(first + n)
            if n >= length:
                host = u64(second + n - length)
            host_store8(host, value >> (8 * n))
        invalidate_decoded(h, first, length)
        invalidate_decoded(h, second, u64(size - length))
        return
    host, physical = find(h, address, size, STORE, virtual)
    if not virtual:
        meet_watchpoint(h, address, size, WATCH_WRITE)
    if host == 0:
        store_device(h, address, physical, value, size, v)
        return
    if watched_word(h, host, size):
        store_watched(h, host, value, size)
        return
    write_host(host, value, size)
    invalidate_decoded(h, host, size)


@cold
def load_slow(h: Hart, address: U64, size: Static[int]) -> U64:
    """A load that the TLB did not answer."""
    return slow_load(h, address, size, LOAD, False, h.data_v)


@cold
def store_slow(h: Hart, address: U64, value: U64, size: Static[int]) -> None:
    """A store that the TLB did not answer."""
    slow_store(h, address, value, size, False, h.data_v)
