"""Direct paging: whatever a guest asks for, its tables reach its own memory alone, and it can't
change them but by asking."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.vmm.direct_paging import DirectPaging, RefusedError
from rvemu.vmm.hypercalls import What
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.virtual_machine import PARAVIRT, VirtualMachine
from tests.vmm.audit import check_tables, tables_of

BASE, MEMORY = 0x8000_0000, 4 << 20
END = BASE + MEMORY
V, R, W, X, U, G, A, D = (1 << n for n in range(8))
SET, PIN, UNPIN = What.SET_ENTRY, What.PIN_TABLE, What.UNPIN_TABLE
LARGE = 2 << 20

# Frames of some tables, and of ordinary memory beside them.
ROOT, MIDDLE, LAST = BASE + 0x10_0000, BASE + 0x10_1000, BASE + 0x10_2000
PAGE = BASE + 0x20_0000
# Frames that random changes are about: the first and the last ones, and others.
POOL = (BASE, BASE + 0x1F_F000, PAGE, PAGE + 0x1000, END - 0x2000, END - 0x1000)


@pytest.fixture(scope="module")
def monitor() -> Paravirt:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    assert isinstance(machine.monitor, Paravirt)
    return machine.monitor


@pytest.fixture
def paging(monitor: Paravirt) -> DirectPaging:
    """All frames are ordinary, and zero."""
    return fresh(monitor)


def fresh(monitor: Paravirt) -> DirectPaging:
    monitor.begin()
    monitor.paging.store(BASE, bytes(MEMORY))
    return monitor.paging


def entry(target: int, flags: int) -> int:
    return target >> 2 | flags


def store(paging: DirectPaging, address: int, value: int) -> None:
    """The guest's own store, to an ordinary frame."""
    assert paging.is_ordinary(address, 8)
    paging.store(address, value.to_bytes(8, "little"))


def word(paging: DirectPaging, address: int) -> int:
    return int.from_bytes(paging.read(address, 8), "little")


def tables(paging: DirectPaging) -> None:
    """A root, in which a middle table is, in which a last one is, which maps a page for stores."""
    for frame, level in ((ROOT, 2), (MIDDLE, 1), (LAST, 0)):
        paging.update(PIN, frame, level)
    paging.update(SET, ROOT, entry(MIDDLE, V))
    paging.update(SET, MIDDLE, entry(LAST, V))
    paging.update(SET, LAST, entry(PAGE, V | R | W | A | D))


# --- Single changes ------------------------------------------------------------------------------


def test_what_stands_in_tables(monitor: Paravirt, paging: DirectPaging) -> None:
    """Physical addresses, pages for U-mode, where the kernel is as well; and nothing global."""
    tables(paging)
    distance = monitor.to_physical
    assert word(paging, ROOT) == entry(MIDDLE + distance, V)
    assert word(paging, LAST) == entry(PAGE + distance, V | R | W | U | A | D)
    for asked, made in (
        (entry(PAGE, V | R | X | G | 0x300), entry(PAGE + distance, V | R | X | U | 0x300)),
        (entry(PAGE, R | W | X), entry(PAGE, R | W | X)),  # not valid: the guest's own affair
        ((1 << 64) - 2, (1 << 64) - 2),
    ):
        paging.update(SET, LAST + 8, asked)
        assert word(paging, LAST + 8) == made
    paging.update(SET, MIDDLE + 8, entry(PAGE, V | R | W | G))  # 2 MiB
    assert word(paging, MIDDLE + 8) == entry(PAGE + distance, V | R | W | U)


def test_a_table_may_be_pinned_with_its_content(monitor: Paravirt, paging: DirectPaging) -> None:
    store(paging, LAST, entry(PAGE, V | R | W))
    store(paging, LAST + 0xFF8, entry(LAST, V | R | G))  # itself, but not for stores
    paging.update(PIN, LAST, 0)
    distance = monitor.to_physical
    assert word(paging, LAST) == entry(PAGE + distance, V | R | W | U)
    assert word(paging, LAST + 0xFF8) == entry(LAST + distance, V | R | U)


