"""Prepared folders: complete and undamaged, or built again; and the lock that starts hold while they look."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from connector.embedded import account, cache, errors
from connector.embedded.account import Account
from connector.embedded.report import Quiet, quiet


class Steps(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def step(self, text: str) -> None:
        self.said.append(text)


def fill(folder: Path) -> None:
    (folder / "lib").mkdir()
    (folder / "lib" / "a.jar").write_bytes(b"a" * 1000)
    (folder / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "run").chmod(0o700)


def refuse(folder: Path) -> None:
    pytest.fail(f"{folder} was built again")


def test_a_prepared_folder_is_built_once_and_open_to_every_account(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        home = cache.prepared(tmp_path / "home", fill, quiet)
    finally:
        os.umask(before)
    assert cache.prepared(tmp_path / "home", refuse, quiet) == home
    modes = {path.name: path.stat().st_mode & 0o777 for path in [home, *home.rglob("*")]}
    assert modes == {"home": 0o755, "lib": 0o755, "a.jar": 0o644, "run": 0o755, "assembled.json": 0o644}


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda home: (home / "lib" / "a.jar").write_bytes(b"a" * 999 + b"X"), "a.jar is damaged"),
        (lambda home: (home / "lib" / "a.jar").unlink(), "a.jar is missing"),
        (lambda home: (home / "assembled.json").write_text('{"lib/a'), "is incomplete"),
    ],
    ids=["changed", "removed", "manifest cut"],
)
def test_a_damaged_home_is_named_and_built_again(harm: object, says: str, tmp_path: Path) -> None:
    home = cache.prepared(tmp_path / "home", fill, quiet)
    assert callable(harm)
    harm(home)
    steps = Steps()
    cache.prepared(home, fill, steps)
    assert says in steps.said[0]
    assert (home / "lib" / "a.jar").read_bytes() == b"a" * 1000
    cache.prepared(home, refuse, quiet)


def test_an_assembly_that_was_killed_is_never_used(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom connector.embedded import cache\n"
        "from connector.embedded.report import quiet\n"
        "def build(folder):\n    (folder / 'half').write_bytes(b'h')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        "with cache.locked(Path(sys.argv[1]), quiet):\n    cache.prepared(Path(sys.argv[1]) / 'home', build, quiet)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "home").exists()
    with cache.locked(tmp_path, quiet):
        home = cache.prepared(tmp_path / "home", fill, quiet)
    assert not (home / "half").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"home", "lock"}


def test_the_cache_folder_is_the_one_named_and_closed_ones_are_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() == 0:
        with pytest.raises(errors.CacheUnusable, match=r"nobody.*may not enter .*RERANK_BRIDGE_CACHE_DIR"):
            cache.cache_folder({"RERANK_BRIDGE_CACHE_DIR": str(closed / "cache")})
        assert cache.cache_folder({}) == Path("/var/cache/rerank-bridge")
    else:
        named = {"RERANK_BRIDGE_CACHE_DIR": str(closed / "cache")}
        assert cache.cache_folder(named) == closed / "cache"
        assert cache.cache_folder({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "rerank-bridge"


def test_a_cache_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(errors.CacheUnusable, match="RERANK_BRIDGE_CACHE_DIR"):
        cache.cache_folder({"RERANK_BRIDGE_CACHE_DIR": str(tmp_path / "file" / "cache")})


def test_the_first_closed_folder_on_the_way_is_found() -> None:
    stranger = Account(uid=54321, gid=54321)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        top = Path(name)
        (top / "a" / "b").mkdir(parents=True)
        top.chmod(0o755)
        assert account.barrier(top / "a" / "b", stranger) is None
        (top / "a").chmod(0o700)
        assert account.barrier(top / "a" / "b", stranger) == top / "a"
        owner = Account(uid=os.geteuid(), gid=os.getegid())
        assert account.barrier(top / "a" / "b", owner) is None
        assert account.barrier(top / "a" / "b", None) is None
