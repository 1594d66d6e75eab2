"""Joined pairs are the tokenizer's own pairs, to the token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import models, normalizers, pre_tokenizers, processors

from connector.contract import passages
from connector.contract.errors import ModelError
from workers.models.folder import ModelFolder
from workers.models.pairs import PairTokenizer, clean, longest_first
from workers.models.probe import PROBES

TRUNCATE = passages.Passages()


def wordpiece() -> tokenizers.Tokenizer:
    """A BERT-like tokenizer whose vocabulary is letters and a few words."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *letters, *(f"##{c}" for c in letters), "search", "the", "##ing"]
    tokenizer = tokenizers.Tokenizer(models.WordPiece({t: i for i, t in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def roberta() -> tokenizers.Tokenizer:
    """Bytes, `<s> a </s></s> b </s>`, every token of type 0."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet])}
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>"])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def sentencepiece() -> tokenizers.Tokenizer:
    """A unigram model behind a metaspace, as XLM-R has it."""
    letters = [chr(c) for c in range(33, 127)]
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = tokenizers.Tokenizer(models.Unigram([*vocabulary, *((c, -3.0) for c in letters)], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


KINDS = [wordpiece, roberta, sentencepiece]


def save(path: Path, tokenizer: tokenizers.Tokenizer, **config: object) -> ModelFolder:
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "tokenizer_config.json").write_text(json.dumps(config))
    (path / "config.json").write_text("{}")
    return ModelFolder(path, "made for this test")


@pytest.mark.parametrize("length", [16, 64, 256])
@pytest.mark.parametrize("make", KINDS)
def test_joined_pairs_are_what_the_tokenizer_itself_makes_of_them(
    tmp_path: Path, make: Callable[[], tokenizers.Tokenizer], length: int
) -> None:
    tokenizer = PairTokenizer(save(tmp_path, make()), max_length=length, cache_bytes=1 << 20)
    assert tokenizer.joins
    reference = make()
    reference.enable_truncation(length, strategy="longest_first")
    for query, document in PROBES:
        query, document = query[: length * 8], document[: length * 8]
        row = tokenizer.encode(query, [document], TRUNCATE)[0][0]
        own = reference.encode(query, document)
        assert row.ids.tolist() == own.ids
        assert [0] * row.zeros + [1] * (len(row) - row.zeros) == own.type_ids


def test_a_tokenizer_that_cuts_on_the_left_is_asked_for_the_pair_itself(tmp_path: Path) -> None:
    folder = save(tmp_path, wordpiece(), truncation_side="left")
    tokenizer = PairTokenizer(folder, max_length=32, cache_bytes=1 << 20)
    assert not tokenizer.joins
    reference = wordpiece()
    reference.enable_truncation(32, strategy="longest_first", direction="left")
    document = "a long document " * 20
    row = tokenizer.encode("a query", [document], TRUNCATE)[0][0]
    assert row.ids.tolist() == reference.encode("a query", document).ids


@given(st.integers(0, 300), st.integers(0, 300), st.integers(2, 300))
def test_truncation_cuts_the_longer_text_first_and_uses_all_the_room(first: int, second: int, room: int) -> None:
    kept_first, kept_second = longest_first(first, second, room)
    assert kept_first <= first
    assert kept_second <= second
    assert kept_first + kept_second == min(first + second, room)
    if kept_first < first and kept_second < second:
        assert abs(kept_first - kept_second) <= 1


def test_a_document_is_tokenised_once_and_found_again_with_another_query(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece()), max_length=64, cache_bytes=1 << 20)
    before = tokenizer.encode("one query", ["the document"], TRUNCATE)[0][0]
    assert tokenizer.cached_documents == 1
    after = tokenizer.encode("one query", ["the document"], TRUNCATE)[0][0]
    assert np.array_equal(before.ids, after.ids)
    tokenizer.encode("another query", ["the document"], TRUNCATE)
    assert tokenizer.cached_documents == 1


def test_lone_surrogates_and_control_characters_are_tokenised_like_any_text(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece()), max_length=64, cache_bytes=1 << 20)
    rows = tokenizer.encode("broken \ud83d query", ["lone \udc00 surrogate", "nul \x00 and \x1b", ""], TRUNCATE)
    assert [len(row[0]) > 3 for row in rows] == [True, True, True]
    assert clean("a\ud800b 🙂") == "a\ufffdb 🙂"


def test_a_huge_document_is_cut_before_it_is_tokenised(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece()), max_length=64, cache_bytes=1 << 20)
    huge = "the search " * 1_000_000
    short = "the search " * 100
    assert np.array_equal(
        tokenizer.encode("q", [huge], TRUNCATE)[0][0].ids, tokenizer.encode("q", [short], TRUNCATE)[0][0].ids
    )


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_cover_the_whole_document_and_overlap_by_the_stride(tmp_path: Path, side: str) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece(), truncation_side=side), max_length=64, cache_bytes=1 << 20)
    policy = passages.parse("max_passage-w16-s12-n99")
    words = [chr(97 + n % 26) for n in range(100)]
    rows = tokenizer.encode("q", [" ".join(words)], policy)[0]
    # [CLS] q [SEP] window [SEP]
    windows = [row.ids[3:-1].tolist() for row in rows]
    assert [len(window) for window in windows] == [16] * 8 + [4] if len(windows) == 9 else [16] * 8
    covered = windows[0] + [token for window in windows[1:] for token in window[4:]]
    reference = wordpiece().encode(" ".join(words), add_special_tokens=False).ids
    assert covered[: len(reference)] == reference[: len(covered)]
    assert len(covered) >= len(reference)


def test_of_too_many_windows_those_that_share_words_with_the_query_are_kept(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece()), max_length=64, cache_bytes=1 << 20)
    document = "a b c d e f g h " * 50 + "search " * 8 + "a b c d e f g h " * 50
    rows = tokenizer.encode("search", [document], passages.parse("max_passage-w8-s8-n2"))[0]
    assert len(rows) == 2
    search = wordpiece().token_to_id("search")
    assert any((row.ids[3:-1] == search).all() for row in rows)


def test_fragments_are_scored_one_by_one_and_empty_ones_left_out(tmp_path: Path) -> None:
    tokenizer = PairTokenizer(save(tmp_path, wordpiece()), max_length=64, cache_bytes=1 << 20)
    document = passages.SEPARATOR.join(["first one", " ", "second one", "third", "fourth"])
    rows = tokenizer.encode("q", [document, "whole"], passages.parse("fragments-n3"))
    reference = [tokenizer.encode("q", [text], TRUNCATE)[0][0] for text in ("first one", "second one")]
    assert [row.ids.tolist() for row in rows[0]] == [row.ids.tolist() for row in reference]
    assert len(rows[1]) == 1


@pytest.mark.parametrize("content", [None, "{", '{"version": "1.0"}'])
def test_a_missing_or_broken_tokenizer_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "config.json").write_text("{}")
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        PairTokenizer(ModelFolder(tmp_path, "broken"), max_length=64, cache_bytes=0)
