"""Click logs as JSON lines: what was shown at which position, what was clicked, for how long it was read.

Each line is one result page that a user saw:
`{"query": …, "shown": [{"id" or "text", "title"?, "position": 1…, "clicked": bool, "dwell": seconds?}, …]}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workers.training import click_model, rows
from workers.training.collection import Collection, JudgedQuery, digest, normalised, require_positives

__all__ = ["MAX_POSITION", "Settings", "read"]

#: Engines refuse a deeper page (`index.max_result_window`), so nobody was shown a lower position.
MAX_POSITION = 10_000
#: A passage that was never clicked counts as a negative from this many expected examinations on; below, nobody
#: can say that it was seen at all.
_SEEN = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How clicks are read as relevance."""

    #: η of the examination probability (1/position)^η; None: estimated from the log where it allows that.
    eta: float | None = None
    #: Seconds: a click read for so long counts in full, a shorter one in proportion.
    satisfied_seconds: float = 30.0


def read(path: Path, settings: Settings, corpus: Mapping[str, str] | None = None) -> Collection:
    """The queries of a click log with debiased labels in [0, 1].

    `corpus` gives the text of documents that the log names by id only. Passages that were shown too low, or too
    seldom, to be judged without a click are left out.

    Raises:
        InputError: a line that cannot be used (impossible positions, a dwell time without a click, an id that is
            not in the corpus, …), or a log without any click.
    """
    passages: dict[str, str] = {}
    queries: dict[str, str] = {}
    views: list[click_model.View] = []
    for row in rows.read(path):
        query = row.text("query")
        key = normalised(query)
        queries.setdefault(key, query)
        for shown in _shown(row):
            name, text = _document(shown, corpus)
            passages.setdefault(name, text)
            views.append(_view(shown, (key, name), settings.satisfied_seconds))
        _check_positions(row)
    estimate = click_model.estimate(views, settings.eta)
    grades: dict[str, dict[str, float]] = {key: {} for key in queries}
    undecided: dict[str, set[str]] = {key: set() for key in queries}
    for label in click_model.labels(views, estimate.propensities):
        key, name = label.pair
        if label.value > 0 or label.examinations >= _SEEN:
            grades[key][name] = label.value
        else:
            undecided[key].add(name)
    return require_positives(
        Collection(
            name=path.name,
            passages=passages,
            queries=tuple(
                JudgedQuery(query=query, grades=grades[key], undecided=frozenset(undecided[key]))
                for key, query in queries.items()
            ),
            retrieved=False,
            digests={str(path): digest(path)},
            notes={"click_model": estimate.describe()},
        )
    )


def _shown(row: rows.Row) -> Iterator[rows.Row]:
    objects = row.objects("shown")
    if not objects:
        raise row.error('"shown" must list the documents that were shown')
    for value in objects:
        if not isinstance(value, dict):
            raise row.error('each entry of "shown" must be an object')
        yield rows.Row(path=row.path, line=row.line, fields=value)


def _document(shown: rows.Row, corpus: Mapping[str, str] | None) -> tuple[str, str]:
    """The id and text of a shown document; one without an id is named by its text."""
    if "text" in shown.fields:
        text = rows.passage(shown.optional_text("title"), shown.text("text"))
        return (shown.text("id") if "id" in shown.fields else normalised(text)), text
    name = shown.text("id")
    if corpus is None:
        raise shown.error(f"document {name!r} has no text: add it, or name the corpus with --corpus")
    if name not in corpus:
        raise shown.error(f"document {name!r} is not in the corpus")
    return name, corpus[name]


def _view(shown: rows.Row, pair: tuple[str, str], satisfied_seconds: float) -> click_model.View:
    clicked = shown.fields.get("clicked", False)
    if not isinstance(clicked, bool):
        raise shown.error('"clicked" must be true or false')
    dwell = shown.number("dwell")
    if dwell is not None and dwell < 0:
        raise shown.error(f"a dwell time of {dwell:g} seconds is impossible")
    if dwell and not clicked:
        raise shown.error("a dwell time without a click is impossible")
    worth = 1.0 if dwell is None or satisfied_seconds <= 0 else min(1.0, dwell / satisfied_seconds)
    return click_model.View(pair=pair, position=_position(shown), clicked=clicked, worth=worth if clicked else 0.0)


def _position(shown: rows.Row) -> int:
    position = shown.fields.get("position")
    if isinstance(position, bool) or not isinstance(position, int) or not 1 <= position <= MAX_POSITION:
        raise shown.error(f"position {position!r} is impossible: positions are whole numbers from 1 to {MAX_POSITION}")
    return position


def _check_positions(row: rows.Row) -> None:
    positions = [_position(shown) for shown in _shown(row)]
    if len(set(positions)) != len(positions):
        raise row.error("two documents were shown at the same position")
