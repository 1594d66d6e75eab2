"""The short form of the endurance run: each process of a job is killed once, and the output is the undisturbed one."""

import uuid
from pathlib import Path

import pytest

from tests.fixtures.job_site import expected
from tests.fixtures.kills import TARGETS, Undying

QUERIES, EACH = 60, 10
CHUNK_TOKENS = 256


@pytest.fixture
def folder(open_folder: Path) -> Path:
    """Where Valkey's account may enter too."""
    return open_folder


def test_a_job_whose_worker_coordinator_and_valkey_are_killed_gives_the_undisturbed_bytes(folder: Path) -> None:
    with Undying(folder, f"kills-{uuid.uuid4().hex}", ms=4) as undying:
        source, out = undying.site.documents(QUERIES, EACH), folder / "out.jsonl"
        submitted = undying.site.submit(source, "killed", "-o", str(out), "--chunk-tokens", str(CHUNK_TOKENS))
        assert submitted.returncode == 0, submitted.stderr
        for number, target in enumerate(TARGETS, start=1):
            undying.until_scored(number * QUERIES * EACH // 5)
            undying.kill(target)
        assert undying.ended("killed") == "done"
        assert out.read_bytes() == expected(QUERIES, EACH)
        known = undying.site.json("status", "killed")
        assert (known["queries"], known["pairs"], known["chunks_failed"]) == (QUERIES, QUERIES * EACH, 0)
        assert len(undying.scored()) == QUERIES * EACH


def test_cancelling_stops_the_worker_and_the_same_submit_finishes_the_job(folder: Path) -> None:
    with Undying(folder, f"cancelled-{uuid.uuid4().hex}", ms=2) as undying:
        source, out = undying.site.documents(QUERIES, EACH), folder / "out.jsonl"
        arguments = ("-o", str(out), "--chunk-tokens", str(CHUNK_TOKENS))
        undying.site.submit(source, "stopped", *arguments, "--rate", "15")
        undying.until_scored(30)
        assert undying.site.json("cancel", "stopped")["cancelled"]
        assert undying.site.json("status", "stopped")["state"] == "cancelled"
        assert not out.exists()
        assert undying.site.submit(source, "stopped", *arguments, "--wait").returncode == 0
        assert out.read_bytes() == expected(QUERIES, EACH)
        # What had been scored before is not scored again.
        assert sum(undying.scored().values()) == QUERIES * EACH
