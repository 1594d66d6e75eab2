"""The policy file: what matches, what is refused and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector import policies, toml_lines
from connector.contract.errors import ConfigurationError
from connector.policies import Different, Policies, Rule
from connector.proxy import overrides, starter
from connector.proxy.overrides import Unusable
from connector.settings import Policy


@pytest.fixture
def write(tmp_path: Path) -> Path:
    return tmp_path / "rerank-bridge.toml"


def _load(path: Path, text: str) -> Policies:
    path.write_text(text, encoding="utf-8")
    return policies.load(path)


def _pattern(found: Rule | Different | None) -> tuple[str, ...] | None:
    assert isinstance(found, Rule | None)
    return found and found.patterns


def test_without_a_file_everything_is_on_but_names_that_begin_with_a_dot() -> None:
    every = Policies.everything()
    for name in ("docs", "a,b", "*", "", "_all", "docs-*,-docs-old"):
        found = every.of(name)
        assert isinstance(found, Rule)
        assert (found.policy.mode, found.policy.deadline, found.policy.scores) == ("on", 0.3, "engine")
    assert every.of(".kibana") is None
    assert isinstance(every.of("docs,.kibana"), Different)


def test_the_first_entry_that_matches_counts_and_what_none_matches_is_off(write: Path) -> None:
    found = _load(
        write, '[[index]]\npattern = ["docs-new", "faq"]\n[[index]]\npattern = "docs-*"\n[[index]]\npattern = ".own*"\n'
    )
    assert _pattern(found.of("docs-new")) == ("docs-new", "faq")
    assert _pattern(found.of("docs-old")) == ("docs-*",)
    assert _pattern(found.of("docs-*")) == ("docs-*",)
    assert _pattern(found.of("docs-old,docs-older,-docs-new")) == ("docs-*",)
    assert _pattern(found.of(".own-1")) == (".own*",)
    assert found.of("other") is None
    assert found.of("*") is None
    assert isinstance(found.of("docs-old,faq"), Different)


def test_every_key_of_a_policy_can_be_set_for_all_and_for_one(write: Path) -> None:
    found = _load(
        write,
        """
[defaults]
window = 20
fusion.method = "rrf"
[[index]]
pattern = "docs"
mode = "shadow"
share = 0.5
model = "fast"
deadline = 1
on_timeout = "partial"
pins = 2
text = { fields = ["title"], field_chars = { title = 100 } }
client_options = ["window", "details"]
[index.fusion]
weight = 0.7
""",
    ).of("docs")
    assert isinstance(found, Rule)
    policy = found.policy
    assert (policy.window, policy.mode, policy.share, policy.model, policy.deadline) == (20, "shadow", 0.5, "fast", 1.0)
    assert (policy.on_timeout, policy.pins, policy.scores) == ("partial", 2, "engine")
    assert (policy.text.fields, policy.text.field_chars) == (("title",), {"title": 100})
    assert (policy.fusion.method, policy.fusion.weight) == ("rrf", 0.7)
    assert found.client_options == {"window", "details"}


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('[[index]]\npattern = "a"\nwindw = 3\n', 3, "unknown key 'windw'"),
        ('[[index]]\npattern = "a"\n\n[[index]]\npattern = "b"\nwindow = "wide"\n', 6, "window: Expected `int`"),
        ('[[index]]\npattern = "a"\nwindow = 0\n', 3, "window = 0 is out of range"),
        ('[[index]]\npattern = "a"\nfusion.weight = 2\n', 3, "fusion.weight = 2.0 is out of range"),
        ('[[index]]\npattern = "a"\n[index.text]\nmax_chars = 0\n', 4, "text.max_chars = 0"),
        ('[[index]]\npattern = "a"\n[index.text]\nfeilds = []\n', 4, "unknown key 'feilds'"),
        ('# one\n[[index]]\nmode = "on"\n', 2, "an [[index]] needs a pattern"),
        ('[defaults]\nmode = "of"\n', 2, "mode: Invalid enum value 'of'"),
        ('[[index]]\npattern = "a"\nclient_options = ["strict"]\n', 3, "client_options: 'strict' is none of"),
        ("[indices]\n", 1, "unknown key 'indices'"),
        ('index = "a"\n', 1, "index: Expected `array`"),
    ],
)
def test_an_unknown_key_or_a_bad_value_names_file_and_line(write: Path, text: str, line: int, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        _load(write, text)
    assert str(raised.value).startswith(f"{write}, line {line}: {said}")


def test_a_file_that_is_no_toml_or_not_there_is_one_line(write: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"is no TOML: .*line 2"):
        _load(write, 'a = 1\nb = "\n')
    with pytest.raises(ConfigurationError, match="cannot be read"):
        policies.load(write.with_name("nowhere.toml"))


def test_the_line_of_a_key_is_found_in_dotted_quoted_and_nested_tables() -> None:
    text = 'a.b = 1\n["x"]\n"k" = 1\n[[index]]\n[index.text]\nfields = [\n 1]\n[[index]]\ntext.fields = 2\n'
    assert toml_lines.find(text, ("a", "b")) == 1
    assert toml_lines.find(text, ("x", "k")) == 3
    assert toml_lines.find(text, ("index", 0, "text", "fields")) == 6
    assert toml_lines.find(text, ("index", 1, "text", "fields", 0)) == 9
    assert toml_lines.find(text, ("index", 0, "mode")) == 4


def _rule(*options: str) -> Rule:
    return Rule(policy=Policy(), client_options=frozenset(options))


@pytest.mark.parametrize("value", ["false", "0", "off", False])
def test_a_client_may_always_switch_reranking_off(value: object) -> None:
    assert overrides.policy_of(_rule(), {"rerank": value}).mode == "off"


def test_a_client_may_set_what_its_rule_allows_and_nothing_else() -> None:
    options = {"window": "20", "deadline": "1.5", "details": "true", "model": "other", "rerank": "true", "mode": "on"}
    assert overrides.policy_of(_rule(), options) == Policy()
    assert overrides.policy_of(_rule("window", "deadline", "details"), options) == Policy(
        window=20, deadline=1.5, details=True
    )


@pytest.mark.parametrize("options", [{"window": "wide"}, {"window": "0"}, {"window": [1]}, {"rerank": "maybe"}])
def test_a_value_that_cannot_be_used_is_told(options: dict[str, object]) -> None:
    with pytest.raises(Unusable, match=next(iter(options))):
        overrides.policy_of(_rule("window"), options)


def test_the_starter_file_holds_every_index_with_text_and_can_be_loaded(write: Path) -> None:
    text = {"properties": {"title": {"type": "text"}, "meta": {"properties": {"note": {"type": "text"}}}}}
    mappings = {
        "docs": {"mappings": text},
        "numbers": {"mappings": {"properties": {"n": {"type": "integer"}}}},
        ".hidden": {"mappings": text},
        'odd"name': {"mappings": text},
    }
    found = _load(write, starter.starter(mappings)).of("docs")
    assert isinstance(found, Rule)
    assert found.policy.text.fields == ("title", "meta.note")
    assert _load(write, starter.starter(mappings)).of(".hidden") is None
    assert _load(write, starter.starter({})).rules == ()
