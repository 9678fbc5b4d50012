"""Memory, as instructions and the engines' fetch use it.

Each function looks in the TLB of the current context, and does the rest in a `@cold` one. Tags
have the page in bits 63:12 and zeros below, so one comparison with the address's page and lowest
bits tells both that the page is held and that the access is aligned.
"""

from rvemu.hart.decoded import invalidate_decoded
from rvemu.hart.exceptions import (
    FETCH,
    LOAD,
    STORE,
    access_fault,
    address_misaligned,
)
from rvemu.hart.pmp import LOAD_EXECUTABLE, MANAGE
from rvemu.hart.points import WATCH_READ, WATCH_WRITE, meet_watchpoint
from rvemu.hart.regions import find_memory, find_region, physical_address
from rvemu.hart.slow_access import (
    load_slow,
    locate,
    read_host,
    slow_load,
    slow_store,
    store_slow,
    write_host,
)
from rvemu.hart.state import (
    ADDEND,
    DATA_ENTRIES,
    FAST_STORE_TAG,
    FETCH_ADDEND,
    FETCH_ENTRIES,
    FETCH_TAG,
    LOAD_TAG,
    PAGE_MASK,
    STORE_TAG,
    Hart,
)
from rvemu.hart.tlb import fill_data, fill_fetch
from rvemu.hart.translate import check_pmp, translate
from rvemu.hart.walk import PAGE_BITS
from rvemu.lang import (
    U8,
    U16,
    U32,
    U64,
    Static,
    cold,
    host_load8,
    host_load16,
    host_load32,
    host_load64,
    host_store8,
    host_store16,
    host_store32,
    host_store64,
    u8,
    u16,
    u32,
    u64,
)

# --- Loads and stores ------------------------------------------------------------------------


def load8(h: Hart, address: U64) -> U8:
    """A byte of the current address space."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & PAGE_MASK:
        return host_load8(u64(address + h.dtlb[i + ADDEND]))
    return u8(load_slow(h, address, 1))


def load16(h: Hart, address: U64) -> U16:
    """Two bytes, of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & (PAGE_MASK | 1):
        return host_load16(u64(address + h.dtlb[i + ADDEND]))
    return u16(load_slow(h, address, 2))


def load32(h: Hart, address: U64) -> U32:
    """Four bytes, of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & (PAGE_MASK | 3):
        return host_load32(u64(address + h.dtlb[i + ADDEND]))
    return u32(load_slow(h, address, 4))


def load64(h: Hart, address: U64) -> U64:
    """Eight bytes, of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & (PAGE_MASK | 7):
        return host_load64(u64(address + h.dtlb[i + ADDEND]))
    return load_slow(h, address, 8)


def store8(h: Hart, address: U64, value: U64) -> None:
    """The low byte of a value."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & PAGE_MASK:
        host_store8(u64(address + h.dtlb[i + ADDEND]), value)
    else:
        store_slow(h, address, value, 1)


def store16(h: Hart, address: U64, value: U64) -> None:
    """The low two bytes of a value, to an address of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & (PAGE_MASK | 1):
        host_store16(u64(address + h.dtlb[i + ADDEND]), value)
    else:
        store_slow(h, address, value, 2)


def store32(h: Hart, address: U64, value: U64) -> None:
    """The low four bytes of a value, to an address of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & (PAGE_MASK | 3):
        host_store32(u64(address + h.dtlb[i + ADDEND]), value)
    else:
        store_slow(h, address, value, 4)


def store64(h: Hart, address: U64, value: U64) -> None:
    """Eight bytes, to an address of any alignment."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & (PAGE_MASK | 7):
        host_store64(u64(address + h.dtlb[i + ADDEND]), value)
    else:
        store_slow(h, address, value, 8)


# --- Atomics ---------------------------------------------------------------------------------


