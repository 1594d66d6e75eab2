"""Leaves out vocabulary rows that English text never uses, from the embedding table and the tokenizer alike."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import BertForSequenceClassification

__all__ = ["kept", "trim", "write_tokenizer"]

_SCRIPTS = ("LATIN", "GREEK", "DIGIT", "FULLWIDTH", "SUPERSCRIPT", "SUBSCRIPT", "MODIFIER", "MICRO", "OHM", "ANGSTROM")
_COPIED = ("special_tokens_map.json", "tokenizer_config.json")


def kept(vocabulary: Mapping[str, int]) -> list[str]:
    """The tokens that stay, in their order: all but placeholders and tokens with letters of other scripts."""
    return [token for token in sorted(vocabulary, key=vocabulary.__getitem__) if _is_used(token)]


def _is_used(token: str) -> bool:
    if token.startswith("[unused"):
        return False
    return all(_is_known(letter) for letter in token.removeprefix("##"))


def _is_known(letter: str) -> bool:
    if letter.isascii() or not unicodedata.category(letter).startswith(("L", "M")):
        return True
    return unicodedata.name(letter, "").startswith(_SCRIPTS)


def trim(model: BertForSequenceClassification, vocabulary: Mapping[str, int]) -> None:
    """Keeps only the rows of `kept` tokens in the model's word embeddings, renumbered in order."""
    tokens = kept(vocabulary)
    old = model.bert.embeddings.word_embeddings
    rows = torch.tensor([vocabulary[token] for token in tokens])
    new = torch.nn.Embedding(len(tokens), old.embedding_dim, padding_idx=tokens.index("[PAD]"))
    with torch.no_grad():
        new.weight.copy_(old.weight[rows])
    model.bert.embeddings.word_embeddings = new
    model.config.vocab_size = len(tokens)
    model.config.pad_token_id = tokens.index("[PAD]")


def write_tokenizer(source: Path, target: Path, *, max_length: int) -> None:
    """The tokenizer of `source` with the kept tokens only: tokenizer.json, vocab.txt and their two settings files."""
    state = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = kept(state["model"]["vocab"])
    numbers = {token: number for number, token in enumerate(tokens)}
    state["model"]["vocab"] = numbers
    for added in state["added_tokens"]:
        added["id"] = numbers[added["content"]]
    for name, special in state["post_processor"].get("special_tokens", {}).items():
        special["ids"] = [numbers[name]]
    for name in ("cls", "sep"):
        if name in state["post_processor"]:
            token = state["post_processor"][name][0]
            state["post_processor"][name] = [token, numbers[token]]
    state["truncation"] = state["padding"] = None
    (target / "tokenizer.json").write_text(json.dumps(state, ensure_ascii=False), encoding="utf-8")
    (target / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    for name in _COPIED:
        shutil.copyfile(source / name, target / name)
    settings = json.loads((target / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["model_max_length"] = max_length
    (target / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
