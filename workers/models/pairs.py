"""Pairs of token ids: query and document are tokenised apart and joined, as in `[CLS] q [SEP] d [SEP]`.

So a document's ids can be kept and used with the next query. When a model is loaded, 64 pairs are put together both
ways; where joining gives other ids than the tokenizer's own pair encoding, pairs are encoded by the tokenizer.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray

from connector.contract import passages
from connector.contract.errors import ModelError
from workers.models.folder import ModelFolder
from workers.models.probe import PROBES
from workers.models.token_cache import TokenCache

__all__ = ["Ids", "PairTokenizer", "Row", "clean", "longest_first"]

logger = logging.getLogger(__name__)

Ids = NDArray[np.unsignedinteger[Any]]
#: Characters of a text that are tokenised for each token that can be used; the rest of a huge text is never looked at.
_CHARS_PER_TOKEN = 100
_LONG_DOCUMENT_CHARS = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One row for the model: token ids, and how many of them are of type 0 (the rest is of type 1)."""

    ids: Ids
    zeros: int

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Template:
    """The special tokens around the two texts, and the type of what stands in each place."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    #: Whether the second text and what follows it are of type 1, and how many of `between` still are of type 0.
    second_type: int
    between_zeros: int

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def clean(text: str) -> str:
    """`text` with lone surrogates replaced: no tokenizer takes them."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """Tokens that remain of two texts of these lengths in `room`: the longer one is cut down first.

    The rule of Hugging Face tokenizers for `truncation=True`; an odd token left over goes to the longer text.
    """
    if first + second <= room:
        return first, second
    short, long = min(first, second), max(first, second)
    long = max(short, room - short)
    if short + long > room:
        short = room // 2
        long = short + room % 2
    return (long, short) if first > second else (short, long)


class PairTokenizer:
    """Encodes one query with many documents.

    Raises:
        ModelError: the folder has no tokenizer.json, or it cannot be read.
    """

    def __init__(self, folder: ModelFolder, *, max_length: int, cache_bytes: int) -> None:
        self.max_length = max_length
        self._apart = _load(folder)
        self._jointly = _load(folder)
        self._jointly.enable_truncation(max_length, strategy="longest_first", direction=_truncation_side(folder))
        self._dtype = np.uint16 if self._apart.get_vocab_size() <= 1 << 16 else np.uint32
        self._cache = TokenCache(cache_bytes)
        self.pad_id = _pad_id(folder, self._apart)
        self._template: _Template | None = None
        self._template = self._find_template()
        # The probes leave nothing behind.
        self._cache = TokenCache(cache_bytes)
        if self._template is None:
            logger.warning("%s: pairs are tokenised jointly, because joining gives other ids", folder.name)

    @property
    def joins(self) -> bool:
        """Whether documents are tokenised apart and kept."""
        return self._template is not None

    @property
    def cached_documents(self) -> int:
        """Documents whose ids are kept."""
        return len(self._cache)

    def encode(self, query: str, documents: Sequence[str], policy: passages.Passages) -> list[list[Row]]:
        """The sequences to score for each document: one, or several passages."""
        query = clean(query)
        if policy.method == "fragments":
            return self._fragments(query, documents, policy)
        windows = policy.method == "windows"
        if self._template is None:
            texts = [self._cut(query, clean(text), policy) if windows else [clean(text)] for text in documents]
            return [self._encode_jointly(query, parts) for parts in texts]
        first = self._tokens([query[: self.max_length * _CHARS_PER_TOKEN]])[0]
        bodies = self._documents(documents, whole=windows)
        if not windows:
            return [[self._join(first, body)] for body in bodies]
        return [[self._join(first, body[a:b]) for a, b in _windows(first, body, policy)] for body in bodies]

    def _fragments(self, query: str, documents: Sequence[str], policy: passages.Passages) -> list[list[Row]]:
        split = [(text.split(passages.SEPARATOR))[: policy.limit] for text in documents]
        kept = [[part for part in parts if part.strip()] or parts[:1] for parts in split]
        flat = self.encode(query, [part for parts in kept for part in parts], passages.Passages())
        rows = iter(flat)
        return [[next(rows)[0] for _ in parts] for parts in kept]

    def _cut(self, query: str, document: str, policy: passages.Passages) -> list[str]:
        """The windows of a document as texts, where pairs are tokenised jointly."""
        text = document[:_LONG_DOCUMENT_CHARS]
        encoding = self._apart.encode(text, add_special_tokens=False)
        spans = _windows(self._tokens([query])[0], np.array(encoding.ids, dtype=self._dtype), policy)
        return [text[encoding.offsets[a][0] : encoding.offsets[b - 1][1]] if b > a else "" for a, b in spans]

    def _documents(self, documents: Sequence[str], *, whole: bool) -> list[Ids]:
        """The ids of each document, of its beginning if it is not wanted `whole`."""
        chars = _LONG_DOCUMENT_CHARS if whole else self.max_length * _CHARS_PER_TOKEN
        texts = [clean(text[:chars]) for text in documents]
        keys = [TokenCache.key(text, whole=whole) for text in texts]
        found = [self._cache.get(key) for key in keys]
        missing = [i for i, ids in enumerate(found) if ids is None]
        for i, ids in zip(missing, self._tokens([texts[i] for i in missing]), strict=True):
            found[i] = ids
            self._cache.put(keys[i], ids)
        return [ids for ids in found if ids is not None]

    def _tokens(self, texts: list[str]) -> list[Ids]:
        encodings = self._apart.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(encoding.ids, dtype=self._dtype) for encoding in encodings]

    def _join(self, first: Ids, second: Ids) -> Row:
        template = self._template
        assert template is not None
        keep_first, keep_second = longest_first(len(first), len(second), self.max_length - template.size)
        parts = (template.before, first[:keep_first], template.between, second[:keep_second], template.after)
        ids = np.concatenate([np.asarray(part, dtype=self._dtype) for part in parts])
        zeros = len(template.before) + keep_first + template.between_zeros if template.second_type else len(ids)
        return Row(ids, zeros)

    def _encode_jointly(self, query: str, documents: Sequence[str]) -> list[Row]:
        chars = self.max_length * _CHARS_PER_TOKEN
        encodings = self._jointly.encode_batch([(query[:chars], text[:chars]) for text in documents])
        return [Row(np.array(e.ids, dtype=self._dtype), len(e) - sum(e.type_ids)) for e in encodings]

    def _find_template(self) -> _Template | None:
        """The template, or None where 64 pairs are not put together as the tokenizer itself does it."""
        query, document = PROBES[0]
        whole = self._apart.encode(query, document)
        first, second = (encoding.tolist() for encoding in self._tokens([query, document]))
        template = _split(whole.ids, whole.type_ids, first, second)
        if template is None:
            return None
        self._template = template
        # Long enough that both texts are cut in some of the pairs, and no longer.
        for query, document in ((q[: self.max_length * 8], d[: self.max_length * 8]) for q, d in PROBES):
            joined = self.encode(query, [document], passages.Passages())[0][0]
            own = self._encode_jointly(clean(query), [clean(document)])[0]
            if joined.zeros != own.zeros or not np.array_equal(joined.ids, own.ids):
                return None
        return template


def _windows(query: Ids, document: Ids, policy: passages.Passages) -> list[tuple[int, int]]:
    """The spans [start, end) of a document's windows; of too many, those that share most tokens with the query."""
    starts = range(0, max(1, len(document) - policy.window + policy.stride), policy.stride)
    spans = [(start, min(start + policy.window, len(document))) for start in starts]
    if len(spans) <= policy.limit:
        return spans
    wanted = np.unique(query)
    shared = [int(np.isin(wanted, document[a:b]).sum()) for a, b in spans]
    best = sorted(range(len(spans)), key=lambda i: (-shared[i], i))[: policy.limit]
    return [spans[i] for i in sorted(best)]