ORDINARY = V | R | W
REFUSED_ENTRIES = {
    "before the memory": entry(BASE - 0x1000, V | R),
    "behind the memory": entry(END, V | R),
    "at the end of the address space": entry((1 << 56) - 0x1000, V | R),
    "at address 0": entry(0, V | R),
    "the bank as the hart sees it": entry(1 << 36, V | R),
    "the VMM's memory": entry(1 << 55, V | R),
    "W without R": entry(PAGE, V | W),
    "W and X without R": entry(PAGE, V | W | X),
    "N": entry(PAGE, ORDINARY) | 1 << 63,
    "PBMT": entry(PAGE, ORDINARY) | 1 << 61,
    "a reserved bit": entry(PAGE, ORDINARY) | 1 << 54,
    "a table for stores": entry(LAST, ORDINARY),
    "a root for stores": entry(ROOT, ORDINARY),
    "a table below the last level": entry(LAST, V),
}
REFUSED_ABOVE = {
    "what is no table": entry(PAGE, V),
    "a table of its own level": entry(MIDDLE, V),
    "a table of a higher level": entry(ROOT, V),
    "a table, with U": entry(LAST, V | U),
    "a table, with A": entry(LAST, V | A),
    "a table, with D": entry(LAST, V | D),
    "a table outside the memory": entry(END, V),
    "2 MiB that are not aligned": entry(PAGE + 0x1000, V | R),
    "2 MiB that are not aligned, by their lowest PPN bit alone": entry(
        PAGE + LARGE - 0x1000, V | R
    ),
    "2 MiB behind the memory": entry(END, V | R),
    "2 MiB with tables, for stores": entry(BASE, ORDINARY),
    "2 MiB with a page that the root is, for stores": entry(ROOT & -LARGE, V | R | W | X),
}


def refused(paging: DirectPaging, what: int, address: int, value: int) -> None:
    """A change is refused, and nothing changes."""
    memory, kept = paging.read(BASE, MEMORY), tables_of(paging)
    with pytest.raises(RefusedError):
        paging.update(what, address, value)
    assert paging.read(BASE, MEMORY) == memory
    assert tables_of(paging) == kept


@pytest.mark.parametrize("name", REFUSED_ENTRIES)
def test_entries_that_are_refused(paging: DirectPaging, name: str) -> None:
    tables(paging)
    value = REFUSED_ENTRIES[name]
    refused(paging, SET, LAST, value)
    for index, frame in ((0, PAGE + 0x1000), (511, PAGE + 0x2000)):
        store(paging, frame + 8 * index, value)
        refused(paging, PIN, frame, 0)
    # What is refused in one place of a table leaves nothing of the others.
    frame = PAGE + 0x3000
    store(paging, frame, entry(PAGE, ORDINARY))
    store(paging, frame + 8, value)
    refused(paging, PIN, frame, 0)
    paging.update(SET, LAST, 0)
    paging.update(PIN, PAGE, 0)


@pytest.mark.parametrize("name", REFUSED_ABOVE)
def test_entries_that_are_refused_above_the_last_level(paging: DirectPaging, name: str) -> None:
    tables(paging)
    refused(paging, SET, MIDDLE, REFUSED_ABOVE[name])
    store(paging, PAGE + 0x1000, REFUSED_ABOVE[name])
    refused(paging, PIN, PAGE + 0x1000, 1)


def test_a_gigabyte_is_refused(paging: DirectPaging) -> None:
    tables(paging)
    for value in (entry(BASE, V | R), entry(0, V | R), entry(BASE, V | X)):
        refused(paging, SET, ROOT + 8, value)


@pytest.mark.parametrize(
    "address",
    [
        PAGE,  # no table
        LAST + 4,
        LAST + 7,
        LAST - 0x1000_0000,
        END,
        BASE - 8,
        (1 << 64) - 8,
        LAST + (1 << 56),
        0,
    ],
)
def test_addresses_that_are_no_entries(paging: DirectPaging, address: int) -> None:
    tables(paging)
    refused(paging, SET, address, 0)


@pytest.mark.parametrize(
    "frame, level",
    [
        (PAGE + 0x1000, 5),
        (PAGE + 0x1000, (1 << 64) - 1),
        (PAGE + 0x1008, 0),
        (PAGE + 1, 0),
        (PAGE, 0),  # mapped for stores
        (LAST, 0),  # a table
        (LAST, 1),
        (END, 0),
        (END - 8, 0),
        (BASE - 0x1000, 0),
        ((1 << 64) - 0x1000, 0),
        (PAGE + (1 << 60), 0),
    ],
)
def test_frames_that_can_be_no_tables(paging: DirectPaging, frame: int, level: int) -> None:
    tables(paging)
    refused(paging, PIN, frame, level)


