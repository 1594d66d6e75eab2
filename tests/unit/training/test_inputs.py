"""Reading training data: pairs, BEIR folders, click logs, and every line that cannot be used."""

import gzip
import json
from pathlib import Path

import pytest

from connector.contract.errors import InputError
from workers.training import beir, clicks, pairs

CLICKS = clicks.Settings()


def lines(path: Path, *values: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{value if isinstance(value, str) else json.dumps(value)}\n" for value in values))
    return path


def folder(path: Path, judgments: str = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\n") -> Path:
    lines(path / "corpus.jsonl", {"_id": "d1", "title": "Bread", "text": "is baked"}, {"_id": "d2", "text": "Rain"})
    lines(path / "queries.jsonl", {"_id": "q1", "text": "how to bake"})
    (path / "qrels").mkdir()
    (path / "qrels" / "train.tsv").write_text(judgments)
    return path


def page(**changes: object) -> dict[str, object]:
    shown = {"text": "a page", "position": 1, "clicked": True} | changes
    return {"query": "q", "shown": [{name: value for name, value in shown.items() if value is not None}]}


def test_pairs_with_one_query_become_one_query_with_all_its_positives(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "pairs.jsonl",
        {"query": "bake", "title": "Bread", "text": "is baked"},
        {"query": " Bake ", "positive": "Cake", "negatives": ["Rain", {"title": "Snow", "text": "falls", "score": -3}]},
    )
    read = pairs.read(path)
    (query,) = read.queries
    grades = {read.passages[name]: grade for name, grade in query.grades.items()}
    assert grades == {"Bread is baked": 1.0, "Cake": 1.0, "Rain": 0.0, "Snow falls": 0.0}
    assert {read.passages[name]: score for name, score in query.scores.items()} == {"Snow falls": -3.0}


def test_packed_pairs_are_read_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.write('{"query": "bake", "text": "Bread"}\n')
    assert list(pairs.read(path).passages.values()) == ["Bread"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2: no JSON"),
        ("[1]", "line 2: each line must be one JSON object"),
        ({"text": "x"}, "line 2: no field query"),
        ({"query": "q"}, "line 2: no field text or positive"),
        ({"query": "q", "text": "  "}, 'line 2: "text" must be a text that is not empty'),
        ({"query": "q", "text": "x", "score": "high"}, "line 2: \"score\" must be a number, not 'high'"),
        ('{"query": "q", "text": "x", "score": NaN}', 'line 2: "score" must be a number, not nan'),
        ({"query": "q", "text": "x", "negatives": "y"}, 'line 2: "negatives" must be a list'),
        ({"query": "q", "text": "x", "negatives": [7]}, "line 2: a negative must be a text or an object"),
        ({"query": "q", "text": "x", "negatives": ["X"]}, "line 2: a negative is also a positive"),
    ],
)
def test_a_bad_pair_is_told_with_file_and_line(tmp_path: Path, line: object, problem: str) -> None:
    path = lines(tmp_path / "pairs.jsonl", {"query": "bake", "text": "Bread"}, line)
    with pytest.raises(InputError) as caught:
        pairs.read(path)
    assert f"{path}, {problem}" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_pairs_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no pairs in it"):
        pairs.read(path)


def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b'{"query": "q", "text": "\xff"}\n')
    with pytest.raises(InputError, match="line 1: not UTF-8"):
        pairs.read(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl: No such file"):
        pairs.read(tmp_path / "nowhere.jsonl")


def test_a_beir_folder_gives_grades_and_the_whole_corpus(tmp_path: Path) -> None:
    read = beir.read(folder(tmp_path / "set"), "train")
    assert dict(read.passages) == {"d1": "Bread is baked", "d2": "Rain"}
    assert [dict(query.grades) for query in read.queries] == [{"d1": 2.0, "d2": 0.0}]
    assert read.top_grade == 2.0
    assert len(read.digests) == 3


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("q9\td1\t1", "line 2: query 'q9' is not in"),
        ("q1\td9\t1", "line 2: document 'd9' is not in"),
        ("q1\td1\thigh", "line 2: the grade 'high' is no number"),
        ("q1\td1\tnan", "line 2: the grade 'nan' is no whole number"),
        ("q1\td1\t0.5", "line 2: the grade '0.5' is no whole number"),
        ("q1\td1", "line 2: needs the three columns"),
        ("q1\td1\t1\nq1\td1\t2", "line 3: a second judgment of document 'd1'"),
    ],
)
def test_a_bad_judgment_is_told_with_file_and_line(tmp_path: Path, row: str, problem: str) -> None:
    path = folder(tmp_path / "set", f"query-id\tcorpus-id\tscore\n{row}\n")
    with pytest.raises(InputError) as caught:
        beir.read(path, "train")
    assert f"{path / 'qrels' / 'train.tsv'}, {problem}" in str(caught.value)


