"""Training lists → the rows that each loss of sentence-transformers expects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from connector.contract.errors import InputError
from workers.training.collection import TrainingList

__all__ = ["Row", "pairs_in", "rows"]

#: Columns in the order the loss reads them, the label last.
Row = dict[str, object]
#: A logarithm that the softmax turns into an exact 0.
_NEVER = -1e4


def rows(lists: Sequence[TrainingList], loss: str) -> list[Row]:
    """The rows of all lists.

    `bce`: (query, passage, grade ÷ top grade); `listwise`: labels whose softmax is grade ÷ sum of grades, so that the
    loss is the cross-entropy with the grades themselves; `lambda`: the grades, with gain 2^grade − 1; `mse`:
    (query, passage, teacher's raw score); `margin-mse`: (query, better, worse, their teacher scores).

    Raises:
        InputError: the loss needs teacher scores and there are none.
    """
    found = [row for entry in lists for row in _ROWS[loss](entry)]
    if not found:
        raise InputError(f"--loss {loss} needs scores to learn from: name a --teacher, or give every passage a score")
    return found


def pairs_in(row: Row) -> int:
    """How many query–passage pairs the model scores for a row."""
    documents = row.get("passages")
    if isinstance(documents, list):
        return len(documents)
    return 2 if "worse" in row else 1


def _bce(entry: TrainingList) -> Iterator[Row]:
    for text, grade in zip(entry.passages, entry.grades, strict=True):
        yield {"query": entry.query, "passage": text, "label": grade / entry.top_grade}


def _listwise(entry: TrainingList) -> Iterator[Row]:
    labels = [math.log(grade) if grade > 0 else _NEVER for grade in entry.grades]
    if len(set(labels)) > 1:
        yield _list(entry, labels)


def _lambda(entry: TrainingList) -> Iterator[Row]:
    if len(set(entry.grades)) > 1:
        yield _list(entry, list(entry.grades))


def _mse(entry: TrainingList) -> Iterator[Row]:
    for text, _, score in _scored(entry):
        yield {"query": entry.query, "passage": text, "label": score}


def _margin_mse(entry: TrainingList) -> Iterator[Row]:
    """Every positive against every passage of a lower grade; without grades that differ, the best against the rest."""
    scored = list(_scored(entry))
    pairs = [(one, other) for one in scored for other in scored if one[1] > other[1]]
    if not pairs and len(scored) > 1:
        best = max(scored, key=lambda item: item[2])
        pairs = [(best, other) for other in scored if other is not best]
    for better, worse in pairs:
        yield {"query": entry.query, "better": better[0], "worse": worse[0], "label": [better[2], worse[2]]}


def _scored(entry: TrainingList) -> Iterator[tuple[str, float, float]]:
    for text, grade, score in zip(entry.passages, entry.grades, entry.scores, strict=True):
        if score is not None:
            yield text, grade, score


def _list(entry: TrainingList, labels: Sequence[float]) -> Row:
    # Passages of like length follow each other, so that the mini-batches of the loss carry little padding.
    order = sorted(range(len(labels)), key=lambda row: len(entry.passages[row]))
    return {
        "query": entry.query,
        "passages": [entry.passages[row] for row in order],
        "label": [float(labels[row]) for row in order],
    }


_ROWS: Mapping[str, Callable[[TrainingList], Iterator[Row]]] = {
    "bce": _bce,
    "listwise": _listwise,
    "lambda": _lambda,
    "mse": _mse,
    "margin-mse": _margin_mse,
}
