"""The report: everything in one page, the texts of strangers harmless in it, and the verdict that the figures bear."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.evaluate import latency, report, result
from connector.evaluate.beir import Topics
from connector.evaluate.candidates import Candidates
from connector.evaluate.collect import Collected
from connector.evaluate.latency import Timing
from connector.evaluate.result import About, Result
from connector.settings import Policy

IDS = tuple("abcdefghijkl")
RISING = tuple(float(place) for place in range(12))
FALLING = tuple(reversed(RISING))


def judged(scores: Mapping[str, tuple[float, ...]], query: str = "what is it", *, timed: bool = True) -> Result:
    """An evaluation in which `c`, third of twelve, is right for every query."""
    items = {
        name: Candidates(query_id=name, query=query, ids=IDS, found=FALLING, scores=values)
        for name, values in scores.items()
    }
    collected = Collected(candidates=items, model="m", fingerprint="f" * 64, snippets=dict.fromkeys(IDS, "<b>bold</b>"))
    topics = Topics(queries=dict.fromkeys(scores, query), grades={name: {"c": 1} for name in scores})
    timings = [Timing(window=window, first_stage_s=0.01, scoring_s=window / 100, cached=0) for window in (10, 12)]
    about = About(data="set", first_stage="BM25", policy=Policy(window=12), windows=(10, 12))
    return result.judge(about, topics, collected, latency.summary(timings, 12) if timed else None)


def likes(document: str) -> tuple[float, ...]:
    return tuple(float(name == document) for name in IDS)


def test_the_page_holds_its_plots_and_fetches_nothing() -> None:
    page = report.render(judged({"q1": likes("c"), "q2": likes("a")}))
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=\S*(http|//)|@import|url\(http", page)
    assert not re.search(r"\$(title|subtitle|body)", page)
    for name in ("Query by query", "How deep to rerank", "How to blend", "Quality against latency"):
        assert f"<h2>{name}</h2>" in page


def test_queries_and_documents_are_shown_as_text() -> None:
    page = report.render(judged({"q1": likes("l"), "q2": likes("c")}, query="<script>alert(1)</script>"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "<b>bold</b>" not in page


def test_without_timings_there_is_no_plot_of_them() -> None:
    page = report.render(judged({"q1": likes("c"), "q2": likes("a")}, timed=False))
    assert page.count("<svg") == 3


def test_the_verdict_is_that_of_the_interval() -> None:
    better = judged({f"q{n}": likes("c") for n in range(5)})
    worse = judged({f"q{n}": RISING for n in range(5)})
    unclear = judged({"q1": likes("c"), "q2": RISING})
    assert report.verdict(better.comparisons["default"]["ndcg@10"]) == "Reranking is better than the first stage."
    assert report.verdict(worse.comparisons["default"]["ndcg@10"]) == "Reranking is worse than the first stage."
    assert "No difference beyond chance" in report.verdict(unclear.comparisons["default"]["ndcg@10"])
    assert "none beats the first stage" in report.render(worse)


def test_the_worst_loss_comes_first_with_the_places_of_its_relevant_documents() -> None:
    found = judged({"small": likes("d"), "won": likes("c"), "large": RISING})
    assert list(found.differences) == ["large", "small", "won"]
    [change] = found.changes(["large"])
    assert change.moves == (("c", 1, 3, 10),)
    assert change.top == "l"
    assert change.difference < 0
