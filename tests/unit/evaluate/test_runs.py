"""Run files: what is written is read back in the same order, and each bad line is named."""

from pathlib import Path

import pytest

from connector.contract.errors import InputError
from connector.evaluate import runs


def test_a_run_comes_back_in_the_order_in_which_it_was_written(tmp_path: Path) -> None:
    run = {"q1": ["b", "a", "c"], "q2": ["z"]}
    runs.write(tmp_path / "run", run, "ours")
    assert {query: list(found) for query, found in runs.read(tmp_path / "run").items()} == run
    assert (tmp_path / "run").read_text().splitlines()[0] == "q1 Q0 b 1 3 ours"


def test_documents_are_ordered_by_score_and_then_by_rank(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("q Q0 low 1 0.5 t\nq Q0 second 3 2.5 t\nq Q0 first 2 2.5 t\nq\tQ0\ttop\t4\t1e1\tt\n")
    assert list(runs.read(path)["q"].items()) == [("top", 10.0), ("first", 2.5), ("second", 2.5), ("low", 0.5)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("q Q0 a 2 1.0 t", "document 'a' is there twice for query 'q'"),
        ("q Q0 b 2 high t", "the score 'high' is not a number"),
        ("q Q0 b 2 nan t", "the score 'nan' is not a number"),
        ("q Q0 b second 1.0 t", "the rank 'second' is not a number"),
        ("q b 1.0", "3 columns"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    path = tmp_path / "run"
    path.write_text(f"q Q0 a 1 2.0 t\n{line}\n")
    with pytest.raises(InputError, match=f"run, line 2: {problem}"):
        runs.read(path)


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="no lines"):
        runs.read(tmp_path / "run")
