"""The report: one HTML file with everything in it, to be read by whoever decides whether reranking is switched on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from connector.contract.errors import InputError
from connector.evaluate import measures, plots, sweep
from connector.evaluate.result import Change, Result
from connector.evaluate.significance import Comparison

__all__ = ["render", "verdict", "write"]

_HEADINGS: Mapping[str, str] = {
    measures.MAIN: "nDCG@10",
    "mrr@10": "MRR@10",
    "map": "MAP",
    "p@5": "P@5",
    "recall@100": "Recall@100",
}
_RUNS: Mapping[str, str] = {
    "first_stage": "First stage",
    "reranked": "Cross-encoder alone",
    "default": "Default policy",
}
#: Queries shown of either kind, and relevant documents of each.
_SHOWN, _DOCUMENTS = 10, 4


def write(path: Path, result: Result) -> None:
    """Writes the report of `result`, which has a model.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.write_text(render(result), encoding="utf-8")
    except OSError as exc:
        raise InputError(f"{path}: {exc.strerror or exc}") from exc


def render(result: Result) -> str:
    """The report as HTML."""
    template = Template(resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    about = result.about
    subtitle = (
        f"{len(result.topics.queries):,} judged queries · first stage {about.first_stage} · "
        f"window {about.policy.window} · {sweep.label(about.policy.fusion)} · model {result.collected.model}"
    )
    parts = [_verdict(result), _tiles(result), _figures(result), _plots(result), *_queries(result), _settings(result)]
    return template.substitute(
        title=escape(f"Reranking evaluated: {about.data}"), subtitle=escape(subtitle), body="\n".join(parts)
    )


def verdict(comparison: Comparison) -> str:
    """One sentence: better, worse, or not known."""
    if not comparison.significant:
        return "No difference beyond chance between the first stage and the default policy."
    return (
        "Reranking is better than the first stage."
        if comparison.difference > 0
        else "Reranking is worse than the first stage."
    )


def _verdict(result: Result) -> str:
    comparison = result.comparisons["default"][measures.MAIN]
    tone = (
        "var(--muted)" if not comparison.significant else "var(--green)" if comparison.difference > 0 else "var(--red)"
    )
    return (
        f'<div class="verdict" style="--tone: {tone}"><b>{verdict(comparison)}</b>'
        f"<small>nDCG@10 {comparison.difference:+.4f}, 95 % confidence interval {comparison.low:+.4f} to "
        f"{comparison.high:+.4f}, {_p(comparison)} (paired t-test over {comparison.queries:,} queries)</small></div>"
    )


def _tiles(result: Result) -> str:
    means = result.means
    comparison = result.comparisons["default"][measures.MAIN]
    before, after = means["first_stage"][measures.MAIN], means["default"][measures.MAIN]
    tiles = [
        ("nDCG@10, first stage → default policy", f"{before:.3f} → {after:.3f}"),
        ("queries better / worse", f"{comparison.wins:,} / {comparison.losses:,}"),
        ("a search, p50 / p99", _latency(result)),
        ("best setting tried", _best(result)),
    ]
    items = "".join(f"<div class=tile><span>{name}</span><b>{value}</b></div>" for name, value in tiles)
    return f'<div class="tiles">{items}</div>'


def _best(result: Result) -> str:
    assert result.sweep is not None
    best = result.sweep.best
    beaten = best.mean > result.means["first_stage"][measures.MAIN]
    return escape(best.setting.label) if beaten else "none beats the first stage"


def _latency(result: Result) -> str:
    times = result.latency.summary() if result.latency else {"p50": None}
    return "–" if times["p50"] is None else f"{times['p50']:,.0f} / {times['p99']:,.0f} ms"


def _figures(result: Result) -> str:
    head = "".join(f"<th>{_HEADINGS[metric]}</th>" for metric in measures.NAMES)
    rows = [
        f"<tr><td>{_RUNS[run]}</td>{''.join(_cell(result, run, metric) for metric in measures.NAMES)}</tr>"
        for run in result.runs
    ]
    return (
        '<section class="card"><h2>Figures</h2><p>Means over all judged queries, end to end: a relevant document that '
        "the first stage missed stays missed. Coloured differences are significant at 5\u00a0%.</p>"
        f'<div class="scroll"><table><tr><th></th>{head}</tr>{"".join(rows)}</table></div></section>'
    )


def _cell(result: Result, run: str, metric: str) -> str:
    value = f"{result.means[run][metric]:.4f}"
    if run == "first_stage":
        return f"<td>{value}</td>"
    comparison = result.comparisons[run][metric]
    tone = "" if not comparison.significant else "up" if comparison.difference > 0 else "down"
    return f'<td>{value}<small class="{tone}">{comparison.difference:+.4f}</small></td>'


def _plots(result: Result) -> str:
    cards = [
        _plot(
            "Query by query",
            "What the default policy changed, each bar a query.",
            "differences",
            plots.differences,
            result,
        ),
        _plot("How deep to rerank", "nDCG@10 by the number of candidates reranked.", "windows", plots.windows, result),
        _plot(
            "How to blend", "nDCG@10 by the share of the cross-encoder in the order.", "fusions", plots.fusions, result
        ),
    ]
    if result.latency:
        note = "What a deeper window brings and costs, default policy."
        cards.append(_plot("Quality against latency", note, "latencies", plots.latencies, result))
    return f'<div class="grid">{"".join(cards)}</div>'


def _plot(title: str, note: str, name: str, paint: plots.Paint, result: Result) -> str:
    svg = plots.draw(name, lambda axes: paint(axes, result))
    return f'<section class="card"><h2>{title}</h2><p>{note}</p>{svg}</section>'


def _queries(result: Result) -> list[str]:
    changed = result.differences
    losses = [query for query in changed if changed[query] < 0][:_SHOWN]
    wins = [query for query in reversed(changed) if changed[query] > 0][:_SHOWN]
    return [
        _section(result, "Worst losses", "Queries that the default policy made worse, the worst first.", losses),
        _section(result, "Best wins", "Queries that it made better, the best first.", wins),
    ]


def _section(result: Result, title: str, note: str, queries: Sequence[str]) -> str:
    body = "".join(_query(result, change) for change in result.changes(queries)) or "<p>None.</p>"
    return f'<section class="card"><h2>{title}</h2><p>{note}</p>{body}</section>'


def _query(result: Result, change: Change) -> str:
    tone = "up" if change.difference > 0 else "down"
    grades = result.topics.grades[change.candidates.query_id]
    items = [
        (f"relevant{f' ({grade})' if grade > 1 else ''}, {old} → {new}", document)
        for document, grade, old, new in change.moves[:_DOCUMENTS]
    ]
    judged = grades.get(change.top)
    if change.top and not (judged or 0) > 0:
        items.append((f"now first, {'not judged' if judged is None else 'not relevant'}", change.top))
    rows = "".join(
        f"<li><span>{place}</span><q>{escape(result.collected.snippets.get(document, '')) or escape(document)}</q></li>"
        for place, document in items
    )
    return (
        f'<div class="query"><header><b>{escape(change.candidates.query)}</b>'
        f"<span>{change.before:.3f} → {change.after:.3f} "
        f'<b class="{tone}">{change.difference:+.3f}</b></span></header><ul>{rows}</ul></div>'
    )


def _settings(result: Result) -> str:
    about, found = result.about, result.collected
    assert result.sweep is not None
    best = result.sweep.best
    flattery = (
        "It was chosen on these queries, which flatters it; chosen on one half and measured on the other, both ways, "
        f"the choice is worth {result.sweep.held_out:.4f}."
    )
    if best.mean <= result.means["first_stage"][measures.MAIN]:
        flattery += " It is no better than the first stage."
    rows = [
        ("Data", f"{about.data}, {len(result.topics.queries):,} queries"),
        ("Model", f"{found.model}, fingerprint {(found.fingerprint or '')[:12]}"),
        ("Default policy", f"window {about.policy.window}, {sweep.label(about.policy.fusion)}"),
        ("Best setting tried", f"{best.setting.label}: nDCG@10 {best.mean:.4f}. {flattery}"),
        ("Scores", f"{found.scored:,}, of which {found.cached:,} were stored before"),
        ("Latency", _latency_note(result)),
    ]
    if result.topics.dropped:
        rows.append(("Left out", f"{result.topics.dropped:,} judgments for unknown queries or documents"))
    if result.topics.unjudged:
        rows.append(("Not counted", f"{result.topics.unjudged:,} queries without a relevant document"))
    items = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f'<section class="card"><h2>Settings</h2><dl>{items}</dl></section>'


def _latency_note(result: Result) -> str:
    if result.latency is None:
        return "not measured: the candidates came from a run file"
    times = result.latency.summary()
    kind = "no score of them stored" if result.latency.cold else "scores from the cache"
    return f"{times['queries']} searches one at a time, {kind}, from the search to the last score"


def _p(comparison: Comparison) -> str:
    return "p < 0.001" if comparison.p < 0.001 else f"p = {comparison.p:.3f}"
