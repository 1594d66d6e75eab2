"""Token ids of documents, kept in bounded memory: the same document stands in many windows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["TokenCache"]

#: Bytes that an entry takes beside its ids: dictionary slot, key, array header (measured with tracemalloc).
_OVERHEAD = 300


class TokenCache:
    """Least recently used ids go first when `capacity` bytes are full. Safe to use from several threads."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._size = 0
        self._entries: OrderedDict[bytes, NDArray[np.unsignedinteger]] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def key(text: str, *, whole: bool) -> bytes:
        """The digest under which a text's ids are kept: all of them, or as many as the model reads."""
        return blake2b(text.encode(), digest_size=16, person=b"whole" if whole else b"beginning").digest()

    def get(self, key: bytes) -> NDArray[np.unsignedinteger] | None:
        """The ids kept under `key`."""
        with self._lock:
            ids = self._entries.get(key)
            if ids is not None:
                self._entries.move_to_end(key)
            return ids

    def put(self, key: bytes, ids: NDArray[np.unsignedinteger]) -> None:
        """Keeps `ids`, which must not be changed afterwards."""
        cost = ids.nbytes + _OVERHEAD
        if cost > self._capacity:
            return
        with self._lock:
            if key in self._entries:
                return
            self._entries[key] = ids
            self._size += cost
            while self._size > self._capacity:
                _, oldest = self._entries.popitem(last=False)
                self._size -= oldest.nbytes + _OVERHEAD

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._size
