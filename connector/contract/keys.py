"""Keyed hashes of queries and documents, and the cache keys made of them.

BLAKE2b (RFC 7693) keyed with `RERANK_BRIDGE_HASH_KEY`, which connectors alone hold: whoever can write documents must
not be able to forge two texts with the same 64-bit hash. The hash is of the exact text sent to the model, so nothing
ever needs invalidating.
"""

from __future__ import annotations

from hashlib import blake2b

from connector.contract import names
from connector.contract.errors import ConfigurationError

__all__ = ["Hasher", "scores_key", "vector_key"]

_MIN_KEY = 16
_QUERY_BYTES = 16
_DOCUMENT_BYTES = 8


class Hasher:
    """Hashes texts under one secret key.

    Raises:
        ConfigurationError: the key has fewer than 16 bytes or more than 64.
    """

    def __init__(self, key: bytes = b"") -> None:
        if key and not _MIN_KEY <= len(key) <= blake2b.MAX_KEY_SIZE:
            raise ConfigurationError(
                f"RERANK_BRIDGE_HASH_KEY has {len(key)} bytes: {_MIN_KEY} to {blake2b.MAX_KEY_SIZE} random ones"
            )
        self._key = key

    def query(self, text: str) -> str:
        """32 hexadecimal digits for a query."""
        return self._digest(text, _QUERY_BYTES, b"query").hex()

    def document(self, text: str) -> bytes:
        """8 bytes for a document's text: its field in the query's hash."""
        return self._digest(text, _DOCUMENT_BYTES, b"document")

    def _digest(self, text: str, size: int, purpose: bytes) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size, key=self._key, person=purpose).digest()


def scores_key(fingerprint: str, passages: str, query_hash: str) -> str:
    """The Redis hash that holds the scores of one query under one model and passage policy."""
    return f"{names.SCORE_PREFIX}{fingerprint[: names.FINGERPRINT_DIGITS]}:{passages}:{query_hash}"


def vector_key(fingerprint: str, query_hash: str) -> str:
    """The Redis string that holds a query's vector under one bi-encoder."""
    return f"{names.VECTOR_PREFIX}{fingerprint[: names.FINGERPRINT_DIGITS]}:{query_hash}"
