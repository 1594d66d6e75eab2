"""A response comes back in the new order, with new scores, and with every other byte as the engine sent it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from connector import fusion, merge, query
from connector.page import Hit
from connector.query import Plan, SearchRequest
from connector.settings import Fusion, Policy

#: Everything that a round trip through a JSON library would change.
ODD = (
    rb'{"n":1.10,"big":12345678901234567890123,"a":1,"a":2,"s":"\u00e9\/\ud800 ' + "café".encode() + rb'",'
    rb'"e":1e400,"z":-0.0, "sp" : [ 1 ]}'
)


def response(hits: Sequence[bytes], *, outer: bytes = b'"max_score":9.0,', rest: bytes = b"") -> bytes:
    listed = b",".join(hits)
    return (
        b'{"took":3,"timed_out":false,"_shards":{"total":1},"hits":{"total":{"value":99,"relation":"gte"},%b"hits":[%b]}%b}'
        % (outer, listed, rest)
    )


def hit(place: int, score: bytes = b"", source: bytes = b"{}", more: bytes = b"") -> bytes:
    return b'{"_index":"i","_id":"%d","_score":%b,"_source":%b%b}' % (
        place,
        score or b"%d.50" % (9 - place),
        source,
        more,
    )


def plan(body: dict[str, Any] | None = None, policy: Policy | None = None, **params: str) -> Plan:
    raw = json.dumps({"query": {"match": {"t": "red"}}, **(body or {})}).encode()
    decided = query.plan(SearchRequest(index="i", params=tuple(params.items()), body=raw), policy or Policy())
    assert isinstance(decided, Plan), decided
    return decided


def reranked(
    body: bytes,
    scores: Sequence[float | None],
    decided: Plan | None = None,
    policy: Policy | None = None,
    took_ms: int = 0,
) -> bytes:
    page = merge.read(body)
    window = page.hits[: (decided or plan()).window]
    order = fusion.rank([h.score for h in window], scores, Fusion(method="none"))
    return merge.merge(page, decided or plan(), order, policy=policy or Policy(), took_ms=took_ms)


def ids(body: bytes) -> list[str]:
    return [h["_id"] for h in json.loads(body)["hits"]["hits"]]


def test_whole_hits_are_permuted_and_every_other_byte_stays() -> None:
    rest = b',"aggregations":{"a":{"value":1.10},"a":2},"profile":{"x":12345678901234567890123}'
    body = response([hit(0, source=ODD), hit(1, source=ODD, more=b',"sort":[1.10],"highlight":{"t":["x"]}')], rest=rest)
    merged = reranked(body, [0.0, 1.0], policy=Policy(scores="engine"))
    swapped = response(
        [hit(1, b"9.50", source=ODD, more=b',"sort":[1.10],"highlight":{"t":["x"]}'), hit(0, b"8.50", source=ODD)],
        rest=rest,
    )
    assert merged == swapped


def test_under_engine_the_scores_stay_in_their_slots_and_max_score_stays() -> None:
    merged = reranked(response([hit(0), hit(1), hit(2)]), [0.0, 1.0, 2.0], policy=Policy(scores="engine"))
    assert ids(merged) == ["2", "1", "0"]
    assert [h["_score"] for h in json.loads(merged)["hits"]["hits"]] == [9.5, 8.5, 7.5]
    assert b'"max_score":9.0' in merged


def test_under_rerank_max_score_is_the_best_of_the_whole_query_on_every_page() -> None:
    body = response([hit(place) for place in range(6)])
    scores = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    pages = [json.loads(reranked(body, scores, plan({"from": from_, "size": 2}))) for from_ in (0, 2, 4)]
    assert {page["hits"]["max_score"] for page in pages} == {pages[0]["hits"]["hits"][0]["_score"]}


def test_where_the_engine_gave_null_it_stays_null() -> None:
    body = response([hit(0, b"null"), hit(1, b"null")], outer=b'"max_score":null,')
    merged = reranked(body, [0.0, 1.0])
    assert ids(merged) == ["1", "0"]
    assert merged.count(b'"_score":null') == 2
    assert b'"max_score":null' in merged


def test_hits_behind_the_window_follow_in_the_engines_order() -> None:
    policy = Policy(window=2)
    merged = reranked(
        response([hit(place) for place in range(5)]), [0.0, 1.0], plan({"from": 1, "size": 3}, policy), policy
    )
    assert ids(merged) == ["0", "2", "3"]


def test_a_page_behind_the_last_hit_is_empty() -> None:
    merged = reranked(response([hit(0), hit(1)]), [0.0, 1.0], plan({"from": 10}))
    assert ids(merged) == []


def test_no_hits_stay_no_hits() -> None:
    body = response([], outer=b'"max_score":null,')
    assert reranked(body, []) == body


def test_took_stays_an_integer_and_includes_our_time() -> None:
    assert reranked(response([]), [], took_ms=40).startswith(b'{"took":43,')


@pytest.mark.parametrize("total", [b'"total":{"value":99,"relation":"gte"},', b'"total":99,', b""])
def test_the_total_keeps_its_form(total: bytes) -> None:
    body = response([hit(0), hit(1)]).replace(b'"total":{"value":99,"relation":"gte"},', total)
    assert total in reranked(body, [0.0, 1.0])


def test_what_only_we_asked_for_is_cut_from_every_hit() -> None:
    body = response([hit(0, source=ODD, more=b',"fields":{"x":[1.10]}'), hit(1, source=ODD)])
    merged = reranked(body, [0.0, 1.0], plan({"_source": False}), Policy(scores="engine"))
    assert merged == response(
        [b'{"_index":"i","_id":"1","_score":9.50}', b'{"_index":"i","_id":"0","_score":8.50,"fields":{"x":[1.10]}}']
    )


def test_a_hit_of_which_filter_path_leaves_nothing_is_left_out_as_the_engine_does() -> None:
    decided = plan({}, filter_path="hits.hits.highlight")
    body = b'{"hits":{"hits":[{"_score":2.0,"_source":{"t":"a"}},{"_score":1.0,"highlight":{},"_source":{"t":"b"}}]}}'
    assert reranked(body, [0.0, 1.0], decided) == b'{"hits":{"hits":[{"highlight":{}}]}}'
    with pytest.raises(merge.Unreadable):
        reranked(body.replace(b'"highlight":{},', b""), [0.0, 1.0], decided)


def test_details_stand_under_fields_beside_what_the_client_asked_for() -> None:
    policy = Policy(details=True)
    body = response([hit(0, more=b',"fields":{"n":[1.10]}'), hit(1), hit(2)])
    merged = reranked(body, [0.5, None, 1.25], policy=policy)
    first, second, third = [h["fields"] for h in json.loads(merged)["hits"]["hits"]]
    assert first == {"_rerank.score": [1.25], "_rerank.first_stage_score": [7.5], "_rerank.first_stage_rank": [3]}
    assert second == {"_rerank.first_stage_score": [8.5], "_rerank.first_stage_rank": [2]}
    assert third["_rerank.first_stage_rank"] == [1]
    assert b'{"n":[1.10],"_rerank.score"' in merged
    assert json.loads(merged)["_rerank"] == {"model": "default", "window": 3, "scored": 2, "scores": "rerank"}


def test_details_replace_fields_that_only_we_asked_for() -> None:
    body = response([hit(0, more=b',"fields":{"t":["secret"]}'), hit(1)])
    merged = reranked(body, [0.0, 1.0], plan({"_source": ["date"]}), Policy(details=True))
    assert b"secret" not in merged
    assert b"_rerank.score" in merged


def test_an_explanation_is_wrapped_with_the_score_that_is_shown() -> None:
    original = b'{"value":9.50,"description":"weight","details":[]}'
    body = response([hit(0, more=b',"_explanation":' + original), hit(1, more=b',"_explanation":' + original)])
    merged = reranked(body, [0.0, None])
    [first, second] = json.loads(merged)["hits"]["hits"]
    assert first["_explanation"]["value"] == first["_score"] == 0.5
    assert first["_explanation"]["details"] == [json.loads(original)]
    assert b'"details":[' + original in merged
    assert second["_explanation"] == json.loads(original)


def test_hits_below_the_policys_threshold_are_left_out_of_their_page() -> None:
    policy = Policy(threshold=0.5, pins=1, fusion=Fusion(method="none"))
    body = response([hit(place) for place in range(5)])
    scores = [-9.0, 1.0, None, -1.0, 2.0]
    assert ids(reranked(body, scores, policy=policy)) == ["4", "1", "2"]
    page = merge.read(body)
    order = fusion.rank([h.score for h in page.hits], scores, Fusion(method="none"), pins=1)
    assert ids(merge.merge(page, plan(), order, policy=policy, took_ms=0)) == ["0", "4", "2", "1"]


def test_hits_with_the_same_id_are_told_apart_by_their_place() -> None:
    same = [hit(0, b"3.0", more=b',"n":%d' % n) for n in range(3)]
    merged = reranked(response(same), [0.0, 1.0, 2.0])
    assert [h["n"] for h in json.loads(merged)["hits"]["hits"]] == [2, 1, 0]


def test_what_a_second_request_fetched_is_shown_with_the_scores_of_the_first() -> None:
    page = merge.read(response([hit(0), hit(1), hit(2)]))
    order = fusion.rank([3.0, 2.0, 1.0], [0.0, 1.0, 2.0], Fusion(method="none"))
    decided = plan({"size": 2})
    fetched = [Hit(h.raw.replace(b"{}", b'{"fetched":1}')) for h in merge.page_hits(page, decided, order)]
    merged = merge.merge(page, decided, order, policy=Policy(details=True), took_ms=0, fetched=fetched)
    shown = json.loads(merged)["hits"]["hits"]
    assert [h["_id"] for h in shown] == ["2", "1"]
    assert all(h["_source"] == {"fetched": 1} for h in shown)
    assert shown[0]["fields"]["_rerank.first_stage_score"] == [7.5]


def test_the_score_inside_a_document_is_not_mistaken_for_the_hits() -> None:
    tricky = rb'{"_score":9.50,"t":"\"_score\":9.50,"}'
    merged = reranked(
        response([hit(0, source=tricky), hit(1, source=tricky)]), [0.0, 1.0], policy=Policy(scores="engine")
    )
    assert merged == response([hit(1, b"9.50", source=tricky), hit(0, b"8.50", source=tricky)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"not json",
        b'{"error":{"reason":"x"},"status":400}',
        b'{"hits":[]}',
        b'{"hits":{"total":1}}',
        b'{"hits":{"hits":[]},"hits":{"hits":[]}}',
        b'{"hits":{"hits":[],"hits":[]}}',
        b'{"hits":{"hits":[1]}}',
        b'{"hits":{"hits":[{"_score":NaN}]}}',
        b'{"hits":{"hits":[{"_score":"high"}]}}',
        b'{"hits":{"hits":[{"_score":1.0}]}',
        b'{"hits":{"hits":[{"_score":{"a":1}}]}}',
    ],
)
def test_what_is_no_search_response_is_refused(body: bytes) -> None:
    with pytest.raises(merge.Unreadable):
        merge.read(body)


def test_a_repeated_key_in_a_hit_is_refused_before_anything_is_cut() -> None:
    body = response([b'{"_id":"1","_score":1.0,"_source":{},"_source":{}}'])
    with pytest.raises(merge.Unreadable):
        reranked(body, [1.0], plan({"_source": False}))


def test_an_order_that_is_no_permutation_is_a_mistake_of_the_caller() -> None:
    page = merge.read(response([hit(0), hit(1)]))
    twice = [fusion.Ranked(position=0, score=1.0, value=1.0)] * 2
    with pytest.raises(ValueError, match="permutation"):
        merge.merge(page, plan(), twice, policy=Policy(), took_ms=0)
