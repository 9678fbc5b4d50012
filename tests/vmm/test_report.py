"""The page of a comparison, in a real browser: it shows its plots, and asks the network nothing."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rvemu.cli.main import main
from rvemu.hooks import Outcome, Reason
from rvemu.vmm.accounting import Accounting
from rvemu.vmm.comparison import Measured, measure
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.report import exits_by_mode, exits_by_reason, page, timeline
from rvemu.vmm.virtual_machine import Run, VirtualMachine
from tests.vmm.programs import bundled

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def measured(mode: str, counts: dict[ExitReason, int]) -> Measured:
    """What a run of a made-up guest came to."""
    accounting = Accounting(total_seconds=2.0, guest_seconds=1.5)
    accounting.exits.update(counts)
    moments = [(0, 0), (100_000, 1), (1_000_000, accounting.total)]
    run = Run(Outcome(Reason.EXITED, 0))
    return Measured(mode, run, b"<hello> & done", 5_000_000, accounting, moments)


MEASURED = [
    measured("emulate", {}),
    measured("trap-and-emulate", {ExitReason.CSR: 7000, ExitReason.WFI: 3}),
    measured("hardware", {ExitReason.WFI: 3}),
]


# Notes, in a page, what it loads and what its policy keeps it from loading.
PROBE = """<script>
const seen = [];
addEventListener("securitypolicyviolation", e => seen.push(e.blockedURI));
addEventListener("load", () => setTimeout(() => {
  const loaded = performance.getEntriesByType("resource").map(e => e.name);
  document.body.dataset.seen = JSON.stringify(seen.concat(loaded));
}, 2000));
</script></head>"""


def browse(file: Path, text: str) -> tuple[str, list[str]]:
    """What a browser makes of a page: the document at the end, and what the page has asked for."""
    assert CHROMIUM is not None
    file.write_text(text.replace("</head>", PROBE, 1), encoding="utf-8")
    # The sandbox needs what containers do not give; and the page is our own.
    words = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1100,2900"]
    words += [f"--user-data-dir={file.parent}", "--virtual-time-budget=10000", "--dump-dom"]
    shown = subprocess.run(
        [*words, file.as_uri()], check=True, capture_output=True, timeout=120
    ).stdout.decode()
    seen = re.search('<body[^>]* data-seen="([^"]*)"', shown)
    assert seen is not None, "the page has not come to its end"
    return shown, json.loads(html.unescape(seen[1]))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_browser_shows_it_and_needs_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    arguments = ["vm", "--guest", "tinyos-s", "--mode", "all", "--json", "--report", str(file)]
    assert main(arguments) == 0
    shown, seen = browse(tmp_path / "probed.html", file.read_text(encoding="utf-8"))
    assert seen == []
    # The plots are what Plotly's script has drawn, from nothing but the page.
    body = shown[shown.index("<body") :]
    assert len(re.findall('class="main-svg"', body)) >= 5
    assert len(re.findall('class="point"', body)) > 30, "bars"
    for text in ("privileged instruction", "trap-and-emulate", "guest time (ms)", "in the VMM"):
        assert re.search(f">{re.escape(text)}\\s*</t", body), text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
def test_a_page_that_asks_for_something_would_be_found(tmp_path: Path) -> None:
    picture = "http://127.0.0.1:9/picture.png"
    head = page("guest", MEASURED).split("<title>")[0]
    _, seen = browse(
        tmp_path / "page.html", f"{head}</head><body><img src={picture}></body></html>"
    )
    assert set(seen) == {picture}


def test_the_page_forbids_itself_the_network() -> None:
    text = page("guest", MEASURED)
    head = text.split("</head>")[0]
    assert "default-src 'none'" in head
    assert head.index("Content-Security-Policy") < head.index("<script>")
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=", text)


def test_what_the_guest_says_is_text() -> None:
    text = page("<i>guest</i>", MEASURED)
    assert "<pre>&lt;hello&gt; &amp; done</pre>" in text
    assert "<i>guest" not in text
    assert "The guest printed the same 14 bytes" in text
    different = [*MEASURED[:2], Measured("hardware", MEASURED[0].run, b"no", 1, Accounting())]
    assert "hardware: the output differs" in page("guest", different)


def test_plots_have_the_figures() -> None:
    stacked = {bar.name: list(bar.x) for bar in exits_by_mode(MEASURED).data}
    assert stacked == {"CSR access": [0, 7000, 0], "wfi": [0, 3, 3]}
    grouped = {bar.name: list(bar.x) for bar in exits_by_reason(MEASURED).data}
    # (No bar stands for 0 on a logarithmic axis.)
    assert grouped == {
        "emulate": [None, None],
        "trap-and-emulate": [7000, 3],
        "hardware": [None, 3],
    }
    lines = {line.name: (list(line.x), list(line.y)) for line in timeline(MEASURED).data}
    assert lines["trap-and-emulate"] == ([0.0, 0.1, 1.0, 1.0], [0, 1, 7003, 7003])


def test_exits_are_noted_over_time() -> None:
    path, sbi = bundled("tinyos-s")

    def build(mode: str, output: object) -> VirtualMachine:
        del output
        machine = VirtualMachine(mode, memory=32 << 20, sbi=sbi, output=lambda _: None)
        machine.load(path)
        return machine

    (found,) = measure(build, ["trap-and-emulate"])
    clocks, exits = zip(*found.timeline, strict=True)
    assert list(clocks) == sorted(clocks)
    assert list(exits) == sorted(exits)
    assert len(clocks) > 5
    assert exits[-1] == found.accounting.total
