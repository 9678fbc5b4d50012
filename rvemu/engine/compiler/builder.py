"""Lines of LLVM IR: blocks, names, stack slots."""

import re

_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_.]")


def mangle(text: str) -> str:
    """Text made fit for an LLVM name."""
    return _NOT_A_NAME.sub("_", text)


class Builder:
    """Collects the body of one LLVM function.

    Local variables are stack slots (`slot`), which LLVM turns into registers; so the compiler
    needs no phi nodes.
    """

    def __init__(self) -> None:
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._names = 0
        self.open = True  # whether the current block still lacks its terminator

    def name(self, hint: str = "t") -> str:
        """A fresh name, without its % sign."""
        self._names += 1
        return f"{hint}{self._names}"

    def value(self, expression: str, hint: str = "t") -> str:
        """Emit an instruction with a result; the result's name."""
        name = f"%{self.name(hint)}"
        self.emit(f"{name} = {expression}")
        return name

    def emit(self, line: str) -> None:
        """Emit an instruction. Code after a terminator can't run, and is dropped."""
        if self.open:
            self._lines.append(f"  {line}")

    def slot(self, kind: str, hint: str = "v") -> str:
        """A stack slot of an LLVM type."""
        name = f"%{self.name(mangle(hint))}"
        self._entry.append(f"  {name} = alloca {kind}")
        return name

    def label(self, name: str) -> None:
        """Start a block. If the current one is open it falls through."""
        self.jump(name)
        self._lines.append(f"{name}:")
        self.open = True

    def jump(self, label: str) -> None:
        """End the block with a jump."""
        self.terminate(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str, likely: bool | None = None) -> None:
        """End the block with a conditional jump on an i1."""
        hint = "" if likely is None else f", !prof !{0 if likely else 1}"
        self.terminate(f"br i1 {condition}, label %{yes}, label %{no}{hint}")

    def terminate(self, line: str) -> None:
        """End the block."""
        if self.open:
            self._lines.append(f"  {line}")
            self.open = False

    def body(self) -> str:
        """The whole text, from the entry block on."""
        return "\n".join(["entry:", *self._entry, *self._lines])


# Metadata that `Builder.branch` refers to: likely, unlikely.
METADATA = """\
!0 = !{!"branch_weights", i32 2000, i32 1}
!1 = !{!"branch_weights", i32 1, i32 2000}
!2 = !{}
"""
