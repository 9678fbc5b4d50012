"""Results as JUnit XML, which CI systems read."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from rvemu.conformance.results import Result, Verdict
from rvemu.errors import RvemuError

# What XML 1.0 has no place for, not even escaped. Guests may print it.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: Iterable[Result]) -> Xml.ElementTree:
    """A document with a suite for each group and engine."""
    suites: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        suites.setdefault((result.group, result.engine), []).append(result)
    root = Xml.Element("testsuites", name="rvemu conform")
    for (group, engine), members in sorted(suites.items()):
        name = _clean(f"{group}.{engine}")
        suite = Xml.SubElement(root, "testsuite", {"name": name, **_counts(members)})
        for result in sorted(members, key=lambda r: r.name):
            _add_case(suite, result)
    Xml.indent(root)
    return Xml.ElementTree(root)


def write_junit(results: Iterable[Result], file: Path) -> None:
    """Write the document to a file. Raises `RvemuError` if that can't be."""
    try:
        junit(results).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise RvemuError(f"{file}: cannot be written: {reason}") from error


def _counts(results: Sequence[Result]) -> dict[str, str]:
    errors = sum(r.verdict is Verdict.ERROR for r in results)
    return {
        "tests": str(len(results)),
        "failures": str(sum(not r.passed for r in results) - errors),
        "errors": str(errors),
        "skipped": "0",
        "time": f"{sum(r.seconds for r in results):.3f}",
    }


def _add_case(suite: Xml.Element, result: Result) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        classname=_clean(f"{result.group}.{result.engine}"),
        name=_clean(result.name),
        time=f"{result.seconds:.3f}",
    )
    if not result.passed:
        kind = "error" if result.verdict is Verdict.ERROR else "failure"
        problem = Xml.SubElement(
            case, kind, type=result.verdict.value, message=_clean(result.detail)
        )
        problem.text = _clean("\n".join((result.detail, *result.trail)))
    if result.output:
        Xml.SubElement(case, "system-out").text = _clean(result.output)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
