"""A package that is not installed names the extra that brings it."""

from __future__ import annotations

import pytest

from connector.cli import extras
from connector.contract.errors import MissingExtra

REQUIREMENTS = [
    "aiohttp<4,>=3.12",
    "numpy<3,>=2; extra == 'light-dev'",
    "torch<3,>=2.6; extra == 'worker'",
    "numpy<3,>=2; extra == 'worker'",
    'numpy<3,>=2; extra == "evaluate"',
    "sentence-transformers<7,>=5; extra == 'train'",
    "PyStemmer<4,>=2.2; extra == 'train'",
    "pytest<10,>=8.3; extra == 'dev'",
]


@pytest.mark.parametrize(
    ("package", "command", "extra"),
    [
        ("torch", None, "worker"),
        ("numpy", None, "worker"),
        ("numpy", "evaluate", "evaluate"),
        ("sentence_transformers", "worker", "train"),
        ("Stemmer", None, "train"),
        ("pytest", None, None),
        ("aiohttp", None, None),
        ("nothing", None, None),
        ("", None, None),
    ],
)
def test_the_extra_is_read_from_the_requirements(package: str, command: str | None, extra: str | None) -> None:
    assert extras.of(package, REQUIREMENTS, preferred=command) == extra


def test_an_import_that_fails_for_another_reason_goes_through() -> None:
    def broken() -> None:
        raise ImportError("cannot import name 'x'", name="connector.engines")

    with (
        pytest.raises(ImportError, match="cannot import name") as raised,
        extras.named_when_missing("rerank-bridge", "x"),
    ):
        broken()
    assert not isinstance(raised.value, MissingExtra)


def test_a_missing_optional_package_says_what_to_install() -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    said = r"`worker`.*pip install 'rerank-bridge\[worker\]'"
    with pytest.raises(MissingExtra, match=said), extras.named_when_missing("rerank-bridge", "worker"):
        broken()
