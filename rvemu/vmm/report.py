"""A comparison of modes as one web page: tables and plots, in one file that opens anywhere.

The plots are SVG, written here: bars need no plotting library, which would be a dependency of every
installation, or megabytes of script in every page.
"""

import html
import math
from collections.abc import Callable, Sequence

from rvemu.vmm.comparison import Measured, differences, rows
from rvemu.vmm.exits import ExitReason

# Of the Okabe-Ito palette, which the colour-blind can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f3f5f7; }
thead tr { border-bottom: 2px solid #888; } svg { max-width: 100%; height: auto; }
.ok { color: #00694c; } .bad { color: #b02000; font-weight: bold; }
pre { background: #f3f5f7; padding: .8em; overflow-x: auto; }
"""

_WIDTH, _LABELS, _BAR, _GAP = 860, 200, 15, 14


def bars(
    title: str,
    names: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    show: Callable[[float], str],
    *,
    logarithmic: bool = False,
) -> str:
    """A chart of horizontal bars, as SVG: a group for each name, a bar for each series. Values are
    not negative; on a logarithmic axis 0 has no bar."""
    scale = math.log1p if logarithmic else float
    most = max((scale(v) for _, values in series for v in values), default=0.0) or 1.0
    group = _BAR * len(series) + _GAP
    height = 46 + group * len(names)
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'font-family="system-ui, sans-serif" font-size="12"><title>{html.escape(title)}</title>'
    ]
    x = float(_LABELS)
    for (label, _), colour in zip(series, _COLOURS, strict=False):
        parts.append(f'<rect x="{x:.0f}" y="4" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{x + 17:.0f}" y="15">{html.escape(label)}</text>')
        x += 40 + 7.2 * len(label)
    for n, name in enumerate(names):
        top = 34 + group * n
        middle = top + _BAR * len(series) / 2 + 4
        parts.append(
            f'<text x="{_LABELS - 10}" y="{middle:.0f}" text-anchor="end">'
            f"{html.escape(name)}</text>"
        )
        for k, ((_, values), colour) in enumerate(zip(series, _COLOURS, strict=False)):
            width = (_WIDTH - _LABELS - 110) * scale(values[n]) / most
            y = top + _BAR * k
            parts.append(
                f'<rect x="{_LABELS}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                f'fill="{colour}"/>'
            )
            parts.append(
                f'<text x="{_LABELS + width + 5:.1f}" y="{y + 11}">{show(values[n])}</text>'
            )
    parts.append("</svg>")
    return "\n".join(parts)


def page(guest: str, measured: list[Measured]) -> str:
    """The page."""
    different = differences(measured)
    modes = [m.mode for m in measured]
    reasons = [r for r in ExitReason if any(m.accounting.exits[r] for m in measured)]
    exits = bars(
        "Exits by reason",
        [str(r) for r in reasons],
        [(m.mode, [m.accounting.exits[r] for r in reasons]) for m in measured],
        lambda v: f"{v:,.0f}",
        logarithmic=True,
    )
    seconds = bars(
        "Seconds",
        modes,
        [
            ("in the guest", [m.accounting.guest_seconds for m in measured]),
            ("in the VMM", [m.accounting.vmm_seconds for m in measured]),
        ],
        lambda v: f"{v:.3f} s",
    )
    if different:
        verdict = "".join(f'<p class="bad">{html.escape(d)}</p>' for d in different)
    else:
        verdict = (
            f'<p class="ok">The guest printed the same {len(measured[0].output)} bytes in all '
            f"modes, and ended alike: {html.escape(str(measured[0].run))}.</p>"
        )
    output = html.escape(measured[0].output.decode("utf-8", "replace"))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{html.escape(guest)} in virtual machines</title>",
            f"<style>{_STYLE}</style></head>",
            f"<body><h1>{html.escape(guest)} under {len(modes)} techniques of virtualization</h1>",
            verdict,
            "<h2>Exits by reason</h2><p>How often the guest gave up control to the VMM, and why. "
            "The axis is logarithmic.</p>",
            exits,
            "<h2>Time</h2>",
            seconds,
            "<h2>All figures</h2>",
            _table(measured),
            "<h2>What the guest printed</h2>",
            f"<pre>{output}</pre></body></html>",
            "",
        ]
    )


def _table(measured: list[Measured]) -> str:
    head, *body = rows(measured)
    lines = ["<table><thead><tr>"]
    lines += [f"<th>{html.escape(cell)}</th>" for cell in head]
    lines.append("</tr></thead><tbody>")
    for row in body:
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    lines.append("</tbody></table>")
    return "".join(lines)
