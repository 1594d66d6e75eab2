"""Inputs, line by line: what becomes an item, what is told of a line that is none, and where chunks end."""

import io
import json

import pytest

from connector.jobs import chunks, inputs, runs
from connector.jobs.chunks import Chunk, Place
from connector.jobs.items import Bad, Item


def read(form: str, text: str, *, window: int | None = None, index: str | None = None) -> list[Item | Bad]:
    return list(inputs.read(form, io.BytesIO(text.encode()), line=0, offset=0, index=index, window=window))


def problems(found: list[Item | Bad]) -> list[tuple[int, str]]:
    return [(each.line, each.problem) for each in found if isinstance(each, Bad)]


def test_documents_are_strings_or_objects_and_are_called_by_their_place_without_an_id() -> None:
    [item] = read("documents", '{"query": " a  b ", "documents": ["x", {"id": 7, "text": "y", "score": 2}]}\n')
    assert isinstance(item, Item)
    assert item.documents
    assert (item.id, item.query) == ("1", "a b")
    assert [(d.id, d.text, d.score) for d in item.documents] == [("0", "x", None), ("7", "y", 2.0)]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"query": "a", "documents": []}', "'documents' is an empty list"),
        ('{"query": "a"}', "'documents' is missing"),
        ('{"documents": ["x"]}', "'query' is missing"),
        ('{"query": " ", "documents": ["x"]}', "the query is empty"),
        ('{"query": "a", "documents": [{"id": 1}]}', "document 1 is no text"),
        ('{"query": "a", "documents": [{"id": 1, "text": "x"}, {"id": "1", "text": "y"}]}', "the same id"),
        ('["a"]', "no JSON object"),
        ('{"query": "a", "documents": [', "no JSON"),
    ],
)
def test_a_line_of_no_use_is_told_by_its_number_and_the_next_one_is_read(line: str, problem: str) -> None:
    found = read("documents", f'\n{line}\n{{"query": "b", "documents": ["x"]}}\n')
    [(number, said)] = problems(found)
    assert number == 2
    assert problem in said
    assert [each.line for each in found if isinstance(each, Item)] == [3]


def test_lone_surrogates_and_control_characters_become_spaces() -> None:
    [item] = read("documents", r'{"query": "a", "documents": ["x\u0000y"]}')
    assert isinstance(item, Item)
    assert item.documents
    assert item.documents[0].text == "x y"


def test_a_log_holds_plain_queries_or_objects() -> None:
    found = read("log", 'how to\n\n{"query": "why", "id": "z"}\n')
    assert [(each.id, each.query) for each in found if isinstance(each, Item)] == [("1", "how to"), ("z", "why")]


def test_searches_stay_in_step_after_a_bad_one() -> None:
    found = read("msearch", '{"index": "i"}\n{"query": \n{}\n{"query": {"match": {"t": "x"}}}\n', index="other")
    assert [line for line, _ in problems(found)] == [1]
    [item] = [each for each in found if isinstance(each, Item)]
    assert item.request
    assert (item.id, item.request.index) == ("3", "other")


def run(text: str, *, line: int = 0, offset: int = 0) -> list[Item | Bad]:
    file = io.BytesIO(text.encode())
    file.seek(offset)
    return list(runs.read(file, line=line, offset=offset, window=None))


def test_a_run_is_read_by_query_and_score_and_equal_scores_by_rank() -> None:
    found = run("1 Q0 a 1 0.5 t\n1 Q0 b 3 0.9 t\n1 Q0 c 2 0.9 t\n2 Q0 a 1 1 t\n")
    items = [each for each in found if isinstance(each, Item)]
    assert [(each.id, [d.id for d in each.documents or ()]) for each in items] == [("1", ["c", "b", "a"]), ("2", ["a"])]


def test_bad_lines_of_a_run_are_told_apart() -> None:
    said = problems(run("1 Q0 a 1 0.5 t\n1 Q0 a 2 0.4 t\n1 Q0 b x 0.4 t\n1 Q0 c\n"))
    assert [line for line, _ in said] == [2, 3, 4]
    assert ["twice" in said[0][1], "not both numbers" in said[1][1], "4 columns" not in said[2][1]] == [True] * 3


def test_a_run_can_be_read_on_from_where_a_chunk_ended() -> None:
    text = "".join(f"{q} Q0 d{d} {d} {9 - d} t\n" for q in range(9) for d in range(4))
    whole = list(chunks.cut(run(text), tokens=900, start=Place()))
    assert len(whole) > 2
    for chunk in whole[:-1]:
        at = chunk.after
        rest = list(chunks.cut(run(text, line=at.line, offset=at.offset), tokens=900, start=at))
        assert rest == whole[chunk.number + 1 :]


def cut(entries: list[Item | Bad], tokens: int) -> list[Chunk]:
    return list(chunks.cut(entries, tokens=tokens, start=Place()))


def test_chunks_end_where_their_cost_is_reached_whatever_bad_lines_stand_between() -> None:
    lines = [json.dumps({"query": f"q{n}", "documents": ["word " * 40]}) for n in range(20)]
    clean = cut(read("documents", "\n".join(lines)), 200)
    with_bad = cut(read("documents", "\n".join([*lines[:7], "no JSON", *lines[7:]])), 200)
    assert [[i.query for i in c.items] for c in clean] == [[i.query for i in c.items] for c in with_bad]
    assert [bad.line for chunk in with_bad for bad in chunk.bad] == [8]


def test_bad_lines_at_the_end_come_in_a_chunk_without_items() -> None:
    [first, last] = cut(read("documents", '{"query": "a", "documents": ["x"]}\nbad\n'), 1)
    assert (len(first.items), len(last.items), last.bad[0].line) == (1, 0, 2)


def test_a_line_longer_than_memory_should_hold_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "MAX_LINE", 100)
    found = read("log", "x" * 250 + "\nnext\n")
    assert problems(found) == [(1, "longer than 100 bytes")]
    assert [each.end for each in found if isinstance(each, Item)] == [256]
