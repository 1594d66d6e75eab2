"""A job of 20,000 pairs, ten times, with kills of its processes at random moments: always the same bytes."""

import random
import uuid
from pathlib import Path

import pytest

from tests.fixtures.job_site import expected
from tests.fixtures.kills import TARGETS, Undying

QUERIES, EACH = 1000, 20
KILLS = 6
CHUNK_TOKENS = 2048
#: Pairs of a chunk: a query of this input counts about 220 tokens.
CHUNK_PAIRS = 200


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10))
def test_kills_at_random_moments_change_no_byte_and_little_is_scored_twice(seed: int, open_folder: Path) -> None:
    draw = random.Random(seed)
    moments = sorted(draw.uniform(0.02, 0.95) for _ in range(KILLS))
    with Undying(open_folder, f"soak-{uuid.uuid4().hex}", ms=1) as undying:
        source, out = undying.site.documents(QUERIES, EACH), open_folder / "out.jsonl"
        undying.site.submit(source, "soak", "-o", str(out), "--chunk-tokens", str(CHUNK_TOKENS))
        for moment in moments:
            undying.until_scored(int(moment * QUERIES * EACH), patience=600)
            undying.kill(draw.choice(TARGETS))
        assert undying.ended("soak", patience=600) == "done"
        assert out.read_bytes() == expected(QUERIES, EACH)
        counts = undying.scored()
        assert len(counts) == QUERIES * EACH
        # Two chunks were in flight at each kill, and Valkey may have lost a second's scores.
        twice = sum(counts.values()) - len(counts)
        assert twice <= KILLS * (2 * CHUNK_PAIRS + 1000), twice
