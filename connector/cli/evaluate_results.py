"""An evaluation as people read it: figures, verdict, best setting, worst losses; and its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from connector.cli.progress import ConsoleReport
from connector.evaluate import measures, sweep
from connector.evaluate.gate import Verdict
from connector.evaluate.result import Result
from connector.evaluate.significance import Comparison

__all__ = ["Narrator", "show", "show_verdicts"]

_RUNS = {"first_stage": "first stage", "reranked": "cross-encoder", "default": "default policy"}
_LOSSES = 5


class Narrator(ConsoleReport):
    """Tells what an evaluation is doing."""

    @contextmanager
    def bar(self, name: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar with the time left; without a terminal, one line at the end."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=self._console) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done: progress.update(task, completed=done)


def show(console: Console, result: Result) -> None:
    """Prints the figures and what they say."""
    about = result.about
    title = f"{about.data}: {len(result.topics.queries):,} queries, first stage {about.first_stage}"
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for metric in measures.NAMES:
        table.add_column(metric, justify="right")
    for run in result.runs:
        table.add_row(_RUNS[run], *(_cell(result, run, metric) for metric in measures.NAMES))
    console.print(table)
    for line in _notes(result):
        console.print(line, highlight=False, soft_wrap=True)
    if result.comparisons:
        _show_losses(console, result)


def show_verdicts(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Prints what the gate says."""
    for verdict in verdicts:
        mark = Text("passed ", "green") if verdict.passed else Text("FAILED ", "bold red")
        console.print(mark + verdict.line, highlight=False, soft_wrap=True)


def _cell(result: Result, run: str, metric: str) -> Text:
    cell = Text(f"{result.means[run][metric]:.4f}")
    comparison = result.comparisons.get(run, {}).get(metric)
    if comparison:
        tone = "dim" if not comparison.significant else "green" if comparison.difference > 0 else "red"
        cell.append(f" {comparison.difference:+.4f}", tone)
    return cell


def _notes(result: Result) -> Iterator[Text]:
    if result.sweep is None:
        return
    policy, best = result.about.policy, result.sweep.best
    yield Text(
        f"default policy: window {policy.window}, {sweep.label(policy.fusion)} · model {result.collected.model}", "dim"
    )
    yield _verdict(result.comparisons["default"][measures.MAIN])
    yield Text(
        f"best of {len(result.sweep.points)} settings: {best.setting.label}, {measures.MAIN} {best.mean:.4f} "
        f"({result.sweep.held_out:.4f} on queries that it was not chosen on)"
    )
    if best.mean <= result.means["first_stage"][measures.MAIN]:
        yield Text("none of them is better than the first stage", "bold red")
    if result.latency:
        times = result.latency.summary()
        kind = "" if result.latency.cold else ", scores from the cache"
        yield Text(f"a search: p50 {times['p50']:.0f} ms, p99 {times['p99']:.0f} ms (one at a time{kind})")
    yield Text(f"{result.collected.scored:,} scores, {result.collected.cached:,} of them stored before", "dim")
    for count, what in (
        (result.topics.dropped, "judgments for unknown queries or documents were left out"),
        (result.topics.unjudged, "queries without a relevant document are not counted"),
    ):
        if count:
            yield Text(f"{count:,} {what}", "yellow")


def _verdict(comparison: Comparison) -> Text:
    word, tone = ("better", "bold green") if comparison.difference > 0 else ("worse", "bold red")
    if not comparison.significant:
        word, tone = "no difference beyond chance", "bold yellow"
    return Text(word, tone) + Text(
        f": {measures.MAIN} {comparison.difference:+.4f}, 95 % confidence {comparison.low:+.4f} to "
        f"{comparison.high:+.4f}, p {comparison.p:.3g}; {comparison.wins} queries better, {comparison.losses} worse, "
        f"{comparison.ties} unchanged",
        "default",
    )


def _show_losses(console: Console, result: Result) -> None:
    losses = [query for query, change in result.differences.items() if change < 0][:_LOSSES]
    if not losses:
        return
    table = Table(title="worst losses", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in (measures.MAIN, "relevant, place before → after", "query"):
        table.add_column(name, no_wrap=name != "query")
    for change in result.changes(losses):
        places = ", ".join(f"{old} → {new}" for _, _, old, new in change.moves[:3])
        table.add_row(f"{change.before:.3f} → {change.after:.3f}", places, Text(change.candidates.query))
    console.print(table)