def _split(ids: list[int], types: list[int], first: list[int], second: list[int]) -> _Template | None:
    """Finds `first` and `second` in the encoded pair; what stands around them is the template."""
    for start in range(len(ids) - len(first) + 1):
        if ids[start : start + len(first)] == first:
            break
    else:
        return None
    middle = start + len(first)
    for body in range(middle, len(ids) - len(second) + 1):
        if ids[body : body + len(second)] == second:
            break
    else:
        return None
    between = types[middle:body]
    return _Template(
        before=tuple(ids[:start]),
        between=tuple(ids[middle:body]),
        after=tuple(ids[body + len(second) :]),
        second_type=types[body],
        between_zeros=between.count(0),
    )


def _load(folder: ModelFolder) -> tokenizers.Tokenizer:
    path = folder.path / "tokenizer.json"
    if not path.is_file():
        raise ModelError(f"{folder.name}: tokenizer.json is missing; save the model with its fast tokenizer")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as exc:  # the library raises bare Exception
        raise ModelError(f"{folder.name}: tokenizer.json cannot be read: {exc}") from exc
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _truncation_side(folder: ModelFolder) -> str:
    return str(folder.optional_json("tokenizer_config.json").get("truncation_side", "right"))


def _pad_id(folder: ModelFolder, tokenizer: tokenizers.Tokenizer) -> int:
    """The id that fills up short rows. It is masked, so only its being in the vocabulary counts."""
    token = folder.optional_json("tokenizer_config.json").get("pad_token")
    named = tokenizer.token_to_id(token["content"] if isinstance(token, dict) else token) if token else None
    configured = folder.config.get("pad_token_id")
    return int(named if named is not None else configured or 0)