def test_what_a_large_page_maps_for_stores_can_be_no_table(paging: DirectPaging) -> None:
    paging.update(PIN, MIDDLE, 1)
    paging.update(SET, MIDDLE, entry(PAGE, ORDINARY))
    for frame in (PAGE, PAGE + 0x1000, PAGE + LARGE - 0x1000):
        refused(paging, PIN, frame, 0)
    paging.update(SET, MIDDLE, entry(PAGE, V | R))
    paging.update(PIN, PAGE + 0x1000, 0)
    refused(paging, SET, MIDDLE, entry(PAGE, ORDINARY))
    store(paging, PAGE + 0x2000, entry(PAGE, ORDINARY))
    refused(paging, PIN, PAGE + 0x2000, 1)


def test_a_table_does_not_map_itself_for_stores(paging: DirectPaging) -> None:
    for level, target in ((0, PAGE), (1, PAGE)):
        store(paging, PAGE, entry(target, ORDINARY))
        refused(paging, PIN, PAGE, level)
    store(paging, PAGE, 0)
    paging.update(PIN, PAGE, 1)
    refused(paging, SET, PAGE, entry(PAGE, ORDINARY))


def test_a_table_in_use_stays_one(paging: DirectPaging) -> None:
    tables(paging)
    refused(paging, UNPIN, LAST, 0)
    refused(paging, UNPIN, MIDDLE, 0)
    paging.update(SET, ROOT + 8, entry(MIDDLE, V))
    paging.update(SET, ROOT, 0)
    refused(paging, UNPIN, MIDDLE, 0)  # another entry still leads to it
    paging.update(PIN, PAGE + 0x1000, 2)
    paging.set_roots(ROOT, ROOT)
    refused(paging, UNPIN, ROOT, 0)
    for roots in ((ROOT, PAGE + 0x1000), (PAGE + 0x1000, ROOT)):
        paging.set_roots(*roots)
        refused(paging, UNPIN, ROOT, 0)
        refused(paging, UNPIN, PAGE + 0x1000, 0)
    paging.set_roots(0, 0)
    assert tables_of(paging)[ROOT].users == 0
    paging.update(UNPIN, ROOT, 0)
    paging.update(UNPIN, MIDDLE, 0)
    refused(paging, PIN, PAGE, 0)  # the last table maps it
    paging.update(UNPIN, LAST, 0)
    paging.update(PIN, PAGE, 0)


def test_what_was_a_table_has_physical_addresses(paging: DirectPaging) -> None:
    """They are the host's, and mean nothing in the guest's memory."""
    tables(paging)
    paging.update(SET, MIDDLE, 0)
    paging.update(UNPIN, LAST, 0)
    refused(paging, PIN, LAST, 0)
    store(paging, LAST, 0)
    paging.update(PIN, LAST, 0)


@pytest.mark.parametrize("frame", [PAGE, LAST, MIDDLE, END, ROOT + 8, 1])
def test_what_is_no_root(paging: DirectPaging, frame: int) -> None:
    tables(paging)
    with pytest.raises(RefusedError, match="no root"):
        paging.set_roots(ROOT, frame)


def asids(paging: DirectPaging) -> list[int]:
    """Of the tables in use."""
    return [register >> 44 & 0xFFFF for register in paging.roots.physical]


