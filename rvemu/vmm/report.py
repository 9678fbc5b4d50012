"""A comparison of modes as one web page: tables and plots, in one file that opens anywhere.

The plots are Plotly's, whose script is in the page: they can be zoomed, and say what is under the
mouse. The page's own policy forbids it all of the network.
"""

import html
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rvemu.clock import CLOCKS_PER_TICK, TICKS_PER_SECOND
from rvemu.vmm.comparison import Measured, differences, rows
from rvemu.vmm.exits import ExitReason

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Nothing is loaded from anywhere, not even from files beside the page.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)

# Of the Okabe-Ito palette, which the colour-blind can tell apart: one for each mode.
_MODE_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
_GUEST_COLOUR, _VMM_COLOUR = "#56b4e9", "#e69f00"
# Paul Tol's muted scheme, and lighter: one for each reason that there is.
_REASON_COLOURS = (
    *("#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255"),
    *("#aa4499", "#777777", "#6699cc", "#661100", "#bbbbbb", "#dda0dd", "#004488", "#bb5566"),
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em;
  color: #222; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin: 2em 0 .2em; } p { margin: .3em 0; }
table { border-collapse: collapse; } td, th { padding: .15em .8em; text-align: right; }
td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f3f5f7; }
thead tr { border-bottom: 2px solid #888; }
.ok { color: #00694c; } .bad { color: #b02000; font-weight: bold; }
pre { background: #f3f5f7; padding: .8em; overflow-x: auto; }
"""

_MOMENTS = 500  # of a timeline that are shown, at most
_CLOCKS_PER_MILLISECOND = CLOCKS_PER_TICK * TICKS_PER_SECOND // 1000


def page(guest: str, measured: list[Measured]) -> str:
    """The page."""
    from plotly.offline import get_plotlyjs

    output = html.escape(measured[0].output.decode("utf-8", "replace"))
    name = html.escape(guest)
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width">',
            f"<title>{name} in virtual machines</title>",
            f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>",
            f"<body><h1>{name} under {len(measured)} techniques of virtualization</h1>",
            *_verdict(measured),
            "<h2>Exits</h2><p>How often the guest gave up control to the VMM, and why.</p>",
            _plot(exits_by_mode(measured)),
            "<p>The same, mode beside mode, on a logarithmic axis.</p>",
            _plot(exits_by_reason(measured)),
            "<h2>Exits over time</h2><p>How many there were until a moment of the guest's time, by "
            "its own clock.</p>",
            _plot(timeline(measured)),
            "<h2>What exits cost</h2><p>Seconds of this computer: in the guest's own instructions, "
            "and in the VMM.</p>",
            _plot(seconds(measured)),
            "<p>Guest instructions for each exit, on a logarithmic axis.</p>",
            _plot(instructions_per_exit(measured)),
            "<h2>All figures</h2>",
            _table(measured),
            "<h2>What the guest printed</h2>",
            f"<pre>{output}</pre></body></html>",
            "",
        ]
    )


def _verdict(measured: list[Measured]) -> Iterable[str]:
    different = differences(measured)
    if different:
        return [f'<p class="bad">{html.escape(d)}</p>' for d in different]
    return [
        f'<p class="ok">The guest printed the same {len(measured[0].output)} bytes in all modes, '
        f"and ended alike: {html.escape(str(measured[0].run))}.</p>"
    ]


# --- Plots -----------------------------------------------------------------------------------


def _figure(height: int, **layout: Any) -> "Figure":
    from plotly.graph_objects import Figure

    return Figure(
        layout={
            "template": "plotly_white",
            "height": height,
            "margin": {"l": 10, "r": 10, "t": 10, "b": 40},
            "font": {"family": "system-ui, sans-serif", "size": 13},
            "legend": {"traceorder": "normal"},
            **layout,
        }
    )


def _plot(figure: "Figure") -> str:
    """A figure as a part of the page."""
    part: str = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displayModeBar": False, "responsive": True},
    )
    return part


def _reasons(measured: list[Measured]) -> list[ExitReason]:
    return [r for r in ExitReason if any(m.accounting.exits[r] for m in measured)]


def _downwards() -> dict[str, Any]:
    """An axis of names, the first on top."""
    return {"autorange": "reversed", "automargin": True, "ticksuffix": "  "}


def exits_by_mode(measured: list[Measured]) -> "Figure":
    """A bar for each mode, of its exits by reason."""
    reasons = _reasons(measured)
    figure = _figure(
        max(110 + 45 * len(measured), 90 + 20 * len(reasons)),
        barmode="stack",
        xaxis={"title": {"text": "exits"}},
        yaxis=_downwards(),
    )
    modes = [m.mode for m in measured]
    for reason, colour in zip(reasons, _REASON_COLOURS, strict=False):
        figure.add_bar(
            name=str(reason),
            x=[m.accounting.exits[reason] for m in measured],
            y=modes,
            orientation="h",
            marker={"color": colour},
            hovertemplate="%{y}: %{x:,}<extra>" + str(reason) + "</extra>",
        )
    for m in measured:
        figure.add_annotation(
            x=m.accounting.total,
            y=m.mode,
            text=f"{m.accounting.total:,}",
            xanchor="left",
            showarrow=False,
        )
    return figure


def exits_by_reason(measured: list[Measured]) -> "Figure":
    """For each reason a bar of each mode, on a logarithmic axis."""
    reasons = _reasons(measured)
    figure = _figure(
        110 + (14 * len(measured) + 12) * len(reasons),
        barmode="group",
        xaxis={"type": "log", "title": {"text": "exits"}, "dtick": 1},
        yaxis=_downwards(),
    )
    for m, colour in zip(measured, _MODE_COLOURS, strict=False):
        counts = [m.accounting.exits[reason] for reason in reasons]
        figure.add_bar(
            name=m.mode,
            x=[count or None for count in counts],
            y=[str(reason) for reason in reasons],
            orientation="h",
            marker={"color": colour},
            text=[f"{count:,}" if count else "" for count in counts],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:,}<extra>" + m.mode + "</extra>",
        )
    return figure


def timeline(measured: list[Measured]) -> "Figure":
    """Exits so far, against guest time."""
    figure = _figure(
        360,
        xaxis={"title": {"text": "guest time (ms)"}, "rangemode": "tozero"},
        yaxis={"title": {"text": "exits so far"}, "rangemode": "tozero"},
        hovermode="x unified",
    )
    for m, colour in zip(measured, _MODE_COLOURS, strict=False):
        moments = m.timeline[:: len(m.timeline) // _MOMENTS + 1] + m.timeline[-1:]
        figure.add_scatter(
            name=m.mode,
            x=[clock / _CLOCKS_PER_MILLISECOND for clock, _ in moments],
            y=[exits for _, exits in moments],
            mode="lines+markers",
            line={"color": colour},
            marker={"size": 4},
        )
    return figure


def seconds(measured: list[Measured]) -> "Figure":
    """A bar for each mode, of the time in the guest and in the VMM."""
    figure = _figure(
        110 + 45 * len(measured),
        barmode="stack",
        xaxis={"title": {"text": "seconds"}},
        yaxis=_downwards(),
    )
    modes = [m.mode for m in measured]
    for name, colour, values in (
        ("in the guest", _GUEST_COLOUR, [m.accounting.guest_seconds for m in measured]),
        ("in the VMM", _VMM_COLOUR, [m.accounting.vmm_seconds for m in measured]),
    ):
        figure.add_bar(
            name=name,
            x=values,
            y=modes,
            orientation="h",
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.4f} s " + name + "<extra></extra>",
        )
    return figure


def instructions_per_exit(measured: list[Measured]) -> "Figure":
    """A bar for each mode that has exits."""
    exiting = [m for m in measured if m.accounting.total]
    ratios = [m.instructions / m.accounting.total for m in exiting]
    figure = _figure(
        90 + 40 * len(exiting),
        xaxis={
            "type": "log",
            "title": {"text": "instructions per exit"},
            "dtick": 1,
            "range": [0, math.log10(max(ratios, default=1) * 3)],
        },
        yaxis=_downwards(),
        showlegend=False,
    )
    figure.add_bar(
        x=ratios,
        y=[m.mode for m in exiting],
        orientation="h",
        marker={"color": _GUEST_COLOUR},
        text=[f"{ratio:,.0f}" for ratio in ratios],
        textposition="outside",
        hovertemplate="%{y}: %{x:,.1f} instructions per exit<extra></extra>",
    )
    return figure


# --- Tables ----------------------------------------------------------------------------------


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
