"""Decide by experiment whether the instruction set is virtualizable (Popek and Goldberg, 1974).

Each instruction, and each read and write of a CSR, is executed on the model from states that differ
in mode (M, S, U), in where memory is, and in resources. From what happens it is classified:

  privileged           traps in U-mode, and not in a more privileged mode
  control-sensitive    changes the mode or a resource, without a trap
  behaviour-sensitive  its result depends on mode, place or resources
  innocuous            neither

A VMM can be built by trap-and-emulate if every sensitive instruction is privileged.

examples:
  rvemu virtualizable              the sets, the verdict, and what is subtle about it
  rvemu virtualizable --table      each instruction, with what shows its class
  rvemu virtualizable --quirk status   a hart whose sstatus does not trap, as x86's popf did not
  rvemu virtualizable --json

exit status:
  0  virtualizable
  1  not virtualizable: offenders are named, with counter-examples
  2  a mistake in how rvemu was called
"""

import argparse
import json
import textwrap

from rvemu.hart.extensions import DEFAULT_ISA
from rvemu.virtualizable import QUIRKS, SUBTLETIES, Finding, Laboratory, examine

NOT_VIRTUALIZABLE = 1
_CLASSES = ("privileged", "control-sensitive", "behaviour-sensitive", "innocuous")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("--table", action="store_true", help="a line for each instruction")
    add("--json", action="store_true", help="all findings, for programs")
    add(
        "--quirk",
        action="append",
        default=[],
        choices=QUIRKS,
        help="make the hart non-virtualizable: U-mode executes these without a trap and effect",
    )
    add("--isa", default=DEFAULT_ISA, metavar="STRING", help="what the hart implements")


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    findings = Laboratory(arguments.isa, quirks=sum({QUIRKS[q] for q in arguments.quirk})).survey()
    offenders = [f for f in findings if f.offends]
    if arguments.json:
        print(
            json.dumps({"virtualizable": not offenders, "findings": _as_data(findings)}, indent=1)
        )
    else:
        if arguments.table:
            print(*(_line(f) for f in findings), "", sep="\n")
        _print_sets(findings)
        _print_verdict(offenders)
        _print_subtleties(arguments.isa)
    return NOT_VIRTUALIZABLE if offenders else 0


def _as_data(findings: list[Finding]) -> list[dict[str, object]]:
    return [
        {"name": f.name, "classes": f.classes, "control": f.control, "behaviour": f.behaviour}
        for f in findings
    ]


def _line(finding: Finding) -> str:
    shown = "; ".join(filter(None, (finding.control, finding.behaviour)))
    return f"{finding.name:<20} {', '.join(finding.classes):<55} {shown}".rstrip()


def _print_sets(findings: list[Finding]) -> None:
    for name in _CLASSES:
        members = [f.name for f in findings if name in f.classes]
        print(f"{name} ({len(members)}):")
        shown = [_family(member) for member in members]
        text = ", ".join(dict.fromkeys(shown))
        print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="  "))


def _family(name: str) -> str:
    """Numbered registers (pmpaddr0 to pmpaddr63) as one."""
    stem = name.rstrip("0123456789")
    return f"{stem}*" if "hpm" in stem or "pmp" in stem or "tdata" in stem else name


def _print_verdict(offenders: list[Finding]) -> None:
    if not offenders:
        print(
            "\nVIRTUALIZABLE: every sensitive instruction is privileged. Trap-and-emulate gives a "
            "VMM."
        )
        return
    print("\nNOT VIRTUALIZABLE: sensitive instructions that U-mode executes without a trap:")
    for finding in offenders:
        where = f"no trap in {finding.unprotected[0]}"
        why = "; ".join(filter(None, (finding.control, finding.behaviour, where)))
        print(f"  {finding.name}: {why}")


def _print_subtleties(isa: str) -> None:
    print("\nSubtle:")
    for subtlety in SUBTLETIES:
        found = examine(subtlety, isa)
        offending = [f.name for f in found if f.offends]
        if not offending:
            continue
        text = f"{', '.join(offending)}: if {subtlety.setting}, {subtlety.meaning}"
        print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="    "))
    text = (
        "ecall, ebreak: they trap in every mode, so nothing is to be protected, and the VMM sees "
        "them all."
    )
    print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="    "))
    text = (
        "wfi: it changes nothing that a program sees, but the hart waits. It is privileged where "
        "there is S-mode: U-mode's is illegal, and S-mode's where mstatus.TW is set. (wrs.nto of "
        "Zawrs is illegal where TW is set, in U-mode too, and else in no mode: a VMM gives the "
        "hart its guest's TW.)"
    )
    print(textwrap.fill(text, 96, initial_indent="  ", subsequent_indent="    "))