def test_a_grade_below_zero_is_a_negative(tmp_path: Path) -> None:
    path = folder(tmp_path / "set", "q1\td1\t1\nq1\td2\t-2\n")
    (query,) = beir.read(path, "train").queries
    assert dict(query.grades) == {"d1": 1.0, "d2": 0.0}


def test_judgments_without_a_positive_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no positives"):
        beir.read(folder(tmp_path / "set", "q1\td1\t0\n"), "train")


def test_a_missing_split_names_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dev\.tsv: no such judgments; splits that are there: train"):
        beir.read(folder(tmp_path / "set"), "dev")


@pytest.mark.parametrize("name", ["corpus", "queries"])
def test_a_duplicate_id_is_told_with_file_and_line(tmp_path: Path, name: str) -> None:
    path = folder(tmp_path / "set")
    file = path / f"{name}.jsonl"
    file.write_text(file.read_text() + json.dumps({"_id": "d1" if name == "corpus" else "q1", "text": "again"}))
    with pytest.raises(InputError, match=rf"{name}\.jsonl, line {3 if name == 'corpus' else 2}: .* is there twice"):
        beir.read(path, "train")


@pytest.mark.parametrize("documents", [(), ({"_id": "d1", "text": ""},)])
def test_an_empty_corpus_is_an_error(tmp_path: Path, documents: tuple[object, ...]) -> None:
    path = folder(tmp_path / "set")
    lines(path / "corpus.jsonl", *documents)
    with pytest.raises(InputError, match="the corpus is empty"):
        beir.read(path, "train")


def test_a_click_log_gives_labels_and_leaves_out_what_nobody_may_have_seen(tmp_path: Path) -> None:
    shown = [
        {"id": "top", "text": "first", "position": 1},
        {"id": "hit", "text": "second", "position": 2, "clicked": True, "dwell": 60},
        {"id": "short", "text": "third", "position": 3, "clicked": True, "dwell": 3},
        {"id": "deep", "text": "fourth", "position": 40},
    ]
    read = clicks.read(lines(tmp_path / "log.jsonl", {"query": "q", "shown": shown}), CLICKS)
    (query,) = read.queries
    assert query.grades["top"] == 0.0
    assert query.grades["hit"] > query.grades["short"] > 0
    assert query.undecided == {"deep"}
    assert read.notes["click_model"]["method"] == "eta"  # type: ignore[index]


def test_a_click_log_may_name_documents_of_a_corpus(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", page(text=None, id="d1"))
    assert dict(clicks.read(path, CLICKS, {"d1": "Bread"}).passages) == {"d1": "Bread"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (page(position=0), "position 0 is impossible"),
        (page(position=-3), "position -3 is impossible"),
        (page(position=1.5), "position 1.5 is impossible"),
        (page(position=True), "position True is impossible"),
        (page(position="1"), "position '1' is impossible"),
        (page(position=None), "position None is impossible"),
        (page(position=10_001), "position 10001 is impossible"),
        (page(dwell=-1), "a dwell time of -1 seconds is impossible"),
        (page(clicked=False, dwell=9), "a dwell time without a click is impossible"),
        (page(clicked="yes"), '"clicked" must be true or false'),
        (page(dwell="long"), "\"dwell\" must be a number, not 'long'"),
        (page(text=None), "no field id"),
        (page(text=None, id="d1"), "document 'd1' has no text"),
        ({"query": "q", "shown": []}, '"shown" must list the documents'),
        ({"query": "q", "shown": ["d1"]}, 'each entry of "shown" must be an object'),
        (
            {"query": "q", "shown": [{"text": "a", "position": 1}, {"text": "b", "position": 1}]},
            "two documents were shown at the same position",
        ),
    ],
)
def test_an_impossible_click_is_told_with_file_and_line(tmp_path: Path, line: object, problem: str) -> None:
    path = lines(tmp_path / "log.jsonl", page(), line)
    with pytest.raises(InputError) as caught:
        clicks.read(path, CLICKS)
    assert f"{path}, line 2: {problem}" in str(caught.value)


def test_a_clicked_document_that_the_corpus_lacks_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = lines(tmp_path / "log.jsonl", page(text=None, id="d9"))
    with pytest.raises(InputError, match="line 1: document 'd9' is not in the corpus"):
        clicks.read(path, CLICKS, {"d1": "Bread"})


def test_a_log_without_a_click_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no positives"):
        clicks.read(lines(tmp_path / "log.jsonl", page(clicked=False)), CLICKS)
