"""Run folders: held while their server lives, removed afterwards, and swept when their program was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from connector.embedded import errors, rundir

LEAVE = """
import os, signal, sys
from pathlib import Path
from connector.embedded import rundir
rundir.MEMORY = Path(sys.argv[1])
with rundir.opened(None, None, in_memory=True) as run:
    (run.data / "index").write_bytes(b"left behind")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the RAM disk's place."""
    monkeypatch.setattr(rundir, "MEMORY", tmp_path)
    return tmp_path


def age(path: Path) -> None:
    os.utime(path, (time.time() - 3600,) * 2)


def test_what_a_killed_program_left_is_removed_by_the_next_start(memory: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LEAVE, str(memory)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    (left,) = memory.iterdir()
    age(left)
    with rundir.opened(None, None, in_memory=True) as run:
        assert [path.name for path in memory.iterdir()] == [run.path.name]
    assert list(memory.iterdir()) == []


def test_folders_in_use_and_what_is_not_ours_are_left_alone(
    memory: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "precious").write_text("kept")
    (memory / f"{rundir.PREFIX}link").symlink_to(elsewhere)
    (memory / "another").mkdir()
    with rundir.opened(None, None, in_memory=True) as first:
        age(first.path)
        with rundir.opened(None, None, in_memory=True):
            assert first.data.is_dir()
    assert (elsewhere / "precious").read_text() == "kept"
    assert [path.name for path in elsewhere.iterdir()] == ["precious"]
    assert sorted(path.name for path in memory.iterdir()) == ["another", f"{rundir.PREFIX}link"]


def test_a_ram_disk_without_room_is_not_used(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "MEMORY_NEEDED", 10**18)
    with rundir.opened(None, None, in_memory=True) as run:
        assert memory not in run.path.parents


def test_a_data_folder_serves_one_server_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "LOCK_WAIT_S", 0.1)
    second = rundir.opened(tmp_path, None)
    with rundir.opened(tmp_path, None) as run:
        (run.data / "index").write_bytes(b"kept")
        (run.tmp / "scratch").write_bytes(b"not kept")
        with pytest.raises(errors.CacheUnusable, match=f"{tmp_path}; stop it first"), second:
            pytest.fail("two servers share one folder")
    with rundir.opened(tmp_path, None) as again:
        assert (again.data / "index").read_bytes() == b"kept"
        assert list(again.tmp.iterdir()) == []
