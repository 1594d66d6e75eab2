"""What a job is asked, and what is refused at once."""

from dataclasses import replace
from typing import Any

import pytest

from connector.contract.errors import ConfigurationError
from connector.jobs import spec
from connector.jobs.spec import Spec

PLAIN = Spec(id="a", source="/x.jsonl", form="documents")


def test_a_spec_comes_back_from_its_record() -> None:
    asked = replace(PLAIN, fields=("title^2", "body"), rate=2.5, texts=True)
    assert spec.decode(asked.encode()) == asked


def test_the_digest_is_of_what_comes_out_not_of_how_it_is_run() -> None:
    contents = {"/x.jsonl": "1"}
    assert PLAIN.digest(contents) == replace(PLAIN, skip_bad=True, rate=1.0, attempts=9).digest(contents)
    assert PLAIN.digest(contents) != replace(PLAIN, window=5).digest(contents)
    assert PLAIN.digest(contents) != PLAIN.digest({"/x.jsonl": "2"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": "../x"}, "--id"),
        ({"form": "queries"}, "--index"),
        ({"form": "run"}, "--corpus"),
        ({"form": "run", "corpus": "/c"}, "--queries"),
        ({"into": "i"}, "--into"),
        ({"output_form": "cache", "output": "/o"}, "leave --output out"),
        ({"rate": 0.0}, "--rate"),
        ({"source": "s3://key:secret@bucket/x"}, "credentials"),
        ({"source": "https://h/x?X-Amz-Signature=abc"}, "credentials"),
        ({"output": "https://h/x?sig=abc"}, "credentials"),
        ({"passages": "nonsense"}, "nonsense"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as refused:
        replace(PLAIN, **changes)
    assert "secret" not in str(refused.value)
