"""Items 7, 8 and 11 to 18 of docs/semantics.md on the real engines: what comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from connector import merge
from connector.engines.base import EngineResponse
from connector.settings import TextTemplate
from tests.integration.semantics.conftest import POLICY, Site, best_first, hits, ids, mapping, untimed

APPLE: dict[str, Any] = {"query": {"match": {"title": "apple"}}}
BOTH: dict[str, Any] = {"query": {"multi_match": {"query": "apple", "fields": ["title", "body"]}}}
RERANK = replace(POLICY, scores="rerank")
ON_OPENSEARCH = pytest.mark.parametrize("running", ["opensearch"], indirect=True)


async def expected(site: Site, query: dict[str, Any], size: int = 10) -> list[str]:
    """The ids that a page of `size` shows after reranking."""
    return best_first(await site.direct({"query": query["query"], "size": 20}))[:size]


def unscored(response: EngineResponse, *, filtered: bool = False) -> dict[str, bytes]:
    """Each hit by its id, byte for byte but for its score.

    Where `_source` is `filtered`, the order of its members is left out: Elasticsearch filters the text of a document,
    or, where the same request asks for `fields`, its parsed form, and writes the members in another order.
    """
    found = {}
    for hit in merge.read(response.body).hits:
        raw = hit.raw
        if hit.score_span:
            start, end = hit.score_span
            raw = raw[:start] + b"0" + raw[end:]
        found[json.loads(hit.raw)["_id"]] = json.dumps(json.loads(raw), sort_keys=True).encode() if filtered else raw
    return found


# 7 and 8: what the client sees of each hit

FETCH: list[dict[str, Any]] = [
    {},
    {"_source": False},
    {"_source": True},
    {"_source": []},
    {"_source": "title"},
    {"_source": ["date", "meta.*"]},
    {"_source": {"includes": ["*"], "excludes": ["body", "comments"]}},
    {"_source": {"excludes": ["title"]}},
    {"_source": "date,title"},
    {"stored_fields": ["date"]},
    {"stored_fields": ["date"], "_source": True},
    {"fields": ["date", "tit*"]},
    {"fields": ["date"], "_source": False},
    {"fields": ["title", "comments.*"], "_source": ["group"]},
    {"docvalue_fields": ["group", "title.raw"], "_source": False},
    {"docvalue_fields": ["group"], "_source": ["date"]},
    {"version": True, "seq_no_primary_term": True},
    {"highlight": {"fields": {"title": {}, "body": {}}}},
    {"highlight": {"fields": {"title": {"number_of_fragments": 0}}}, "_source": ["date"], "fields": ["group"]},
    {"sort": ["_score"], "_source": ["date"]},
    {"collapse": {"field": "group"}, "_source": ["date"]},
]
URL: list[dict[str, str]] = [
    {"_source": "false"},
    {"_source": "date,title"},
    {"_source_includes": "date"},
    {"_source_excludes": "title,body"},
    {"_source": "false", "_source_includes": "title"},
    {"stored_fields": "date"},
    {"docvalue_fields": "group", "_source": "date"},
    {"version": "true"},
]


@pytest.mark.parametrize("fetch", FETCH, ids=json.dumps)
async def test_7_a_hit_comes_back_exactly_as_the_client_asked_for_it(site: Site, fetch: dict[str, Any]) -> None:
    plain = await site.direct({**BOTH, **fetch, "size": 20})
    outcome = await site.reranked({**BOTH, **fetch, "size": 5})
    assert outcome.status == "applied", outcome.reason
    if "collapse" not in fetch:
        assert ids(outcome.response) == await expected(site, BOTH, 5)
    filtered = "fields" in json.loads(site.sent[0].body) and "fields" not in fetch
    whole = unscored(plain, filtered=filtered)
    assert unscored(outcome.response, filtered=filtered) == {id_: whole[id_] for id_ in ids(outcome.response)}


@pytest.mark.parametrize("params", URL, ids=json.dumps)
async def test_7_the_url_says_what_is_shown_as_the_body_does(site: Site, params: dict[str, str]) -> None:
    plain = await site.direct({**BOTH, "size": 20, "_source": ["group"]}, **params)
    outcome = await site.reranked({**BOTH, "size": 5, "_source": ["group"]}, **params)
    assert outcome.status == "applied", outcome.reason
    assert ids(outcome.response) == await expected(site, BOTH, 5)
    filtered = "fields" in json.loads(site.sent[0].body)
    whole = unscored(plain, filtered=filtered)
    assert unscored(outcome.response, filtered=filtered) == {id_: whole[id_] for id_ in ids(outcome.response)}


@pytest.mark.parametrize(
    "paths",
    [
        "hits.hits._source",
        "hits.hits._source.title",
        "hits.hits._source.date,hits.total",
        "took,hits.hits._id",
        "hits.hits._id,hits.hits._score,hits.max_score",
        "hits",
        "hits.hits.*",
        "-aggregations,-_shards",
    ],
)
async def test_7_filter_path_shows_what_it_names_and_no_more(site: Site, paths: str) -> None:
    plain = json.loads((await site.direct({**BOTH, "size": 20}, filter_path=paths)).body)
    order = [ids(await site.direct({**BOTH, "size": 20})).index(id_) for id_ in await expected(site, BOTH, 5)]
    outcome = await site.reranked({**BOTH, "size": 5}, filter_path=paths)
    assert outcome.status == "applied", outcome.reason
    found = json.loads(outcome.response.body)
    shown = plain["hits"].pop("hits")
    assert [_without_score(hit) for hit in found["hits"].pop("hits")] == [_without_score(shown[i]) for i in order]
    plain.pop("took", None), found.pop("took", None)
    assert found == plain


async def test_7_filter_path_drops_the_hits_of_which_nothing_is_left(site: Site) -> None:
    query = {"bool": {"should": [APPLE["query"], {"match": {"title": "pie"}}]}}
    body = {"query": query, "highlight": {"fields": {"title": {"highlight_query": {"match": {"title": "pie"}}}}}}
    plain = json.loads((await site.direct({**body, "size": 20}, filter_path="hits.hits.highlight")).body)
    outcome = await site.reranked({**body, "size": 20}, filter_path="hits.hits.highlight")
    assert outcome.status == "applied", outcome.reason
    found = json.loads(outcome.response.body)
    assert sorted(map(str, found["hits"]["hits"])) == sorted(map(str, plain["hits"]["hits"]))


@pytest.mark.parametrize("paths", ["**.title", "hits.hits._so*", "-hits.hits._source", "hits.total"])
async def test_7_a_filter_path_that_cannot_be_kept_is_passed_through(site: Site, paths: str) -> None:
    outcome = await site.reranked(APPLE, filter_path=paths)
    assert outcome.status == "skipped"
    assert untimed(outcome.response.body) == untimed((await site.direct(APPLE, filter_path=paths)).body)


async def test_7_without_any_way_to_the_text_the_search_is_passed_through(site: Site) -> None:
    body = {**APPLE, "stored_fields": "_none_"}
    outcome = await site.reranked(body)
    assert outcome.status == "skipped"
    assert hits(outcome.response) == hits(await site.direct(body))


async def test_7_the_text_of_nested_documents_comes_along_too(site: Site) -> None:
    query = {"nested": {"path": "comments", "query": {"match": {"comments.text": "cherry"}}}}
    whole = ids((await site.reranked({"query": query})).response)
    texts = site.grader.documents
    for fetch in ({"_source": ["date"]}, {"_source": False}, {"_source": ["date"], "highlight": {"fields": {"a": {}}}}):
        assert ids((await site.reranked({"query": query, **fetch})).response) == whole
        assert site.grader.documents == texts


def _without_score(hit: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in hit.items() if name != "_score"}


INNER = {"nested": {"path": "comments", "query": {"match": {"comments.text": "cherry"}}, "inner_hits": {"size": 1}}}


@pytest.mark.parametrize(
    "body",
    [
        {**BOTH, "highlight": {"fields": {"title": {}, "body": {}}}},
        {**BOTH, "highlight": {"fields": {"title": {}}}, "_source": False, "post_filter": {"term": {"group": 1}}},
        {**BOTH, "explain": True, "_source": ["date"]},
        {"query": {"bool": {"must": [BOTH["query"], INNER]}}, "_source": ["date"]},
        {**BOTH, "highlight": {"fields": {"title": {}}}, "aggs": {"groups": {"terms": {"field": "group"}}}},
        {**BOTH, "highlight": {"fields": {"title": {}}}, "min_score": 0.0001, "track_total_hits": 5},
    ],
)
async def test_8_costly_options_are_computed_for_the_page_and_come_back_the_same(
    site: Site, body: dict[str, Any]
) -> None:
    plain = await site.direct({**body, "size": 20})
    outcome = await site.reranked({**body, "size": 4})
    assert outcome.status == "applied", outcome.reason
    first, second = [json.loads(request.body) for request in site.sent]
    assert not {"highlight", "explain"} & set(first)
    assert "inner_hits" not in json.dumps(first)
    assert len(second["post_filter"]["bool"]) == 1
    whole, part = _unexplained(plain), _unexplained(outcome.response)
    assert part == {id_: whole[id_] for id_ in ids(outcome.response)}
    assert len(part) == 4
    one, other = json.loads(plain.body), json.loads(outcome.response.body)
    assert one["hits"]["total"] == other["hits"]["total"]
    assert one.get("aggregations") == other.get("aggregations")


@ON_OPENSEARCH
async def test_8_script_fields_are_computed_for_the_page(site: Site) -> None:
    body = {**BOTH, "script_fields": {"twice": {"script": "doc['group'].value * 2"}}, "_source": ["group"]}
    outcome = await site.reranked({**body, "size": 4})
    assert outcome.status == "applied", outcome.reason
    assert [hit["fields"]["twice"][0] for hit in hits(outcome.response)] == [
        hit["_source"]["group"] * 2 for hit in hits(outcome.response)
    ]
    assert "script_fields" not in json.loads(site.sent[0].body)


async def test_8_a_hit_that_is_gone_in_between_gives_way_to_the_engines_own_answer(empty: Site) -> None:
    await empty.put(f"/{empty.index}", mapping(empty.engine))
    for n in range(6):
        await empty.put(f"/{empty.index}/_doc/{n}?refresh=true", {"title": f"apple grade {n}"})
    body = {**APPLE, "highlight": {"fields": {"title": {}}}, "size": 2}
    search, empty.engine.search = empty.engine.search, None  # type: ignore[assignment,method-assign]

    async def deleting(index: str, raw: bytes, params: Any = ()) -> EngineResponse:
        if b"post_filter" in raw:
            await empty.put(f"/{index}/_doc/5?refresh=true", b"", "DELETE")
        return await search(index, raw, params)

    empty.engine.search = deleting  # type: ignore[method-assign]
    outcome = await empty.reranked(body)
    assert outcome.status == "skipped"
    assert "5" not in ids(outcome.response)
    assert len(ids(outcome.response)) == 2


def _unexplained(response: EngineResponse) -> dict[str, Any]:
    """Hits by id, without scores; an explanation that was wrapped is unwrapped."""
    found = {}
    for hit in hits(response):
        hit.pop("_score")
        explanation = hit.get("_explanation")
        if explanation and "reranking" in explanation["description"]:
            [hit["_explanation"]] = explanation["details"]
        found[hit["_id"]] = hit
    return found


# 11 to 18: the response

AVERAGE = {"a": {"avg": {"field": "group"}}}

BYTES = (
    '{"title":"apple grade 3 caf\\u00e9 \u00e9 \\/ \\ud800 \\u0007","n":1.10,"big":12345678901234567890123,'
    '"e":1e400,"z":-0.0, "sp" : [ 1 , 2 ],"deep":{"_score":9.9,"hits":{"hits":[]}}}'
).encode()


async def test_11_a_document_comes_back_to_the_byte(empty: Site) -> None:
    await empty.put(f"/{empty.index}", {"mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}}})
    documents = {str(n): BYTES.replace(b"grade 3", b"grade %d" % n) for n in range(4)}
    for id_, raw in documents.items():
        await empty.put(f"/{empty.index}/_doc/{id_}?refresh=true", raw)
    outcome = await empty.reranked(APPLE, RERANK)
    assert (outcome.status, ids(outcome.response)) == ("applied", ["3", "2", "1", "0"])
    for raw in documents.values():
        assert b'"_source":' + raw + b"}" in outcome.response.body


async def test_11_an_id_is_no_identity(empty: Site) -> None:
    other = f"{empty.index}-b"
    settings = mapping(empty.engine)
    settings["settings"]["number_of_shards"] = 2
    for name in (empty.index, other):
        await empty.put(f"/{name}", settings)
    grades = iter(range(1, 9))
    for name in (empty.index, other):
        for routing in ("a", "b", "c", "e"):
            title = {"title": f"apple grade {next(grades)}", "date": "2024-01-01"}
            await empty.put(f"/{name}/_doc/same?refresh=true&routing={routing}", title)
    plain = await empty.direct({**APPLE, "size": 20}, index=f"{empty.index},{other}")
    assert len(hits(plain)) > len({(hit["_index"]) for hit in hits(plain)}) > 1
    for fetch in ({}, {"highlight": {"fields": {"title": {}}}, "size": 3}):
        outcome = await empty.reranked({**APPLE, **fetch}, index=f"{empty.index},{other}")
        assert outcome.status == "applied", outcome.reason
        titles = [hit["_source"]["title"] for hit in hits(outcome.response)]
        best = sorted((hit["_source"]["title"] for hit in hits(plain)), reverse=True)
        assert titles == best[: len(titles)]


async def test_12_scores_descend_and_max_score_is_the_same_on_every_page(site: Site) -> None:
    for policy in (POLICY, RERANK):
        pages = [
            json.loads((await site.reranked({**APPLE, "from": from_, "size": 8}, policy)).response.body)["hits"]
            for from_ in (0, 8, 16)
        ]
        values = [hit["_score"] for page in pages for hit in page["hits"]]
        assert values == sorted(values, reverse=True)
        assert {page["max_score"] for page in pages} == {values[0]}


async def test_12_under_engine_the_slots_show_what_the_engine_showed(site: Site) -> None:
    plain = await site.direct({**APPLE, "size": 40})
    outcome = await site.reranked({**APPLE, "size": 40})
    assert [hit["_score"] for hit in hits(outcome.response)] == [hit["_score"] for hit in hits(plain)]


async def test_13_a_hit_without_text_keeps_its_slot(empty: Site) -> None:
    await empty.put(f"/{empty.index}", mapping(empty.engine))
    for n in range(6):
        title = {"title": f"{'apple ' * (6 - n)}grade {n}"} if n != 1 else {"title": "apple apple apple", "body": ""}
        await empty.put(f"/{empty.index}/_doc/{n}?refresh=true", {**title, "body": "" if n == 1 else f"grade {n}"})
    first = ids(await empty.direct(APPLE))
    outcome = await empty.reranked(APPLE, replace(RERANK, text=TextTemplate(fields=("body",))))
    slot = first.index("1")
    found = hits(outcome.response)
    assert outcome.candidates == len(empty.grader.documents) == 5
    assert found[slot]["_id"] == "1"
    assert found[slot]["_score"] == found[max(0, slot - 1)]["_score"]
    assert [hit["_id"] for hit in found if hit["_id"] != "1"] == ["5", "4", "3", "2", "0"]


@pytest.mark.parametrize(
    ("body", "params"),
    [
        ({}, {}),
        ({"track_total_hits": False}, {}),
        ({"track_total_hits": 3}, {}),
        ({}, {"rest_total_hits_as_int": "true"}),
        ({"aggs": {"g": {"terms": {"field": "group"}, "aggs": AVERAGE}}}, {"typed_keys": "true"}),
        ({"suggest": {"s": {"text": "aple", "term": {"field": "title"}}}}, {"typed_keys": "true"}),
        ({"timeout": "10s"}, {"allow_partial_search_results": "true", "search_type": "dfs_query_then_fetch"}),
        ({"min_score": 0.001}, {}),
    ],
)  # fmt: skip
async def test_14_everything_around_the_hits_comes_back_verbatim(
    site: Site, body: dict[str, Any], params: dict[str, str]
) -> None:
    plain = await site.direct({**APPLE, **body, "size": 5}, **params)
    outcome = await site.reranked({**APPLE, **body, "size": 5}, **params)
    assert outcome.status == "applied", outcome.reason
    assert _around(outcome.response) == _around(plain)
    assert isinstance(json.loads(outcome.response.body)["took"], int)


async def test_14_a_search_that_terminated_early_says_so(site: Site) -> None:
    outcome = await site.reranked({**APPLE, "terminate_after": 1})
    assert json.loads(outcome.response.body)["terminated_early"] is True


async def test_14_a_point_in_time_and_a_profile_ride_along(site: Site) -> None:
    path = "_pit" if site.engine.name == "elasticsearch" else "_search/point_in_time"
    opened = await site.put(f"/{site.index}/{path}?keep_alive=1m", b"", "POST")
    body = {**APPLE, "profile": True, "pit": {"id": opened.get("id") or opened["pit_id"]}, "size": 5}
    search = site.engine.search
    body_only = json.dumps(body).encode()
    plain = json.loads((await search("", body_only)).body)
    outcome = await site.reranked(body, index=",")
    found = json.loads(outcome.response.body)
    assert outcome.status == "applied", outcome.reason
    assert list(found) == list(plain)
    assert found["pit_id"]
    assert found["profile"]["shards"]
    assert ids(outcome.response) == await expected(site, APPLE, 5)


async def test_15_what_came_is_reranked_though_a_shard_failed(empty: Site) -> None:
    other = f"{empty.index}-b"
    await empty.put(f"/{empty.index}", mapping(empty.engine))
    await empty.put(f"/{other}", {"mappings": {"properties": {"title": {"type": "integer"}}}})
    for n in range(3):
        await empty.put(f"/{empty.index}/_doc/{n}?refresh=true", {"title": f"apple grade {n}"})
    outcome = await empty.reranked(APPLE, index=f"{empty.index},{other}")
    found = json.loads(outcome.response.body)
    assert (outcome.status, ids(outcome.response)) == ("applied", ["2", "1", "0"])
    assert found["_shards"]["failed"] == 1
    assert found["_shards"]["failures"][0]["index"] == other


async def test_16_collapsed_groups_are_reranked_by_their_heads(site: Site) -> None:
    body = {**APPLE, "collapse": {"field": "group", "inner_hits": {"name": "others", "size": 2}}}
    plain = await site.direct({**body, "size": 20})
    outcome = await site.reranked({**body, "size": 3})
    assert ids(outcome.response) == best_first(plain)[:3]
    whole = unscored(plain)
    assert unscored(outcome.response) == {id_: whole[id_] for id_ in ids(outcome.response)}
    assert json.loads(outcome.response.body)["hits"]["total"] == json.loads(plain.body)["hits"]["total"]


@pytest.mark.parametrize("size", [3, 20])
async def test_16_an_explanation_holds_the_engines_own_inside(site: Site, size: int) -> None:
    plain = {hit["_id"]: hit["_explanation"] for hit in hits(await site.direct({**APPLE, "explain": True, "size": 20}))}
    outcome = await site.reranked({**APPLE, "explain": True, "size": size}, RERANK)
    for hit in hits(outcome.response):
        assert hit["_explanation"]["value"] == hit["_score"]
        assert hit["_explanation"]["details"] == [plain[hit["_id"]]]


async def test_17_min_score_filters_the_first_stage_only(site: Site) -> None:
    plain = await site.direct({**APPLE, "size": 20})
    limit = hits(plain)[7]["_score"]
    outcome = await site.reranked({**APPLE, "min_score": limit, "size": 20}, RERANK)
    kept = {hit["_id"] for hit in hits(await site.direct({**APPLE, "min_score": limit, "size": 20}))}
    assert set(ids(outcome.response)) == kept
    assert outcome.status == "applied"


async def test_18_the_same_search_has_the_same_order_on_every_page(site: Site) -> None:
    whole = ids((await site.reranked({**APPLE, "size": 20})).response)
    for from_ in range(0, 18, 3):
        assert ids((await site.reranked({**APPLE, "from": from_, "size": 3})).response) == whole[from_ : from_ + 3]


async def test_details_are_under_fields_and_leave_the_clients_own(site: Site) -> None:
    policy = replace(RERANK, details=True)
    first = ids(await site.direct({**APPLE, "size": 20}))
    outcome = await site.reranked({**APPLE, "fields": ["group"], "_source": False, "size": 4}, policy)
    for hit in hits(outcome.response):
        assert first[hit["fields"]["_rerank.first_stage_rank"][0] - 1] == hit["_id"]
        assert hit["fields"]["group"] == [int(hit["_id"]) % 4]
        assert "_source" not in hit
    assert json.loads(outcome.response.body)["_rerank"]["window"] == 20


def _around(response: EngineResponse) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    found.pop("took")
    found["hits"].pop("hits")
    return found
