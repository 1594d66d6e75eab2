"""The plots of a report as SVG text: per-query differences, windows, fusions, quality against latency."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from connector.evaluate import latency, measures
from connector.evaluate.candidates import PLAIN
from connector.evaluate.latency import Latency
from connector.evaluate.result import Result
from connector.evaluate.sweep import FUSIONS, Sweep
from connector.settings import Fusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Paint", "differences", "draw", "fusions", "latencies", "windows"]

#: Puts one plot of a result on axes.
Paint = Callable[["Axes", Result], None]

_BLUE, _RED, _ORANGE, _GREEN, _VIOLET = "#2a6fbb", "#d24b3e", "#e07b28", "#2f8f6b", "#6a4fb3"
_INK, _MUTED, _GRID = "#1f2328", "#656d76", "#e4e7eb"
_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.size": 10,
    "svg.fonttype": "none",
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": _INK,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
}
_METRIC = "nDCG@10"


def draw(name: str, paint: Callable[[Axes], None], *, width: float = 5.6, height: float = 3.3) -> str:
    """An inline `<svg>` of what `paint` puts on the axes; `name` keeps its ids apart from those of other plots."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], count=1, flags=re.DOTALL)
    # Sized by the page, not in points.
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    return svg.replace("<svg", f'<svg role="img" aria-label="{name}"', 1)


def differences(axes: Axes, result: Result) -> None:
    """Every query's gain or loss, from the worst to the best."""
    from matplotlib import patheffects

    values = list(result.differences.values())
    colours = [_RED if value < 0 else _BLUE for value in values]
    axes.bar(range(len(values)), values, width=1.0, color=colours, linewidth=0)
    axes.axhline(0, color=_MUTED, linewidth=0.8)
    comparison = result.comparisons["default"][measures.MAIN]
    axes.axhline(comparison.difference, color=_INK, linewidth=1.2, linestyle=(0, (4, 3)))
    label = axes.annotate(
        f"mean {comparison.difference:+.3f}",
        (len(values) * 0.02, comparison.difference),
        xytext=(0, 5),
        textcoords="offset points",
    )
    label.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
    for x, text, colour in ((0, f"{comparison.losses:,} worse", _RED), (1, f"{comparison.wins:,} better", _BLUE)):
        side = "right" if x else "left"
        axes.text(x, 1.02, text, transform=axes.transAxes, color=colour, weight="bold", ha=side, va="bottom")
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.grid(visible=False, axis="x")
    axes.set_xticks([])
    axes.set_xlabel(f"{len(values):,} queries, worst to best · {comparison.ties} unchanged")
    axes.set_ylabel(f"change of {_METRIC}")


def windows(axes: Axes, result: Result) -> None:
    """nDCG@10 by window, plain and with the default policy's fusion."""
    assert result.sweep is not None
    lines = [("cross-encoder alone", PLAIN, _ORANGE), ("default policy", result.about.policy.fusion, _BLUE)]
    if result.about.policy.fusion == PLAIN:
        lines = [("default policy (cross-encoder alone)", PLAIN, _BLUE), ("RRF", Fusion(method="rrf"), _GREEN)]
    ticks = sorted({point.setting.window for point in result.sweep.points})
    places = {window: place for place, window in enumerate(ticks)}
    for label, fusion, colour in lines:
        points = result.sweep.at(fusion=fusion)
        axes.plot(
            [places[point.setting.window] for point in points],
            [point.mean for point in points],
            "o-",
            color=colour,
            label=label,
        )
    _baseline(axes, result)
    axes.set_xticks(list(places.values()), [str(window) for window in ticks])
    axes.set_xlim(-0.3, len(ticks) - 0.7)
    axes.set_xlabel("window (candidates reranked)")
    _finish(axes)


def fusions(axes: Axes, result: Result) -> None:
    """nDCG@10 by the cross-encoder's share, for each way of blending."""
    assert result.sweep is not None
    window = result.about.policy.window
    for method, colour in (("minmax", _BLUE), ("zscore", _VIOLET), ("rrf", _GREEN)):
        points = _by_weight(result.sweep, window, method)
        axes.plot(
            [weight for weight, _ in points],
            [mean for _, mean in points],
            "o-",
            color=colour,
            label=method,
            markersize=4,
        )
    plain = result.sweep.at(window=window, fusion=PLAIN)[0].mean
    axes.plot([1.0], [plain], "D", color=_ORANGE, label="cross-encoder alone")
    _baseline(axes, result)
    axes.set_xlim(-0.03, 1.06)
    axes.set_xlabel(f"share of the cross-encoder (window {window})")
    _finish(axes)


def _by_weight(sweep: Sweep, window: int, method: str) -> list[tuple[float, float]]:
    tried = [fusion for fusion in FUSIONS if fusion.method == method]
    return [(fusion.weight, sweep.at(window=window, fusion=fusion)[0].mean) for fusion in tried]


def latencies(axes: Axes, result: Result) -> None:
    """nDCG@10 of the default policy against the median time of a search, one point a window."""
    assert result.sweep is not None
    assert result.latency is not None
    points = [(0, _median(result.latency.first_stage), result.means["first_stage"][measures.MAIN])] + [
        (point.setting.window, _median(result.latency.at(point.setting.window)), point.mean)
        for point in result.sweep.at(fusion=result.about.policy.fusion)
        if result.latency.at(point.setting.window)
    ]
    axes.plot([x for _, x, _ in points], [y for _, _, y in points], "-", color=_GRID, zorder=1)
    axes.scatter([x for _, x, _ in points[1:]], [y for _, _, y in points[1:]], color=_BLUE, s=44, zorder=2)
    axes.scatter([points[0][1]], [points[0][2]], color=_MUTED, s=44, zorder=2)
    for window, x, y in points:
        text = f"window {window}" if window else "first stage"
        axes.annotate(
            text, (x, y), xytext=(7, -3), textcoords="offset points", fontsize=9, color=_INK if window else _MUTED
        )
    axes.margins(y=0.16)
    axes.set_xlim(0, 1.25 * max(x for _, x, _ in points))
    axes.set_xlabel(_latency_label(result.latency))
    axes.set_ylabel(_METRIC)


def _latency_label(found: Latency) -> str:
    return "median search, ms" + ("" if found.cold else " (scores from the cache)")


def _median(values: Sequence[float]) -> float:
    return latency.percentile(values, 0.5)


def _baseline(axes: Axes, result: Result) -> None:
    axes.axhline(
        result.means["first_stage"][measures.MAIN],
        color=_MUTED,
        linewidth=1.2,
        linestyle=(0, (4, 3)),
        label=f"first stage ({result.about.first_stage})",
    )


def _finish(axes: Axes) -> None:
    axes.set_ylabel(_METRIC)
    axes.margins(y=0.12)
    axes.legend(loc="best", fontsize=9, labelcolor=_INK)
