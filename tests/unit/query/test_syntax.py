"""The words of a query string are what a person would say it asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.query import syntax


@pytest.mark.parametrize(
    ("query", "words", "fields", "bare"),
    [
        ("red shoes", "red shoes", (), True),
        ("title:red AND body:shoes", "red shoes", ("title", "body"), False),
        ('title:"red shoes"~2 warm^3', "red shoes warm", ("title",), True),
        ("title:(red OR shoes) warm", "red shoes warm", ("title",), True),
        ("red -old !torn NOT (worn out) +warm", "red warm", (), True),
        ('red NOT "worn out"', "red", (), True),
        ("(red (shoes NOT old)) warm", "red shoes warm", (), True),
        ("NOT (a (b) c) warm", "warm", (), True),
        ("red && shoes || warm", "red shoes warm", (), True),
        ("year:[1990 TO 2000] red", "red", (), True),
        ("year:>=1990 red", "red", (), True),
        ("/re[dt]/ shoes", "shoes", (), True),
        ("shoe* ?at", "shoe at", (), True),
        ("*:* red", "red", (), True),
        ("_exists_:title red", "red", (), True),
        (r"C\+\+ a\:b \(c\)", "C++ a:b (c)", (), True),
        ("well-known e-mail", "well-known e-mail", (), True),
        ("book.title:red", "red", ("book.title",), False),
        (r"book.\*:red", "red", ("book.*",), False),
        ("ANDROID ORACLE NOTES", "ANDROID ORACLE NOTES", (), True),
        ('"never closed', "never closed", (), True),
        (") ( [ { ~ ^", "", (), False),
        ("", "", (), False),
    ],
)
def test_lucene_syntax_is_reduced_to_its_words(query: str, words: str, fields: tuple[str, ...], bare: bool) -> None:
    assert syntax.lucene(query) == (words, fields, bare)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("red shoes", "red shoes"),
        ('"red shoes"~2 + warm', "red shoes warm"),
        ("red -old -(worn out) | warm", "red warm"),
        ("well-known shoe*", "well-known shoe"),
        ("red~1", "red"),
    ],
)
def test_simple_syntax_is_reduced_to_its_words(query: str, words: str) -> None:
    assert syntax.simple(query) == words


@given(st.text(alphabet=st.sampled_from(list('ab :()"[]{}~^+-!/\\<>=*?&|NOTAD')) | st.characters()))
def test_no_query_string_is_too_odd(query: str) -> None:
    syntax.lucene(query)
    syntax.simple(query)
