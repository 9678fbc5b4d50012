"""Options as users of QEMU type them: with one dash, and some that have no place here."""

from collections.abc import Sequence

from rvemu.errors import RvemuError

# QEMU's long options that rvemu has, too; QEMU takes them with one dash or two.
_COMMON = frozenset(
    (
        *("append", "bios", "drive", "gdb", "initrd", "kernel", "netdev", "no-reboot"),
        *("smp", "snapshot", "version", "help"),
    )
)

_SLOTS = "--drive, --netdev, --share, --rng and --virtio-console plug their devices in"
_BOARD = "the board is `virt`"
_CONSOLE = "the console is the terminal"
_DISK = "--drive file=FILE,format=raw"
_NETWORK = "--netdev user"
_SHARE = "--share FOLDER"

# QEMU's options that rvemu has not, and what there is instead.
_INSTEAD = {
    "M": _BOARD,
    "machine": _BOARD,
    "accel": "--engine",
    "cpu": "--isa says what harts have",
    "device": _SLOTS,
    "nographic": _CONSOLE,
    "display": _CONSOLE,
    "serial": _CONSOLE,
    "monitor": "on the terminal it is Ctrl-A c",
    "hda": _DISK,
    "sd": _DISK,
    "cdrom": _DISK,
    "blockdev": _DISK,
    "nic": _NETWORK,
    "net": _NETWORK,
    "fsdev": _SHARE,
    "virtfs": _SHARE,
    "d": "--trace, --trace-traps and --trace-mmu",
    "icount": "--clock instructions, which is the default",
    "rtc": "--clock wall",
}


def in_our_spelling(words: Sequence[str]) -> list[str]:
    """A command's words, with two dashes where QEMU has one. Raises `RvemuError`, one line for all,
    where there are options of QEMU's that rvemu has not."""
    end = words.index("--") if "--" in words else len(words)
    names = {word: _name(word) for word in words[:end] if word.startswith("-")}
    foreign = [f"-{name}: {_INSTEAD[name]}" for name in names.values() if name in _INSTEAD]
    if foreign:
        raise RvemuError(f"rvemu has not all of QEMU's options; {'; '.join(foreign)}")
    ours = [f"-{word}" if _is_short(word) else word for word in words[:end]]
    return [*ours, *words[end:]]


def _name(option: str) -> str:
    """An option's name, without its dashes and value."""
    return option.removeprefix("-").removeprefix("-").partition("=")[0]


def _is_short(word: str) -> bool:
    """Whether it is an option that QEMU's users have learnt to type with one dash."""
    return word.startswith("-") and not word.startswith("--") and _name(word) in _COMMON
