"""A line of JSON becomes a document as it was written, or a reason; checkpoints know their file again."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from connector.indexing import Bad, Document, Shape, bulk, lines
from connector.indexing.checkpoint import Checkpoint, folder


def parse(data: bytes, shape: Shape | None = None) -> Document | Bad:
    return lines.parse(data, shape or Shape(), line=7, end=99)


def document(data: bytes, shape: Shape | None = None) -> Document:
    parsed = parse(data, shape)
    assert isinstance(parsed, Document), parsed
    return parsed


def test_the_source_is_what_was_written_without_its_id() -> None:
    parsed = document(
        b'{"_id":"a","title":"T","text":"x","n":1.10,"big":12345678901234567890123,"m":{"a":[1,2.50]}}\r\n'
    )
    assert parsed.id == "a"
    assert parsed.source == b'{"title":"T","text":"x","n":1.10,"big":12345678901234567890123,"m":{"a":[1,2.50]}}'
    assert parsed.text == "T\nx"
    assert (parsed.line, parsed.end) == (7, 99)


def test_an_id_under_another_name_stays_in_the_document() -> None:
    parsed = document(b'{"sku":17,"text":"x"}', Shape(id_field="sku"))
    assert (parsed.id, parsed.source) == ("17", b'{"sku":17,"text":"x"}')


def test_a_field_that_is_written_anew_is_left_out() -> None:
    assert document(b'{"_id":"a","vector":[1],"x":2}', Shape(replaced="vector")).source == b'{"x":2}'


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (rb"\ud83d\ude00", rb"\ud83d\ude00"),
        (rb"a\ud83d", rb"a\ufffd"),
        (rb"\ude00\ud83d", rb"\ufffd\ufffd"),
        (rb"\ud83d\ud83d\ude00", rb"\ufffd\ud83d\ude00"),
        (rb"\\ud83d", rb"\\ud83d"),
        (rb"\\\ud83d", rb"\\\ufffd"),
        (b"\x01tab\there\x1f", b" tab here "),
        ("é漢😀".encode(), "é漢😀".encode()),
    ],
)
def test_lone_surrogates_and_control_characters_are_cleaned_and_nothing_else(written: bytes, kept: bytes) -> None:
    parsed = document(b'{"_id":"a","text":"' + written + b'"}')
    assert parsed.source == b'{"text":"' + kept + b'"}'
    json.loads(parsed.source)["text"].encode()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"not json", "JSON is malformed"),
        (b'{"_id":"a"', "truncated"),
        (b'["_id"]', "Expected `object`, got `array`"),
        (b'{"text":"x"}', "no member '_id'"),
        (b'{"_id":null}', "neither a text nor a whole number"),
        (b'{"_id":true}', "neither a text nor a whole number"),
        (b'{"_id":1.5}', "neither a text nor a whole number"),
        (b'{"_id":""}', "neither a text nor a whole number"),
        (b'{"_id":"' + b"x" * 513 + b'"}', "longer than 512 bytes"),
        (b'{"_id":"a","text":"\xff"}', "not UTF-8 at byte 20"),
        (b'{"_id":"a","text":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"_id":"a","n":NaN}', "JSON is malformed"),
    ],
)
def test_a_line_that_is_no_document_says_why(data: bytes, problem: str) -> None:
    parsed = parse(data)
    assert isinstance(parsed, Bad)
    assert problem in parsed.problem
    assert (parsed.line, parsed.end) == (7, 99)


def test_a_file_is_read_line_by_line_with_offsets_that_can_be_gone_back_to() -> None:
    data = b'\xef\xbb\xbf{"_id":"1"}\n\n  \n{"_id":2}\r\nbroken\n{"_id":"3"}'
    read = list(lines.read(io.BytesIO(data), Shape()))
    assert [(item.line, type(item).__name__) for item in read] == [
        (1, "Document"),
        (4, "Document"),
        (5, "Bad"),
        (6, "Document"),
    ]
    assert read[-1].end == len(data)
    file = io.BytesIO(data)
    file.seek(read[1].end)
    assert list(lines.read(file, Shape(), line=read[1].line, offset=read[1].end)) == read[2:]


def test_a_line_longer_than_an_engine_takes_is_passed_over_without_being_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINE", 20)
    data = b'{"_id":"1"}\n' + b"x" * 75 + b'\n{"_id":"2"}\n'
    first, long, second = lines.read(io.BytesIO(data), Shape())
    assert isinstance(long, Bad)
    assert "longer than 20 bytes" in long.problem
    assert (first.line, long.line, second.line) == (1, 2, 3)
    assert second.end == len(data)


def test_what_is_embedded_is_capped_and_leaves_out_what_is_no_text() -> None:
    line = {"_id": "a", "title": ["no"], "text": "x" * 5000, "body": "tail"}
    parsed = document(json.dumps(line).encode(), Shape(text_fields=("title", "body", "text", "none")))
    assert parsed.text.startswith("tail\nxxx")
    assert len(parsed.text) == 4000
    assert document(b'{"_id":"a","text":"  "}').text == ""


def test_a_vector_is_one_more_member() -> None:
    assert bulk.with_vector(document(b'{"_id":"a","x":1.10}'), "v", [0.5, 1.0]).source == b'{"x":1.10,"v":[0.5,1.0]}'
    assert bulk.with_vector(document(b'{"_id":"a"}'), "v", [0.5]).source == b'{"v":[0.5]}'


def test_a_checkpoint_is_known_again_by_its_file_index_and_engine(tmp_path: Path) -> None:
    source = tmp_path / "corpus.jsonl"
    source.write_bytes(b'{"_id":"1"}\n' * 1000)
    place = Checkpoint.of(tmp_path / "state", source=source, engine_url="http://a:1", index="x")
    other = Checkpoint.of(tmp_path / "state", source=source, engine_url="http://a:1", index="y")
    with source.open("rb") as file:
        assert place.read(file) == (0, 0)
        place.write(file, line=500, offset=6000)
        assert place.read(file) == (500, 6000)
        assert other.read(file) == (0, 0)
    with source.open("ab") as grown:
        grown.write(b'{"_id":"new"}\n')
    with source.open("rb") as file:
        assert place.read(file) == (500, 6000)
    source.write_bytes(b'{"_id":"2"}\n' * 1000)
    with source.open("rb") as file:
        assert place.read(file) == (0, 0)
    source.write_bytes(b"")
    with source.open("rb") as file:
        assert place.read(file) == (0, 0)
    place.path.write_text("{broken")
    with source.open("rb") as file:
        assert place.read(file) == (0, 0)


def test_checkpoints_are_in_the_users_state_folder() -> None:
    assert folder({"XDG_STATE_HOME": "/s"}) == Path("/s/rerank-bridge/index")
    assert folder({}) == Path.home() / ".local/state/rerank-bridge/index"
