"""Pure: 64 pairs of texts of every kind and length, on which a tokenizer is checked when it is loaded."""

from __future__ import annotations

import random

__all__ = ["PROBES"]

_TEXT = (
    "search engine the of and a query document ranked tokenizer's un-believable e-mail C++ 3.14 1,000,000 don't"
    " naïve café Straße Ångström 東京 检索 поиск αβγ 🙂 https://example.org/a?b=c&d=%20 foo_bar() x86-64 [CLS] [SEP]"
    " </s> ﬁnance ½ m² \u00a0 \u200b İstanbul supercalifragilisticexpialidocious TAB\there line\nbreak"
)
_WORDS = _TEXT.split(" ")


def _pairs(count: int) -> list[tuple[str, str]]:
    generator = random.Random(64)
    pairs = [("how do I parse a date", "The datetime module supplies classes for manipulating dates and times.")]
    # Queries and documents from nothing to longer than any model reads, so that both are cut in some pairs.
    lengths = (0, 1, 2, 5, 12, 40, 120, 300)
    while len(pairs) < count:
        query, document = (
            " ".join(generator.choices(_WORDS, k=generator.choice(lengths))) + generator.choice(["", "?", " ", "."])
            for _ in range(2)
        )
        pairs.append((query, document))
    return pairs


#: The first pair holds no special token: the template is read from it.
PROBES = _pairs(64)
