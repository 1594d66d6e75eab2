"""A request in a file is told what would be done with it, by the same decisions that the proxy makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from connector import policies
from connector.contract.errors import ConfigurationError
from connector.policies import Policies
from connector.proxy import explain

BODY = '{"query":{"match":{"title":"red shoes"}}}'
TOML = """
[[index]]
pattern = "docs"
window = 20
client_options = ["window"]

[[index]]
pattern = "quiet"
mode = "off"

[[index]]
pattern = "shadowed"
mode = "shadow"
share = 0.5
"""


@pytest.fixture
def rules(tmp_path: Path) -> Policies:
    path = tmp_path / "rerank-bridge.toml"
    path.write_text(TOML)
    return policies.load(path)


def decide(text: str, rules: Policies | None = None) -> list[explain.Explanation]:
    return explain.explain(explain.read(text), rules or Policies.everything())


def test_a_search_is_told_its_question_its_window_and_what_is_sent() -> None:
    [told] = decide(f"POST /docs/_search?size=5&routing=x\n\n{BODY}\n")
    assert (told.decision, told.query, told.fields, told.window, told.size) == (
        "reranked",
        "red shoes",
        ("title",),
        50,
        5,
    )
    [sent] = told.sent
    assert sent["params"] == {"routing": "x"}
    assert json.loads(bytes(sent["body"]))["size"] == 50


@pytest.mark.parametrize(
    ("text", "decision", "reason"),
    [
        (f"GET docs/_search\n{BODY}", "reranked", ""),
        (f"GET http://host:9200/docs/_search HTTP/1.1\nhost: a\n\n{BODY}", "reranked", ""),
        ("GET /docs/_search?q=red", "reranked", ""),
        ("POST /docs/_search\n{}", "skipped", "no_query_text"),
        ("POST /docs/_search?scroll=1m\n" + BODY, "skipped", "scroll"),
        ("POST /docs/_search\nX-Rerank: false\n" + BODY, "off", "policy"),
        ("POST /docs/_count\n" + BODY, "passed_through", ""),
        ("PUT /docs/_doc/1\n{}", "passed_through", ""),
        ("POST /.kibana/_search\n" + BODY, "off", "no_policy"),
        ("POST /_msearch\n{}", "skipped", "unreadable"),
    ],
)
def test_every_request_is_told_a_decision_and_a_reason(text: str, decision: str, reason: str) -> None:
    [told] = decide(text)
    assert (told.decision, told.reason) == (decision, reason)


@pytest.mark.parametrize(
    ("text", "decision", "window"),
    [
        ("POST /docs/_search\nX-Rerank-Window: 7\n", "reranked", 7),
        ("POST /docs/_search\n", "reranked", 20),
        ("POST /quiet/_search\n", "off", None),
        ("POST /shadowed/_search\n", "shadow", 50),
        ("POST /docs,quiet/_search\n", "skipped", None),
        ("POST /docs/_search\nX-Rerank-Window: many\n", "skipped", None),
        ("POST /other/_search\n", "off", None),
    ],
)
def test_the_policies_and_the_requests_own_options_count(
    rules: Policies, text: str, decision: str, window: int | None
) -> None:
    [told] = decide(text + BODY, rules)
    assert (told.decision, told.window) == (decision, window)


def test_each_search_of_an_msearch_is_told_its_own() -> None:
    told = decide(f'POST /_msearch\n{{"index":"a"}}\n{BODY}\n\n{{"size":0}}\n')
    assert [(one.index, one.decision) for one in told] == [("a", "reranked"), ("", "skipped")]


def test_what_is_only_known_at_run_time_is_noted() -> None:
    body = '{"query":{"query_string":{"query":"red"}},"search_pipeline":"mine","explain":true}'
    [told] = decide(f"POST /docs/_search\n{body}")
    assert len(told.notes) == 3
    assert len(told.sent) == 2


@pytest.mark.parametrize("text", ["", "{}", "POST", "what is this\n"])
def test_a_file_without_a_request_line_is_refused_in_words(text: str) -> None:
    if text.startswith("what"):
        assert decide(text)[0].decision == "passed_through"
        return
    with pytest.raises(ConfigurationError, match="first line"):
        explain.read(text)
