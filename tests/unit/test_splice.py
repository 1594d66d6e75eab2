"""Pieces of a JSON text are found by their bytes, proven by what is around them, and replaced; the rest stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector import pieces, splice
from connector.pieces import Unreadable
from connector.splice import Edit

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
spacing = st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])


@given(st.dictionaries(st.text(), values), spacing, st.booleans())
def test_every_member_is_found_where_it_stands(
    tree: dict[str, object], separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(tree, separators=separators, ensure_ascii=ascii_only).encode(errors="surrogatepass")
    try:
        stand_in = pieces.shape(text)
    except Unreadable:  # raw surrogates are no UTF-8
        return
    found = pieces.members(stand_in)
    assert [json.loads(text[m.start : m.end]) for m in found.values()] == list(tree.values())
    assert all(text[m.key : m.key + 1] == b'"' for m in found.values())


@given(st.lists(values), spacing)
def test_every_element_is_found_where_it_stands(tree: list[object], separators: tuple[str, str]) -> None:
    text = b" " + json.dumps(tree, separators=separators).encode() + b"\n"
    assert [json.loads(text[start:end]) for start, end in pieces.elements(pieces.shape(text))] == tree


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":2}',
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":3}',
        b'{"a":1,"b":22222,"a":"1,\\"b\\":22"}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":1} x',
        b'{"a":NaN}',
        b'{"a":',
        b"[1]",
        b'"a"',
        b"",
    ],
)
def test_a_repeated_key_or_what_is_no_object_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        pieces.members(text)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(Unreadable):
        pieces.shape(b"[" * 100_000 + b"]" * 100_000)


def test_a_text_with_lone_surrogates_is_read_by_a_stand_in_of_the_same_length() -> None:
    text = rb'{"a":"\ud800","b":"\\ud800 \udc00\ud800x","c":1.10}'
    found = pieces.members(pieces.shape(text))
    assert len(pieces.shape(text)) == len(text)
    assert [text[m.start : m.end] for m in found.values()] == [rb'"\ud800"', rb'"\\ud800 \udc00\ud800x"', b"1.10"]


def test_a_text_that_can_be_read_is_its_own_stand_in() -> None:
    text = rb'{"a":"\ud83d\ude00"}'
    assert pieces.shape(text) is text


def test_edits_leave_every_other_byte() -> None:
    text = b'{"a": 1.10, "b": [1,2]}'
    a, b = pieces.members(text).values()
    edited = splice.apply(text, [Edit(b.start, b.end, b"[]"), Edit(a.start, a.end, b"9")])
    assert edited == b'{"a": 9, "b": []}'


def test_an_update_sets_adds_and_leaves_out_members() -> None:
    text = rb'{"size":10,"query":{"a":1.10,"a":2,"s":"\ud800"},"aggs":{}}'
    changed = splice.update(text, {"size": b"50", "aggs": None, "from": b"0", "missing": None})
    assert changed == rb'{"size":50,"query":{"a":1.10,"a":2,"s":"\ud800"},"from":0}'
    assert splice.update(b"", {"size": b"1"}) == b'{"size":1}'


def test_a_value_deep_inside_is_replaced_by_its_path() -> None:
    text = b'{"knn":[{"k":1},{"k":2, "v":[1.10]}]}'
    assert splice.replace(text, ("knn", 1, "k"), b"9") == b'{"knn":[{"k":1},{"k":9,"v":[1.10]}]}'
    assert splice.replace(text, ("knn", 0, "k"), None) == b'{"knn":[{},{"k":2, "v":[1.10]}]}'
    assert splice.replace(text, ("knn", 0, "n"), b"3") == b'{"knn":[{"k":1,"n":3},{"k":2, "v":[1.10]}]}'


@pytest.mark.parametrize("path", [("nope", "k"), ("knn", 5, "k"), ("knn", "k")])
def test_a_path_that_leads_nowhere_is_refused(path: tuple[str | int, ...]) -> None:
    with pytest.raises(Unreadable):
        splice.replace(b'{"knn":[{"k":1}]}', path, b"9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"_id":"1","_score":1.50,"_source":{"a":1}}', b"1.50"),
        (b'{"_score":1.50}', b"1.50"),
        (b'{"_source":{"_score":1.50},"_id":"1"}', None),
        (b'{"_source":{"_score":1.50},"_score":1.50}', None),
        (b'{"_id":"\\"_score\\":1.50","_score" :1.50}', None),
        (b'{"_score":1.505}', None),
    ],
)
def test_the_short_cut_to_a_member_is_taken_only_where_it_is_certain(text: bytes, expected: bytes | None) -> None:
    span = pieces.value_of(text, "_score", b"1.50")
    assert (text[slice(*span)] if span else None) == expected


names = st.sampled_from(["hits", "took", "a", "b", 'q"uote', "hits\\", "é"])
trees = st.recursive(
    st.integers() | st.sampled_from(['"hits":', '{"hits":1}', "\\", '"']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, trees), st.dictionaries(names, trees), trees, spacing)
def test_a_member_is_found_by_what_comes_before_it_and_after_it(
    first: dict[str, object], last: dict[str, object], value: object, separators: tuple[str, str]
) -> None:
    first.pop("hits", None)
    last = {key: value for key, value in last.items() if key not in (*first, "hits")}
    text = json.dumps({**first, "hits": {"list": value}, **last}, separators=separators, ensure_ascii=False).encode()
    found, at = pieces.before(text, "hits")
    inner, start = pieces.before(text, "list", at)
    assert inner == {}
    assert {key: json.loads(text[m.start : m.end]) for key, m in found.items()} == first
    end = start + len(json.dumps(value, separators=separators, ensure_ascii=False).encode())
    assert json.loads(text[start:end]) == value
    nothing, rest = pieces.after(text, end, 2)
    assert nothing == {}
    assert {key: json.loads(text[m.start : m.end]) for key, m in rest.items()} == last


@pytest.mark.parametrize(
    "text", [b"{}", b'{"a":{"hits":1}}', b'["hits",1]', b'{"a":"\\"hits\\":1"}', b'{"h\\u0069ts":1}']
)
def test_a_member_that_is_not_there_is_not_found_elsewhere(text: bytes) -> None:
    with pytest.raises(Unreadable):
        pieces.before(text, "hits")


@pytest.mark.parametrize("rest", [b"", b"}", b"}}}", b',"a":1}', b"},}", b'},"a":1,"a":2}', b"}} x"])
def test_what_follows_must_end_with_the_objects_around(rest: bytes) -> None:
    with pytest.raises(Unreadable):
        pieces.after(b'{"hits":{"list":[]' + rest, 18, 2)