def test_roots_have_an_asid_each_and_give_it_back(
    paging: DirectPaging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rvemu.vmm.direct_paging._ASIDS", 3)
    paging.begin()
    roots = [PAGE + 0x1000 * n for n in range(3)]
    for frame in roots:
        paging.update(PIN, frame, 2)
    assert asids(paging) == [0, 0]  # the linear map's
    paging.set_roots(roots[1], roots[0])
    first, second = asids(paging)
    assert {first, second} == {1, 2}
    with pytest.raises(RefusedError, match="already"):
        paging.set_roots(roots[1], roots[2])
    assert asids(paging) == [first, second]
    paging.set_roots(roots[1], roots[1])
    paging.update(UNPIN, roots[0], 0)
    paging.set_roots(roots[1], roots[2])
    assert asids(paging) == [first, second]


def test_pages_that_the_vmm_writes_are_no_tables(paging: DirectPaging) -> None:
    tables(paging)
    paging.share(PAGE)
    refused(paging, PIN, PAGE, 0)
    for frame in (LAST, END, BASE - 0x1000, PAGE + 8, 1 << 63):
        with pytest.raises(RefusedError):
            paging.share(frame)


def test_there_is_no_other_update(paging: DirectPaging) -> None:
    for what in (3, 255, (1 << 64) - 1):
        refused(paging, what, PAGE, 0)


# --- Any changes ---------------------------------------------------------------------------------

# Most of what is asked is nearly right: each frame is good for a table of some level, entries lead
# to a frame or map one; and now and then something is wrong.
_LEVELS = dict(zip(POOL, (2, 1, 0, 0, 1, 0), strict=True))
_FLAGS = (V | R, V | R | W, V | R | W, V | R | W | X, V | X, V | R | W | A | D, V | R | G)
_WRONG = (1 << 54, 1 << 63, U, A, D, W, G, R, entry(1 << 36, 0), entry(MEMORY, 0), entry(0x1000, 0))


@st.composite
def _entries(draw: st.DrawFn, level: int) -> int:
    kind = draw(st.sampled_from(["leaf", "leaf", "table", "zero", "any"]))
    if kind == "zero":
        return 0
    if kind == "any":
        return draw(st.integers(0, (1 << 64) - 1))
    if kind == "table":
        value = entry(draw(st.sampled_from(POOL)), V)
    else:
        target = draw(st.sampled_from(POOL)) & (-LARGE if level == 1 else -4096)
        value = entry(target, draw(st.sampled_from(_FLAGS)))
    if draw(st.integers(0, 4)) == 0:
        value ^= draw(st.sampled_from(_WRONG))
    return value


@st.composite
def _change(draw: st.DrawFn) -> tuple[str, int, int]:
    kind = draw(st.sampled_from(["store", "set", "set", "set", "pin", "unpin", "root", "share"]))
    frame = draw(st.sampled_from(POOL))
    level = _LEVELS[frame]
    if kind in ("store", "set"):
        index = draw(st.sampled_from([0, 1, 2, 511]))
        return kind, frame + 8 * index, draw(_entries(level))
    if kind == "pin" and draw(st.integers(0, 4)) == 0:
        level = draw(st.integers(0, 5))
    return kind, frame, level


def make(paging: DirectPaging, roots: list[int], change: tuple[str, int, int]) -> None:
    kind, address, value = change
    if kind == "store":
        if paging.is_ordinary(address, 8):
            store(paging, address, value)
    elif kind == "root":
        paging.set_roots(address, address)
        roots[:] = address, address
    elif kind == "share":
        paging.share(address)
    else:
        paging.update({"set": SET, "pin": PIN, "unpin": UNPIN}[kind], address, value)


def give_all_back(paging: DirectPaging) -> None:
    """Nothing is in use that nothing uses: all entries can be dropped, and all tables; and then
    every frame may become a table."""
    paging.set_roots(0, 0)
    for frame in tables_of(paging):
        for index in (0, 1, 2, 511):
            paging.update(SET, frame + 8 * index, 0)
    for frame in tables_of(paging):
        paging.update(UNPIN, frame, 0)
    for frame in POOL:
        if not paging.is_shared(frame):
            paging.store(frame, bytes(4096))
            paging.update(PIN, frame, 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(_change(), min_size=10, max_size=50))
def test_the_rules_hold_whatever_is_asked(
    monitor: Paravirt, changes: list[tuple[str, int, int]]
) -> None:
    paging = fresh(monitor)
    roots: list[int] = []
    for frame, level in tuple(_LEVELS.items())[:3]:
        paging.update(PIN, frame, level)
    for change in changes:
        memory = [paging.read(frame, 4096) for frame in POOL]
        kept = tables_of(paging)
        try:
            make(paging, roots, change)
        except RefusedError:
            assert [paging.read(frame, 4096) for frame in POOL] == memory
            assert tables_of(paging) == kept
        check_tables(monitor, roots)
    give_all_back(paging)
