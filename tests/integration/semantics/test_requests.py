"""Items 1 to 5 and 19 of docs/semantics.md on the real engines: what is reranked, and what is sent in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connector.contract.errors import EngineRefused
from connector.query import Reason
from connector.settings import TextTemplate
from tests.integration.semantics.conftest import POLICY, Site, best_first, hits, ids, mapping, untimed

APPLE = {"query": {"match": {"title": "apple"}}}
TITLED = replace(POLICY, text=TextTemplate(fields=("title",)))


ON_ELASTICSEARCH = pytest.mark.parametrize("running", ["elasticsearch"], indirect=True)
ON_OPENSEARCH = pytest.mark.parametrize("running", ["opensearch"], indirect=True)
NEGATIVE = {"negative": {"term": {"group": 1}}, "negative_boost": 0.5}


# 1


@pytest.mark.parametrize("params", [{"rerank": "true"}, {"rerank_window": "5"}])
async def test_1_options_of_ours_are_a_400_of_the_engine_and_are_removed_from_what_we_rerank(
    site: Site, params: dict[str, str]
) -> None:
    with pytest.raises(EngineRefused) as refused:
        await site.direct(APPLE, **params)
    assert refused.value.status == 400
    with pytest.raises(EngineRefused) as refused:
        await site.direct({**APPLE, "ext": {"rerank_bridge": {"pins": 1}}})
    assert refused.value.status == 400
    outcome = await site.reranked({**APPLE, "ext": {"rerank_bridge": {"pins": 1}}}, **params)
    assert outcome.status == "applied"


@pytest.mark.parametrize("form", ["body", "source", "q"])
async def test_1_a_search_is_eligible_by_body_by_source_and_by_q(site: Site, form: str) -> None:
    expected = best_first(await site.direct({**APPLE, "size": 20}))[:10]
    if form == "body":
        outcome = await site.reranked(APPLE)
    elif form == "source":
        outcome = await site.reranked(source=json.dumps(APPLE), source_content_type="application/json")
    else:
        outcome = await site.reranked(q="title:apple")
    assert (outcome.status, ids(outcome.response)) == ("applied", expected)


async def test_1_a_q_in_the_url_takes_the_place_of_the_bodys_query(site: Site) -> None:
    outcome = await site.reranked({"query": {"match": {"body": "nothing"}}}, q="title:apple")
    assert ids(outcome.response) == best_first(await site.direct({**APPLE, "size": 20}))[:10]


# 2

NESTED = {"nested": {"path": "comments", "query": {"match": {"comments.text": "cherry"}}}}
QUERIES: list[tuple[dict[str, Any], list[str]]] = [
    ({"match": {"title": "apple pie"}}, ["title"]),
    ({"match_phrase": {"title": "apple pie"}}, ["title"]),
    ({"match_phrase_prefix": {"title": "apple pi"}}, ["title"]),
    ({"match_bool_prefix": {"title": "pie app"}}, ["title"]),
    ({"multi_match": {"query": "apple", "fields": ["title^3", "body"]}}, ["title", "body"]),
    ({"multi_match": {"query": "apple", "fields": ["title.english"]}}, ["title"]),
    ({"multi_match": {"query": "apple", "fields": ["tit*"]}}, ["title"]),
    ({"combined_fields": {"query": "apple", "fields": ["title", "body"]}}, ["title", "body"]),
    ({"query_string": {"query": "title:(apple AND pie)"}}, ["title"]),
    ({"simple_query_string": {"query": "apple +pie", "fields": ["title"]}}, ["title"]),
    ({"bool": {"must": {"match": {"title": "pie"}}, "filter": {"term": {"group": 1}}}}, ["title"]),
    ({"bool": {"should": [{"match": {"title": "pie"}}], "must_not": {"match": {"title": "x"}}}}, ["title"]),
    ({"dis_max": {"queries": [{"match": {"title": "pie"}}, {"match": {"body": "pie"}}]}}, ["title", "body"]),
    ({"function_score": {"query": {"match": {"title": "pie"}}, "weight": 2}}, ["title"]),
    ({"boosting": {"positive": {"match": {"title": "pie"}}, **NEGATIVE}}, ["title"]),
    ({"constant_score": {"filter": {"match": {"title": "pie"}}}}, ["title"]),
    (NESTED, ["comments.text"]),
    ({"intervals": {"title": {"match": {"query": "apple pie"}}}}, ["title"]),
    ({"match": {"meta.note": "date"}}, ["meta.note"]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "fields"), QUERIES)
async def test_2_every_query_type_with_text_is_reranked_by_the_fields_it_searches(
    site: Site, query: dict[str, Any], fields: list[str]
) -> None:
    outcome = await site.reranked({"query": query, "size": 20})
    assert outcome.status == "applied", outcome.reason
    assert ids(outcome.response) == best_first(await site.direct({"query": query, "size": 20}, preference="x"))
    assert len(site.grader.documents[0].splitlines()) == len(fields) + (fields == ["comments.text"])


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"match_all": {}}},
        {"query": {"ids": {"values": ["1", "2"]}}},
        {"query": {"term": {"group": 1}}},
        {"query": {"range": {"date": {"gte": "2024-01-10"}}}},
        {"query": {"bool": {"filter": {"match": {"title": "apple"}}}}},
        {"aggs": {"groups": {"terms": {"field": "group"}}}},
    ],
)
async def test_2_what_holds_no_question_is_handed_on(site: Site, body: dict[str, Any]) -> None:
    outcome = await site.reranked(body)
    assert (outcome.status, outcome.reason) == ("skipped", Reason.NO_QUERY_TEXT.sentence)
    assert ids(outcome.response) == ids(await site.direct(body))


@ON_ELASTICSEARCH
async def test_2_a_retriever_tree_is_reranked(site: Site) -> None:
    body = {"retriever": {"standard": APPLE}}
    outcome = await site.reranked({**body, "size": 5})
    assert ids(outcome.response) == best_first(await site.direct({**body, "size": 20}))[:5]


@ON_OPENSEARCH
async def test_2_a_script_score_is_reranked(site: Site) -> None:
    query = {"script_score": {"query": APPLE["query"], "script": {"source": "doc['group'].value + 1"}}}
    outcome = await site.reranked({"query": query})
    assert ids(outcome.response) == best_first(await site.direct({"query": query, "size": 20}))[:10]


# 3


async def test_3_size_and_from_in_the_url_win_over_the_body(site: Site) -> None:
    assert len(ids(await site.direct({**APPLE, "size": 3}, size="2"))) == 2
    assert ids(await site.direct({**APPLE, "from": 0, "size": 5}, **{"from": "3"})) == ids(
        await site.direct({**APPLE, "from": 3, "size": 5})
    )
    outcome = await site.reranked({**APPLE, "size": 3, "from": 0}, **{"size": "2", "from": "4"})
    assert ids(outcome.response) == best_first(await site.direct({**APPLE, "size": 20}))[4:6]


@pytest.mark.parametrize("size", [3, 7, 10, 20, 33])
async def test_3_pages_are_cut_from_one_window_without_gap_or_repeat(site: Site, size: int) -> None:
    everything = await site.direct({**APPLE, "size": 40})
    window = best_first(await site.direct({**APPLE, "size": 20}))
    pages = [
        ids((await site.reranked({**APPLE, "from": from_, "size": size})).response) for from_ in range(0, 40, size)
    ]
    assert [id_ for page in pages for id_ in page] == window + ids(everything)[20:]


async def test_3_a_page_behind_the_window_is_passed_through(site: Site) -> None:
    outcome = await site.reranked({**APPLE, "from": 20})
    assert (outcome.status, outcome.reason) == ("skipped", Reason.BEYOND_WINDOW.sentence)
    assert ids(outcome.response) == ids(await site.direct({**APPLE, "from": 20}))
    assert len(site.sent) == 1


async def test_3_the_clients_own_error_comes_through_and_ours_is_never_made(site: Site) -> None:
    with pytest.raises(EngineRefused) as refused:
        await site.reranked({**APPLE, "from": 9_995, "size": 10})
    assert refused.value.status == 400
    outcome = await site.reranked({**APPLE, "from": 5, "size": 9_995}, replace(POLICY, window=10_000))
    assert outcome.status == "applied"


async def test_3_a_refused_window_is_followed_by_the_clients_own_request_once(empty: Site) -> None:
    settings = mapping(empty.engine)
    settings["settings"]["max_result_window"] = 15
    await empty.put(f"/{empty.index}", settings)
    await empty.put(f"/{empty.index}/_doc/1?refresh=true", {"title": "apple grade 1"})
    outcome = await empty.reranked(APPLE)
    assert (outcome.status, outcome.refused, ids(outcome.response)) == ("skipped", True, ["1"])
    assert [json.loads(request.body).get("size") for request in empty.sent] == [20, None]


# 4


def knn(site: Site, k: int) -> dict[str, Any]:
    if site.engine.name == "opensearch":
        return {"query": {"knn": {"v": {"vector": [1.0, 0.5, 0.5], "k": k}}}}
    return {"knn": {"field": "v", "query_vector": [1.0, 0.5, 0.5], "k": k, "num_candidates": 30}}


async def test_4_a_vector_search_is_reranked_over_its_k_and_its_total_stays(site: Site) -> None:
    body = {**knn(site, 8), "aggs": {"groups": {"terms": {"field": "group"}}}}
    request = await site.direct(body)
    plain = json.loads(request.body)
    policy = replace(TITLED, raise_k=True)  # which never applies beside aggregations
    outcome = await _vector_search(site, {**body, "size": 5}, policy)
    merged = json.loads(outcome.response.body)
    assert outcome.status == "applied"
    assert (merged["hits"]["total"], merged["aggregations"]) == (plain["hits"]["total"], plain["aggregations"])
    assert ids(outcome.response) == best_first(await site.direct({**body, "size": 8}))[:5]


async def test_4_k_is_raised_to_the_window_where_the_policy_says_so(site: Site) -> None:
    outcome = await _vector_search(site, {**knn(site, 3), "size": 5}, replace(TITLED, raise_k=True))
    assert ids(outcome.response) == best_first(await site.direct({**knn(site, 20), "size": 20}))[:5]


@ON_ELASTICSEARCH
async def test_4_a_k_that_follows_from_size_does_not_follow_ours(site: Site) -> None:
    body = {"knn": {"field": "v", "query_vector": [1.0, 0.5, 0.5]}, "query": APPLE["query"], "size": 4}
    outcome = await site.reranked(body, TITLED)
    assert outcome.status == "applied"
    assert json.loads(site.sent[0].body)["knn"]["k"] == 4


async def test_4_a_rescored_window_is_as_long_as_ours(site: Site) -> None:
    rescore = {"window_size": 2, "query": {"rescore_query": {"match": {"title": "pie"}}}}
    outcome = await site.reranked({**APPLE, "rescore": rescore, "size": 5})
    rescored = {**APPLE, "rescore": {**rescore, "window_size": 20}, "size": 20}
    assert ids(outcome.response) == best_first(await site.direct(rescored))[:5]


async def _vector_search(site: Site, body: dict[str, Any], policy: Any) -> Any:
    from connector.engines.base import EngineResponse
    from connector.query import SearchRequest
    from connector.rerank import Reranker

    async def first_stage(request: SearchRequest) -> EngineResponse:
        return await site.engine.search(request.index, request.body, request.params)

    request = SearchRequest(index=site.index, body=json.dumps(body).encode())
    return await Reranker(site.grader).search(request, policy, first_stage, query_text="apple")


# 5


@pytest.mark.parametrize(
    ("body", "params", "reason"),
    [
        ({"sort": ["group"]}, {}, Reason.SORT),
        ({"sort": ["_score", "group"]}, {}, Reason.SORT),
        ({"sort": [{"_score": "asc"}]}, {}, Reason.SORT),
        ({}, {"sort": "group:desc"}, Reason.SORT),
        ({"sort": ["group"]}, {"sort": "_score:desc"}, Reason.SORT),
        ({"sort": ["_score", "group"], "search_after": [0.0, 1]}, {}, Reason.SEARCH_AFTER),
        ({}, {"scroll": "1m"}, Reason.SCROLL),
        ({"size": 0}, {}, Reason.NO_HITS_ASKED),
    ],
)
async def test_5_what_goes_by_the_engines_order_keeps_it(
    site: Site, body: dict[str, Any], params: dict[str, str], reason: Reason
) -> None:
    expected = reason if reason is not Reason.SEARCH_AFTER else None
    outcome = await site.reranked({**APPLE, **body}, **params)
    assert outcome.status == "skipped"
    assert expected is None or outcome.reason == reason.sentence
    assert ids(outcome.response) == ids(await site.direct({**APPLE, **body}, **params))


@pytest.mark.parametrize("sort", ["_score", [{"_score": "desc"}], [{"_score": {"order": "desc"}}]])
async def test_5_a_sort_by_score_is_no_sort(site: Site, sort: Any) -> None:
    outcome = await site.reranked({**APPLE, "sort": sort})
    assert outcome.status == "applied"
    assert "sort" not in hits(outcome.response)[0]


@pytest.mark.parametrize("params", [{"format": "yaml"}, {"pretty": "true"}])
async def test_5_another_form_than_plain_json_is_passed_through(site: Site, params: dict[str, str]) -> None:
    outcome = await site.reranked(APPLE, **params)
    assert (outcome.status, outcome.reason) == ("skipped", Reason.FORMAT.sentence)
    assert untimed(outcome.response.body) == untimed((await site.direct(APPLE, **params)).body)


@ON_OPENSEARCH
async def test_5_a_pipeline_that_truncates_is_left_alone(site: Site) -> None:
    body = {**APPLE, "search_pipeline": {"response_processors": [{"truncate_hits": {"target_size": 2}}]}}
    outcome = await site.reranked(body)
    assert (outcome.status, outcome.reason) == ("skipped", Reason.SEARCH_PIPELINE.sentence)
    assert len(ids(outcome.response)) == 2


# 19


async def test_19_equal_scores_are_read_with_one_preference_for_every_page(site: Site) -> None:
    body = {"query": {"constant_score": {"filter": {"match": {"title": "apple"}}}}}
    sent = set()
    for from_ in (0, 5, 10):
        assert (await site.reranked({**body, "from": from_, "size": 5})).status == "applied"
        sent.add(dict(site.sent[0].params)["preference"])
    assert len(sent) == 1
