"""Guest memory as the model sees it: at most eight regions of whole pages, RAM first.

What is in no region is a device, or nothing. Each page has a *page word*, 32 bits that say whether
its instructions are decoded (PAGE_DECODED) and whether a TLB may hold it for fast stores
(PAGE_STORED); see rvemu.hart.decoded.
"""

from rvemu.hart.state import REGIONS, Hart
from rvemu.lang import U64, Static, u64

REGION_NUMBERS = tuple(range(REGIONS))


def find_memory(h: Hart, physical: U64, size: U64, writing: Static[bool]) -> U64:
    """The host address of `size` bytes at a physical address, or 0 if they do not all lie in one
    region (for `writing`: in one that is writable)."""
    for n in REGION_NUMBERS:
        offset = u64(physical - h.shared.region_base[n])
        length = h.shared.region_size[n]
        if offset < length and size <= u64(length - offset):
            if writing and h.shared.region_writable[n] == 0:
                return 0
            return u64(h.shared.region_host[n] + offset)
    return 0


def find_region(h: Hart, physical: U64, size: U64) -> U64:
    """The host address of `size` bytes at a physical address, or 0 if they are not in memory."""
    return find_memory(h, physical, size, False)


def physical_address(h: Hart, host: U64) -> U64:
    """The physical address of a byte of guest memory, by its host address."""
    for n in REGION_NUMBERS:
        offset = u64(host - h.shared.region_host[n])
        if offset < h.shared.region_size[n]:
            return u64(h.shared.region_base[n] + offset)
    return 0


def page_word(h: Hart, host: U64) -> U64:
    """Where the page word of a byte of guest memory is, by the byte's host address (both are host
    addresses); 0 if that is not guest memory."""
    for n in REGION_NUMBERS:
        offset = u64(host - h.shared.region_host[n])
        if offset < h.shared.region_size[n]:
            return u64(h.shared.region_pages[n] + (offset >> 12) * 4)
    return 0


def writable_page_word(h: Hart, host: U64) -> U64:
    """As `page_word`; 0 for read-only memory as well."""
    for n in REGION_NUMBERS:
        offset = u64(host - h.shared.region_host[n])
        if offset < h.shared.region_size[n]:
            if h.shared.region_writable[n] == 0:
                return 0
            return u64(h.shared.region_pages[n] + (offset >> 12) * 4)
    return 0


def page_offset(h: Hart, host: U64) -> U64:
    """The offset in its page of a byte of guest memory, by its host address. (Host memory need not
    be aligned as the guest's is.)"""
    return physical_address(h, host) & 0xFFF
