"""Item 9 of docs/semantics.md on the real engines: each search of an `_msearch` apart from the others."""

from __future__ import annotations

import json

from connector import fusion, hits, merge, msearch, query
from connector.query import Plan
from tests.integration.semantics.conftest import POLICY, Site, best_first, grade, ids

APPLE = {"query": {"match": {"title": "apple"}}, "size": 3}
CONSTANT = {"query": {"constant_score": {"filter": {"match": {"title": "pie"}}}}, "size": 2}


async def sent(site: Site, body: bytes) -> bytes:
    path = f"/{site.index}/_msearch"
    response = await site.engine.request("POST", path, body=body, content_type="application/x-ndjson")
    assert response.status == 200, response.body
    return response.body


def ndjson(*lines: object) -> bytes:
    return b"".join((json.dumps(line).encode() if line != "" else b"") + b"\n" for line in lines)


async def reranked(site: Site, body: bytes) -> bytes:
    """What a proxy does with an `_msearch`, with the grades for scores."""
    items = msearch.split(body, index=site.index)
    plans = [query.plan(item.request, POLICY) for item in items]
    rewritten = [
        item.sending(plan.request) if isinstance(plan, Plan) else item for item, plan in zip(items, plans, strict=True)
    ]
    answer = await sent(site, msearch.join(rewritten))
    merged = {}
    for place, (plan, response) in enumerate(zip(plans, msearch.responses(answer), strict=True)):
        if isinstance(plan, Plan) and b'"error"' not in response:
            page = merge.read(response)
            window = page.hits[: plan.window]
            scores = [grade(text or "") for text in hits.texts(window, POLICY.text, plan.fields)]
            ranking = fusion.rank([hit.score for hit in window], scores, POLICY.fusion)
            merged[place] = merge.merge(page, plan, ranking, policy=POLICY, took_ms=0)
    return msearch.answered(answer, merged, took_ms=0)


async def test_9_each_item_is_reranked_or_left_alone_by_itself_and_keeps_its_place(site: Site) -> None:
    body = ndjson(
        {}, APPLE, {"index": "nowhere"}, APPLE, "", {"query": {"match_all": {}}, "size": 2}, {"preference": "p"}, APPLE,
        {}, CONSTANT,
    )  # fmt: skip
    plain = json.loads(await sent(site, body))["responses"]
    found = json.loads(await reranked(site, body))
    answers = found["responses"]
    best = best_first(await site.direct({**APPLE, "size": 20}))[:3]
    assert [answer["status"] for answer in answers] == [200, 404, 200, 200, 200]
    assert [hit["_id"] for hit in answers[0]["hits"]["hits"]] == best
    assert answers[1] == plain[1]
    assert [hit["_id"] for hit in answers[2]["hits"]["hits"]] == [hit["_id"] for hit in plain[2]["hits"]["hits"]]
    assert [hit["_id"] for hit in answers[3]["hits"]["hits"]] == best
    assert len(answers[4]["hits"]["hits"]) == 2
    assert isinstance(found["took"], int)


async def test_9_an_empty_header_line_and_carriage_returns_are_taken_as_the_engines_take_them(site: Site) -> None:
    body = b"{}\r\n" + json.dumps(APPLE).encode() + b"\r\n\n" + json.dumps(APPLE).encode() + b"\n"
    answers = json.loads(await reranked(site, body))["responses"]
    best = best_first(await site.direct({**APPLE, "size": 20}))[:3]
    assert [[hit["_id"] for hit in answer["hits"]["hits"]] for answer in answers] == [best, best]


async def test_9_a_stable_preference_travels_in_the_header(site: Site) -> None:
    [item] = msearch.split(ndjson({}, CONSTANT), index=site.index)
    plan = query.plan(item.request, POLICY)
    assert isinstance(plan, Plan)
    assert b'"preference":"rerank-' in item.sending(plan.request).header
    assert len(ids(await site.direct(CONSTANT))) == 2
