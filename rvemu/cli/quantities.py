"""Sizes and counts, as people write them on a command line."""

import argparse
import re

_SIZES = {"": 20, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_COUNTS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def size(text: str) -> int:
    """Bytes, from `128M`, `1G`, `64KiB` or `4096B`. A bare number is in MiB, as QEMU's -m is."""
    matched = re.fullmatch(r"(\d+)([bkmgt]?)(?:(?<=[kmgt])i?b)?", text.strip().lower())
    if matched is None or not int(matched[1]):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size, as 128M or 2G")
    return int(matched[1]) << _SIZES[matched[2]]


def count(text: str) -> int:
    """A positive number, from `5000000`, `5_000_000` or `5M`."""
    matched = re.fullmatch(r"(\d[\d_]*)([kmg]?)", text.strip().lower())
    number = int(matched[1].replace("_", "")) * _COUNTS[matched[2]] if matched else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a positive number, as 100 or 5M")
    return number
