"""Option values made of keys and values, in QEMU's spelling: `file=disk.img,readonly=on`.

A comma in a value is written twice.
"""

from __future__ import annotations

import re

from rvemu.errors import RvemuError

_SIZES = {"": 0, "b": 0, "k": 10, "m": 20, "g": 30, "t": 40}
_SWITCHES = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


class Options:
    """The keys and values of one option, which are taken one by one; `finish` refuses the rest."""

    def __init__(self, option: str, text: str, pairs: list[tuple[str, str]]) -> None:
        self._option = option
        self._text = text
        self._pairs = pairs

    @staticmethod
    def parse(option: str, text: str, first: str | None = None) -> Options:
        """Read a value such as `a=1,b=2`. first: the key of a leading value that has none, as
        QEMU's `--netdev user`. A key without a value is switched on. Raises `RvemuError`."""
        pairs: list[tuple[str, str]] = []
        for n, part in enumerate(re.split(r"(?<!,),(?!,)|(?<=,,),(?!,)", text)):
            key, equals, value = part.replace(",,", ",").partition("=")
            if n == 0 and not equals and first is not None:
                key, equals, value = first, "=", key
            pairs.append((key, value if equals else "on"))
        return Options(option, text, pairs)

    def take(self, key: str, default: str | None = None) -> str | None:
        """The value of a key that may stand once."""
        values = self.take_all(key)
        if len(values) > 1:
            raise self.error(f"{key} stands there {len(values)} times", "one of them")
        return values[0] if values else default

    def take_all(self, key: str) -> list[str]:
        """The values of a key that may stand several times."""
        found = [value for name, value in self._pairs if name == key]
        self._pairs = [pair for pair in self._pairs if pair[0] != key]
        return found

    def switch(self, key: str) -> bool:
        """The value of a key that is on or off; off without it."""
        value = self.take(key, "off")
        if value not in _SWITCHES:
            raise self.error(f"{key}={value} is neither on nor off", f"{key}=on")
        return _SWITCHES[value]

    def size(self, key: str) -> int | None:
        """The value of a key that is a size in bytes, as 4096, 64K or 1G; None without it."""
        value = self.take(key)
        if value is None:
            return None
        matched = re.fullmatch(r"(\d+)([bkmgt]?)", value.lower(), re.ASCII)
        if matched is None:
            raise self.error(f"{key}={value} is no size in bytes", f"{key}=64M")
        return int(matched[1]) << _SIZES[matched[2]]

    def finish(self) -> None:
        """Refuse the keys that nobody has taken."""
        for key, _ in self._pairs:
            raise self.error(f"there is no option '{key}'", "the rest without it")

    def error(self, what: str, right: str) -> RvemuError:
        """What is wrong with the option, and what would be right."""
        return RvemuError(f"{self._option} {self._text}: {what}; {right} would do")
