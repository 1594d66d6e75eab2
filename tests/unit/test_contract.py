"""Messages, hashes and addresses that connector and workers share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.contract import env, keys, names, wire
from connector.contract.errors import ConfigurationError, WireError

KEY = b"0123456789abcdef"


def request(**changes: object) -> wire.ScoreRequest:
    values = {
        "id": "1", "reply_to": "r", "fingerprint": "f" * 64, "passages": "truncate", "query": "q",
        "documents": ("a", "b"), "cache_key": "k", "fields": ("00" * 8, "11" * 8), "budget": 0.25,
    }  # fmt: skip
    return wire.ScoreRequest(**(values | changes))  # type: ignore[arg-type]


def test_a_score_request_comes_back_as_it_was_sent() -> None:
    assert wire.ScoreRequest.decode(request().encode()) == request()


def test_a_message_of_another_version_is_refused_with_both_versions() -> None:
    with pytest.raises(WireError, match=r"version 99, this side speaks 1"):
        wire.ScoreRequest.decode(request().encode() | {"v": 99})


def test_a_request_with_fewer_fields_than_documents_is_refused() -> None:
    with pytest.raises(WireError, match="2 documents and 1 fields"):
        wire.ScoreRequest.decode(request(fields=("00" * 8,)).encode())


@given(st.lists(st.floats(width=32, allow_nan=False)))
def test_scores_in_a_reply_keep_all_their_bits(values: list[float]) -> None:
    reply = wire.Reply(id="1", values=tuple(values), queue_s=0.5, score_s=0.25)
    assert wire.Reply.decode(reply.encode()) == reply


def test_an_error_in_a_reply_names_its_kind() -> None:
    reply = wire.Reply(id="1", error=("ModelFailed", "NaN"))
    assert wire.Reply.decode(reply.encode()).error == ("ModelFailed", "NaN")


@pytest.mark.parametrize("data", [b"", b"[]", b'{"v":1}', b'{"v":1,"id":"1","values":"!","width":1,"error":null}'])
def test_a_reply_that_is_none_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.Reply.decode(data)


def test_a_hash_depends_on_the_key_the_text_and_its_role() -> None:
    hasher = keys.Hasher(KEY)
    assert hasher.document("a") != hasher.document("b")
    assert hasher.document("a") != keys.Hasher(KEY[::-1]).document("a")
    assert hasher.query("a")[:16] != hasher.document("a").hex()


def test_text_that_is_no_valid_unicode_still_has_a_hash() -> None:
    assert len(keys.Hasher(KEY).document("a\ud800")) == 8


def test_a_short_hash_key_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="RERANK_BRIDGE_HASH_KEY has 5 bytes: 16 to 64"):
        keys.Hasher(b"short")


def test_state_and_cache_are_on_the_broker_unless_named() -> None:
    urls = env.Urls.from_environment({"RERANK_BRIDGE_BROKER_URL": "redis://b/1"})
    assert (urls.broker, urls.state, urls.cache) == ("redis://b/1", "redis://b/1", "redis://b/1")


def test_a_broker_that_is_no_redis_needs_a_state_url() -> None:
    with pytest.raises(ConfigurationError, match="RERANK_BRIDGE_STATE_URL is not set"):
        env.Urls.from_environment({"RERANK_BRIDGE_BROKER_URL": "amqp://b"})


def test_an_empty_address_is_none() -> None:
    assert env.Urls.from_environment({"RERANK_BRIDGE_BROKER_URL": "", "RERANK_BRIDGE_STATE_URL": ""}) == env.Urls()


def test_a_password_that_breaks_its_address_is_not_told() -> None:
    with pytest.raises(ConfigurationError, match="RERANK_BRIDGE_STATE_URL cannot be read: its port") as raised:
        env.Urls.from_environment({"RERANK_BRIDGE_BROKER_URL": "redis://:se/cret@host:6379/0"})
    assert "cret" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_addresses_are_not_shown_with_their_passwords() -> None:
    assert "secret" not in repr(env.Urls(broker="redis://:secret@host", state="redis://:secret@host"))


def test_every_redis_key_begins_with_a_prefix_of_the_contract() -> None:
    key = keys.scores_key("ab" * 32, "truncate", "00" * 16)
    assert key == f"{names.SCORE_PREFIX}abababababab:truncate:{'00' * 16}"
