"""The lock files: data that a mirror, an auditor or a newer version can be held to."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from connector.embedded import artifacts, distribution
from connector.embedded.distribution import Distribution
from connector.embedded.elasticsearch import Elasticsearch
from connector.embedded.opensearch import OpenSearch

LOCKS = ["elasticsearch-9.5.lock.json", "opensearch-3.5.lock.json"]


def entries(value: Any) -> Iterator[dict[str, Any]]:
    """Every entry of a lock file that names a digest."""
    if isinstance(value, dict):
        if "sha256" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from entries(item)


@pytest.mark.parametrize("name", LOCKS)
def test_every_file_of_a_lock_has_a_whole_digest_and_a_place_of_its_own_inside_the_home(name: str) -> None:
    found = list(entries(distribution.load_lock(name)))
    assert len(found) > 50
    assert all(re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) for entry in found)
    places = [entry["to"] for entry in found if "to" in entry]
    assert len(set(places)) == len(places)
    assert not [place for place in places if place.startswith("/") or ".." in place.split("/")]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host(name: str) -> None:
    assert b"://" not in distribution.package_file("locks", name)


@pytest.mark.parametrize("engine", [Elasticsearch(), OpenSearch()], ids=lambda engine: engine.name)
def test_the_announced_size_is_what_the_readme_says(engine: Distribution) -> None:
    megabytes = sum(artifact.size for artifact in dict.fromkeys(engine.artifacts)) / 1e6
    assert megabytes < {"elasticsearch": 50, "opensearch": 270}[engine.name]


def test_a_jar_wanted_in_two_places_is_downloaded_once_and_laid_out_twice() -> None:
    lock = distribution.load_lock("opensearch-3.5.lock.json")
    jars = [artifacts.from_lock(jar) for jar in lock["jars"]]
    assert len(set(jars)) < len(jars)
    assert [artifact for artifact, _ in OpenSearch()._places] == jars


@pytest.mark.parametrize(
    ("entry", "filename"),
    [
        ({"coordinate": "g.h:name:1.0"}, "name-1.0.jar"),
        ({"coordinate": "g.h:name:1.0", "classifier": "linux-x86_64"}, "name-1.0-linux-x86_64.jar"),
        ({"coordinate": "g.h:name:1.0", "packaging": "zip"}, "name-1.0.zip"),
    ],
)
def test_an_artifact_is_named_as_its_repository_names_it(entry: dict[str, str], filename: str) -> None:
    assert artifacts.from_lock({**entry, "sha256": "0" * 64, "bytes": 1}).filename == filename