def locate_for_amo(h: Hart, address: U64, size: Static[int]) -> U64:
    """The host address of `size` bytes that an atomic operation is about to change. Raises what a
    store there would, and address-misaligned where the address is not aligned."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & (PAGE_MASK | (size - 1)):
        return u64(address + h.dtlb[i + ADDEND])
    return _locate_for_amo_slow(h, address, size)


@cold
def _locate_for_amo_slow(h: Hart, address: U64, size: Static[int]) -> U64:
    """The same where the TLB did not answer. What may be written may be read, in page tables as in
    PMP, so a store's permission is all that is checked. Atomics of devices are access faults."""
    if address & (size - 1) != 0:
        raise address_misaligned(h, STORE, address, h.data_v)
    host, _ = locate(h, address, size, STORE)
    if host == 0:
        raise access_fault(h, STORE, address, h.data_v)
    meet_watchpoint(h, address, size, WATCH_READ | WATCH_WRITE)
    invalidate_decoded(h, host, size)
    return host


def load_reserved(h: Hart, address: U64, size: Static[int]) -> U64:
    """The value (zero-extended) at an aligned address, and a reservation of exactly its bytes."""
    host = _locate_reserved(h, address, size)
    h.reservation_address = physical_address(h, host)
    h.reservation_size = size
    return read_host(host, size)


def _locate_reserved(h: Hart, address: U64, size: Static[int]) -> U64:
    """The host address of what lr loads."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + LOAD_TAG] == address & (PAGE_MASK | (size - 1)):
        return u64(address + h.dtlb[i + ADDEND])
    return _locate_reserved_slow(h, address, size)


@cold
def _locate_reserved_slow(h: Hart, address: U64, size: Static[int]) -> U64:
    if address & (size - 1) != 0:
        raise address_misaligned(h, LOAD, address, h.data_v)
    host, _ = locate(h, address, size, LOAD)
    if host == 0:
        raise access_fault(h, LOAD, address, h.data_v)
    meet_watchpoint(h, address, size, WATCH_READ)
    return host


def store_conditional(h: Hart, address: U64, size: Static[int], value: U64) -> U64:
    """Store at an aligned address if all its bytes are reserved: 0; else 1, and nothing stored. No
    reservation is left.

    One that fails checks its address as one that succeeds (norm:sc_retire_permission), and may set
    D (norm:sc_failed_side_effects). One that traps has not been executed: the reservation stays."""
    host = locate_for_amo(h, address, size)
    offset = u64(physical_address(h, host) - h.reservation_address)
    reserved = h.reservation_size
    h.reservation_size = 0
    if reserved < size or offset > u64(reserved - size):
        return 1
    write_host(host, value, size)
    return 0


# --- Fetching --------------------------------------------------------------------------------


def fetch(h: Hart, address: U64) -> U64:
    """The host address of the 2 bytes of an instruction at an address. They may be all that can be
    read there: see `fetch_instruction`."""
    i = h.ftlb_base + ((address >> 12) & (FETCH_ENTRIES - 1)) * 4
    if h.ftlb[i + FETCH_TAG] == address & PAGE_MASK:
        return u64(address + h.ftlb[i + FETCH_ADDEND])
    return _fetch_slow(h, address)


def fetch_instruction(h: Hart, address: U64) -> U32:
    """The bits of the instruction at an address: 2 bytes, or 4 if its lowest two bits are ones. A
    fault of its second half, which may lie in another page, names that half's address."""
    i = h.ftlb_base + ((address >> 12) & (FETCH_ENTRIES - 1)) * 4
    if address & 0xFFF <= 4096 - 4 and h.ftlb[i + FETCH_TAG] == address & PAGE_MASK:
        raw = host_load32(u64(address + h.ftlb[i + FETCH_ADDEND]))
        if raw & 3 == 3:
            return raw
        return raw & 0xFFFF
    # In a page that is not held (PMP cuts it), each half is checked by itself.
    first = host_load16(fetch(h, address))
    if first & 3 != 3:
        return first
    return first | host_load16(fetch(h, u64(address + 2))) << 16


