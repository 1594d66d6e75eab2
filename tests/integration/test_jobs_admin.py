"""Jobs over HTTP: the token, what may be read, and a job from its input to its streamed results."""

import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from connector.embedded import ports
from connector.embedded.valkey import RunningValkey
from connector.jobs import admin
from tests.fixtures import simulated_worker
from tests.fixtures.job_site import JobSite, expected

TOKEN = "a token for the tests only"


@dataclass
class Http:
    url: str
    site: JobSite

    def __call__(self, method: str, path: str, body: object = None, *, token: str | None = TOKEN) -> tuple[int, bytes]:
        request = urllib.request.Request(self.url + path, method=method)
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=30) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read()

    def json(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self(method, path, body)[1])
        return value


@pytest.fixture(scope="module")
def http(valkey: RunningValkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Http]:
    site = JobSite(valkey.url, tmp_path_factory.mktemp("admin"), f"admin-{uuid.uuid4().hex}")
    site.environment["RERANK_BRIDGE_ADMIN_TOKEN"] = TOKEN
    address = f"127.0.0.1:{ports.free()}"
    with simulated_worker.running(site.environment, site.alias):
        process = site.coordinator("--admin-listen", address, "--admin-allow", "s3://bucket/inputs")
        calling = Http(f"http://{address}", site)
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    calling("GET", "/openapi.json")
                    break
                except OSError:
                    assert process.poll() is None
                    assert time.monotonic() < until
                    time.sleep(0.1)
            yield calling
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_without_the_token_nothing_is_told(http: Http) -> None:
    for token in (None, "another token entirely"):
        assert http("GET", "/jobs", token=token)[0] == 401
        assert http("GET", "/openapi.json", token=token)[0] == 401


def test_a_job_with_inline_input_runs_and_its_results_are_streamed(http: Http) -> None:
    source = http.site.documents(8, 4)
    job = f"http-{uuid.uuid4().hex}"
    body = {"id": job, "form": "documents", "model": http.site.alias, "input": source.read_text()}
    assert http("POST", "/jobs", body)[0] == 201
    assert http("POST", "/jobs", body)[0] == 200
    until = time.monotonic() + 120
    while (known := http.json("GET", f"/jobs/{job}"))["state"] != "done":
        assert time.monotonic() < until, known
        time.sleep(0.1)
    assert http("GET", f"/jobs/{job}/results") == (200, expected(8, 4))
    assert "source" not in known["spec"]
    assert http.json("GET", "/backlog")["chunks"] >= 0
    assert http.json("DELETE", f"/jobs/{job}")["outcome"] == "purged"
    assert http("GET", f"/jobs/{job}")[0] == 404


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": "/etc/passwd"}, "not under a prefix"),
        ({"source": "file:///etc/passwd"}, "not under a prefix"),
        ({"source": "https://internal.example/x"}, "not under a prefix"),
        ({"source": "s3://bucket/inputs/../secret"}, "not under a prefix"),
        ({"source": "s3://bucket/inputs-of-others/x"}, "not under a prefix"),
        ({"input": "x", "output": "s3://bucket/inputs/out"}, "unknown field"),
        ({"input": "x", "into": "index"}, "unknown field"),
        ({"input": "x", "output_form": "index"}, "output_form"),
        ({"input": "x", "corpus": "/etc"}, "not under a prefix"),
        ({}, "one of `input` and `source`"),
        ({"input": "x", "form": "nonsense"}, "Invalid enum value"),
    ],
)
def test_no_path_and_no_address_of_the_clients_choice_is_taken(http: Http, changes: dict[str, Any], said: str) -> None:
    status, answer = http("POST", "/jobs", {"form": "log", "index": "i", **changes})
    assert status == 400
    assert said in json.loads(answer)["error"]


def test_the_openapi_document_names_every_route_and_the_request(http: Http) -> None:
    document = http.json("GET", "/openapi.json")
    assert set(document["paths"]) == {"/backlog", "/jobs", "/jobs/{id}", "/jobs/{id}/results"}
    assert set(document["components"]["schemas"]["Asked"]["properties"]) == set(admin.Asked.__struct_fields__)


@pytest.mark.parametrize(
    "where",
    ["s3://bucket/inputs/%2e%2e/x", "s3://bucket/inputs/%252e%252e/x", "s3://bucket/inputs", "S3://bucket/inputs/x",
     "simplecache::s3://bucket/inputs/x", "s3://bucket/inputs/..\\x", "s3://u@bucket/inputs/x"],
)  # fmt: skip
def test_prefixes_cannot_be_left_by_spelling(where: str) -> None:
    assert not admin.is_allowed(where, ["s3://bucket/inputs"])
    assert admin.is_allowed("s3://bucket/inputs/2026/x.jsonl", ["s3://bucket/inputs/"])
