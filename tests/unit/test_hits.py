"""The text of a hit: from `_source` or `fields`, by names of any form, within caps, as a tokenizer takes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connector import hits
from connector.page import Hit
from connector.settings import TextTemplate


def hit(source: Any = None, fields: Any = None) -> Hit:
    members = {"_index": "i", "_id": "1", "_score": 1.0}
    members |= {} if source is None else {"_source": source}
    members |= {} if fields is None else {"fields": fields}
    return raw(json.dumps(members).encode())


def raw(text: bytes) -> Hit:
    from connector import pieces

    return Hit(text, pieces.shape(text))


def text(found: Hit, *names: str, **template: Any) -> str | None:
    return hits.texts([found], TextTemplate(**template), names)[0]


@pytest.mark.parametrize(
    ("source", "names", "expected"),
    [
        ({"title": "Hello", "body": "World"}, ["title", "body"], "Hello\nWorld"),
        ({"title": "Hello"}, ["title.english"], "Hello"),
        ({"title": "Hello"}, ["title", "title.english"], "Hello"),
        ({"a": {"b": {"c": "deep"}}}, ["a.b.c"], "deep"),
        ({"a.b": {"c": "dotted"}}, ["a.b.c"], "dotted"),
        ({"a.b.c": "flat"}, ["a.b.c"], "flat"),
        ({"tags": ["one", "two", ["three"]]}, ["tags"], "one\ntwo\nthree"),
        ({"c": [{"t": "first"}, {"t": ["second", "third"]}, {"x": 1}]}, ["c.t"], "first\nsecond\nthird"),
        ({"title_en": "Hello", "title_de": "Hallo", "other": "no"}, ["title_*"], "Hello\nHallo"),
        ({"m": {"a": "one", "b": {"c": "two"}}, "n": "no"}, ["m.*"], "one\ntwo"),
        ({"content": {"text": "of an object"}}, ["content"], "of an object"),
        ({"year": 1999, "on": True, "none": None}, ["year", "on", "none"], "1999"),
        ({"title": "  "}, ["title"], None),
        ({"title": ""}, ["title"], None),
        ({"title": "Hello"}, ["body"], None),
        ({"title": "Hello"}, [], None),
        ({"title": {"english": "an object"}}, ["title.english.x"], "an object"),
        (None, ["title"], None),
    ],
)
def test_a_name_leads_to_its_text(source: Any, names: list[str], expected: str | None) -> None:
    assert text(hit(source), *names) == expected


def test_the_fields_of_the_template_take_the_place_of_those_searched() -> None:
    assert text(hit({"title": "Hello", "body": "World"}), "title", fields=("body",)) == "World"


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ["Hello"], "c.text": ["one", "two"]},
        {"title.english": ["Hello"], "c": [{"text": ["one"]}, {"text": ["two"]}]},
    ],
)
def test_what_source_does_not_show_is_read_from_fields(fields: Any) -> None:
    assert (
        text(hit(None, fields), "title.english" if "title.english" in fields else "title", "c.text")
        == "Hello\none\ntwo"
    )


def test_a_field_that_both_show_is_read_once() -> None:
    assert text(hit({"title": "Hello"}, {"title": ["Hello"], "body": ["World"]}), "title", "body") == "Hello\nWorld"


def test_each_field_is_cut_to_its_own_cap() -> None:
    found = hit({"title": "abcdef", "body": "uvwxyz"})
    assert text(found, "title", "body", max_chars=2, field_chars={"title": 4}) == "abcd\nuv"


def test_the_cap_counts_over_all_values_of_a_field() -> None:
    assert text(hit({"tags": ["abcd", "efgh", "ijkl"]}), "tags", max_chars=7) == "abcd\nef"


@pytest.mark.parametrize("unit", ["x", "é", "\\", '"', "\n", "😀", "\ud800"])
def test_a_long_value_is_cut_without_being_read_to_its_end(unit: str) -> None:
    for escaped in (True, False):
        if unit == "\ud800" and not escaped:
            continue
        body = json.dumps({"_id": "1", "_score": 1, "_source": {"t": "a" + unit * 50_000}}, ensure_ascii=escaped)
        found = text(raw(body.encode()), "t", max_chars=101)
        assert found == hits.clean("a" + unit * 100).strip()


def test_control_characters_and_lone_surrogates_become_spaces() -> None:
    assert text(hit({"t": "a\x00b\x1fc\td\ne\x85f\ud800g"}), "t") == "a b c\td\ne f g"


@pytest.mark.parametrize("number", [b"1e400", b"12345678901234567890123", b"-0.0"])
def test_numbers_that_python_writes_otherwise_do_no_harm(number: bytes) -> None:
    found = raw(b'{"_id":"1","_source":{"n":{"m":%b},"t":"text"}}' % number)
    assert text(found, "t", "n.x") == "text"


def test_a_document_that_is_no_object_has_no_text() -> None:
    assert text(raw(b'{"_id":"1","_source":"text"}'), "t") is None