@cold
def _fetch_slow(h: Hart, address: U64) -> U64:
    physical, attributes = translate(h, address, FETCH, h.priv, h.v)
    whole_page = check_pmp(h, address, physical, 2, FETCH, h.priv, h.v)
    host = find_region(h, physical, 2)
    if host == 0:
        raise access_fault(h, FETCH, address, h.v)
    if whole_page:
        fill_fetch(h, address, host, attributes & PAGE_BITS)
    return host


# --- Hypervisor loads and stores -------------------------------------------------------------
# hstatus.SPVP says which of VS- and VU-mode they act as (norm:hlsv_priv).


def hypervisor_load(h: Hart, address: U64, size: Static[int], execute: Static[bool]) -> U64:
    """HLV, and HLVX (`execute`): a load as VS- or VU-mode makes it, zero-extended."""
    return slow_load(h, address, size, LOAD_EXECUTABLE if execute else LOAD, True, 1)


def hypervisor_store(h: Hart, address: U64, value: U64, size: Static[int]) -> None:
    """HSV: a store as VS- or VU-mode makes it."""
    slow_store(h, address, value, size, True, 1)


# --- Cache blocks ----------------------------------------------------------------------------

BLOCK_BYTES = 64


def zero_block(h: Hart, address: U64) -> None:
    """cbo.zero: clear the cache block that an address lies in. Faults are a store's, and name the
    address as it is (norm:cbz_unperm_fault, norm:fault_excep_csr)."""
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    if h.dtlb[i + FAST_STORE_TAG] == address & PAGE_MASK:
        _clear(u64(address + h.dtlb[i + ADDEND] - (address & (BLOCK_BYTES - 1))))
    else:
        _zero_block_slow(h, address)


def _clear(host: U64) -> None:
    for offset in range(0, BLOCK_BYTES, 8):
        host_store64(u64(host + offset), 0)


@cold
def _zero_block_slow(h: Hart, address: U64) -> None:
    offset = address & (BLOCK_BYTES - 1)
    i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
    host: U64 = u64(address + h.dtlb[i + ADDEND])
    if h.dtlb[i + STORE_TAG] != address & PAGE_MASK:
        host = _locate_block(h, address)
    meet_watchpoint(h, u64(address - offset), BLOCK_BYTES, WATCH_WRITE)
    _clear(u64(host - offset))
    invalidate_decoded(h, u64(host - offset), BLOCK_BYTES)


def _locate_block(h: Hart, address: U64) -> U64:
    """The host address of a byte whose whole block may be stored to."""
    priv, v = h.data_priv, h.data_v
    physical, attributes = translate(h, address, STORE, priv, v)
    block = physical & ~(BLOCK_BYTES - 1)
    whole_page = check_pmp(h, address, block, BLOCK_BYTES, STORE, priv, v)
    host = find_memory(h, physical, 1, True)
    if host == 0:
        raise access_fault(h, STORE, address, v)
    if whole_page:
        fill_data(h, address, host, 1, attributes & PAGE_BITS)
    return host


@cold
def manage_block(h: Hart, address: U64) -> None:
    """cbo.clean, cbo.flush, cbo.inval: check that the cache block that an address lies in may be
    loaded from or stored to. Faults are a store's (norm:cbm_unperm_fault); A is set or checked, D
    is not (norm:cbm_unperm_translate). There is no cache, so nothing else is to be done. Blocks of
    devices are refused."""
    priv, v = h.data_priv, h.data_v
    physical, _ = translate(h, address, MANAGE, priv, v)
    block = physical & ~(BLOCK_BYTES - 1)
    check_pmp(h, address, block, BLOCK_BYTES, MANAGE, priv, v)
    if find_region(h, physical, 1) == 0:
        raise access_fault(h, STORE, address, v)
