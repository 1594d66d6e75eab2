"""Judged collections: what is read, and that each bad line is named with its file and number."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from connector.contract.errors import InputError
from connector.evaluate import beir

DOCUMENTS = [{"_id": "d1", "title": "Wings", "text": "lift"}, {"_id": "d2", "text": "drag"}, {"_id": "d3", "text": ""}]
QUERIES = [
    {"_id": "q1", "text": "what  lifts\na wing"},
    {"_id": "q2", "text": "drag"},
    {"_id": "q3", "text": "unasked"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq2\td2\t1\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def folder(
        corpus: str = lines(DOCUMENTS), queries: str = lines(QUERIES), qrels: str = QRELS, name: str = "test"
    ) -> Path:
        (tmp_path / "qrels").mkdir()
        (tmp_path / "corpus.jsonl").write_text(corpus)
        (tmp_path / "queries.jsonl").write_text(queries)
        (tmp_path / "qrels" / f"{name}.tsv").write_text(qrels)
        return tmp_path

    return folder


def lines(rows: list[dict[str, object]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_folder_is_read_with_its_judged_queries_only(write: Write) -> None:
    folder = beir.read(write())
    assert folder.size == 3
    assert folder.topics.queries == {"q1": "what lifts a wing", "q2": "drag"}
    assert folder.topics.grades == {"q1": {"d1": 2, "d2": 0}, "q2": {"d2": 1}}


def test_title_and_text_are_one_field(write: Write) -> None:
    contents = [document.content for document in beir.documents(write() / "corpus.jsonl")]
    assert contents == ["Wings lift", "drag", ""]


def test_another_corpus_has_another_digest(write: Write, tmp_path: Path) -> None:
    before = beir.read(write()).digest
    (tmp_path / "corpus.jsonl").write_text(lines([*DOCUMENTS, {"_id": "d4", "text": "new"}]))
    assert beir.read(tmp_path).digest != before


def test_a_query_without_a_relevant_document_is_not_counted(write: Write) -> None:
    topics = beir.read(write(qrels=QRELS + "q3\td1\t0\n")).topics
    assert (list(topics.queries), topics.unjudged) == (["q1", "q2"], 1)


def test_trec_judgments_are_read_too(write: Write) -> None:
    assert beir.read(write(qrels="q1 0 d1 2\nq2 0 d2 1\n")).topics.grades == {"q1": {"d1": 2}, "q2": {"d2": 1}}


def test_another_split_is_another_file(write: Write) -> None:
    assert beir.read(write(name="dev"), split="dev").size == 3


def test_a_sample_is_the_same_for_a_seed_whatever_the_order_of_the_file() -> None:
    queries = {f"q{n}": str(n) for n in range(20)}
    grades = {query: {"d": 1} for query in queries}
    topics = beir.Topics(queries=queries, grades=grades)
    turned = beir.Topics(queries=dict(reversed(queries.items())), grades=grades)
    chosen = topics.sample(5, seed=3)
    assert len(chosen.queries) == len(chosen.grades) == 5
    assert turned.sample(5, seed=3) == chosen != topics.sample(5, seed=4)
    assert topics.sample(50, seed=3).queries == queries


@pytest.mark.parametrize(
    ("parts", "file", "line", "problem"),
    [
        ({"qrels": QRELS + "q2\td9\t1\n"}, "qrels/test.tsv", 5, "a judgment for an unknown document, 'd9'"),
        ({"qrels": QRELS + "q9\td1\t1\n"}, "qrels/test.tsv", 5, "a judgment for an unknown query, 'q9'"),
        ({"qrels": QRELS + "q2\td1\thigh\n"}, "qrels/test.tsv", 5, "the grade 'high' is not a number"),
        ({"qrels": QRELS + "q2\td1\tnan\n"}, "qrels/test.tsv", 5, "the grade 'nan' is not a whole number"),
        ({"qrels": QRELS + "q2\td1\t0.5\n"}, "qrels/test.tsv", 5, "the grade '0.5' is not a whole number"),
        ({"qrels": QRELS + "q2\td2\t1\n"}, "qrels/test.tsv", 5, "in line 4 already"),
        ({"qrels": QRELS + "q2 d1\n"}, "qrels/test.tsv", 5, "2 columns"),
        ({"corpus": lines([*DOCUMENTS, DOCUMENTS[0]])}, "corpus.jsonl", 4, "the id 'd1' is in line 1 already"),
        ({"corpus": lines(DOCUMENTS) + "{\n"}, "corpus.jsonl", 4, "not JSON"),
        ({"corpus": lines(DOCUMENTS) + "[]\n"}, "corpus.jsonl", 4, "not a JSON object"),
        ({"corpus": lines(DOCUMENTS) + '{"_id": "d4"}\n'}, "corpus.jsonl", 4, "'text' is missing"),
        ({"corpus": lines(DOCUMENTS) + '{"_id": "d4", "text": 4}\n'}, "corpus.jsonl", 4, "'text' is not a string"),
        ({"corpus": lines(DOCUMENTS) + '{"_id": "", "text": "x"}\n'}, "corpus.jsonl", 4, "_id is ''"),
        ({"corpus": lines(DOCUMENTS) + '{"_id": "d 4", "text": "x"}\n'}, "corpus.jsonl", 4, "has a space"),
        ({"queries": lines([*QUERIES, QUERIES[0]])}, "queries.jsonl", 4, "the id 'q1' is in line 1 already"),
        ({"queries": lines([*QUERIES, {"_id": "q4", "text": " "}])}, "queries.jsonl", 4, "'q4' has no text"),
    ],
)
def test_a_bad_line_is_named(write: Write, parts: dict[str, str], file: str, line: int, problem: str) -> None:
    folder = write(**parts)
    with pytest.raises(InputError) as caught:
        beir.read(folder)
    assert str(caught.value).startswith(f"{folder / file}, line {line}: ")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"corpus": ""}, "corpus.jsonl: no documents"),
        ({"corpus": "\n \n"}, "corpus.jsonl: no documents"),
        ({"queries": ""}, "queries.jsonl: no queries"),
        ({"qrels": QRELS.splitlines()[0]}, "test.tsv: no judgments"),
        ({"qrels": "q1\td1\t0\n"}, "test.tsv: no query has a relevant document"),
        ({"name": "dev"}, "test.tsv: No such file"),
    ],
)
def test_a_folder_with_nothing_in_it_is_refused(write: Write, parts: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        beir.read(write(**parts))


def test_bytes_that_are_no_utf8_are_named(write: Write) -> None:
    folder = write()
    (folder / "queries.jsonl").write_bytes(lines(QUERIES).encode() + b'{"_id": "q4", "text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"queries\.jsonl, line \d: not UTF-8"):
        beir.read(folder)


def test_lenient_leaves_out_judgments_for_what_is_unknown_and_counts_them(write: Write) -> None:
    topics = beir.read(write(qrels=QRELS + "q2\td9\t1\nq9\td1\t1\n"), lenient=True).topics
    assert (topics.dropped, list(topics.queries)) == (2, ["q1", "q2"])


def test_queries_of_a_site_may_be_tab_separated(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv"
    path.write_text("1\thow to lift\n2\tdrag\n")
    assert beir.read_queries(path) == {"1": "how to lift", "2": "drag"}
    path.write_text("1\thow to lift\n2 drag\n")
    with pytest.raises(InputError, match="line 2: no tab"):
        beir.read_queries(path)
