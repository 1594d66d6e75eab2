"""An `_msearch` is taken apart item by item and put together again, each item answered apart from the others."""

from __future__ import annotations

import json

import pytest

from connector import msearch
from connector.pieces import Unreadable
from connector.query import SearchRequest

BODY = (
    b'{"index":"a","preference":"p"}\n{"query":{"match":{"t":"red"}},"n":1.10}\n\n{"size":0}\n{"index":["b","c"]}\n{}\n'
)


def test_every_item_has_its_index_and_its_parameters() -> None:
    items = msearch.split(BODY, index="x", params=(("typed_keys", "true"),))
    assert [item.request.index for item in items] == ["a", "x", "b,c"]
    assert items[0].request.params == (("typed_keys", "true"), ("preference", "p"))
    assert items[1].request.params == (("typed_keys", "true"),)


def test_untouched_items_are_joined_to_the_same_bytes() -> None:
    assert msearch.join(msearch.split(BODY, index="x")) == BODY


def test_an_item_sends_another_search_under_its_own_header() -> None:
    [item, *_] = msearch.split(BODY, index="x")
    sent = msearch.join([item.sending(SearchRequest(index="a", params=item.request.params, body=b'{"size":50}'))])
    assert sent == b'{"index":"a","preference":"p"}\n{"size":50}\n'


@pytest.mark.parametrize("header", [b"", b"{}", b'{"index":"a"}'])
def test_a_preference_that_we_add_goes_into_the_header(header: bytes) -> None:
    [item] = msearch.split(b"{}\n{}\n", index="x")
    item = msearch.Item(header=header, request=item.request)
    changed = item.sending(SearchRequest(index="x", params=(("preference", "rerank-1"),), body=b"{}"))
    assert json.loads(changed.header) == {**json.loads(header or b"{}"), "preference": "rerank-1"}


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"{}\n{}", b"{}\n", b"{}\n{}\n{}\n", b"\n{}\n", b"{\n{}\n", b"[]\n{}\n", b"1\n{}\n"]
)
def test_what_only_the_engine_can_judge_is_left_to_it(body: bytes) -> None:
    with pytest.raises(Unreadable):
        msearch.split(body, index="x")


def test_carriage_returns_are_white_space() -> None:
    items = msearch.split(b'{"index":"a"}\r\n{"size":1}\r\n', index="x")
    assert (items[0].request.index, json.loads(items[0].request.body)) == ("a", {"size": 1})


def test_answers_are_replaced_one_by_one_and_the_others_keep_every_byte() -> None:
    body = rb'{"took":5,"responses":[{"took":1,"status":200},{"error":"\ud800","status":404},{"x":0.10}]}'
    assert msearch.responses(body)[1] == rb'{"error":"\ud800","status":404}'
    assert msearch.answered(body, {0: b'{"new":1}'}, took_ms=7) == (
        rb'{"took":12,"responses":[{"new":1},{"error":"\ud800","status":404},{"x":0.10}]}'
    )


@pytest.mark.parametrize("body", [b"{}", b'{"error":{}}', b"", b'{"responses":1}', b'{"responses":[],"responses":[]}'])
def test_what_is_no_msearch_response_is_refused(body: bytes) -> None:
    with pytest.raises(Unreadable):
        msearch.responses(body)
