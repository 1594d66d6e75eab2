"""The console script itself: what it lists, how it ends, what it says when something goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from connector.cli.main import GROUP
from tests.fixtures import console


def test_help_lists_every_command_with_a_line_about_it_and_imports_none() -> None:
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", console.COMMAND, "--help"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    for name in ("doctor", "index", "mappings", "search", "worker"):
        (line,) = [line for line in listed.stdout.splitlines() if line.startswith(f"│ {name} ")]
        assert len(line.strip(" │").removeprefix(name).strip()) > 10
    assert "Exit codes: 0 done" in listed.stdout
    imported = {line.rpartition("|")[2].strip() for line in listed.stderr.splitlines()}
    assert "connector.cli.main" in imported
    assert not imported & {"connector.cli.index", "connector.cli.search", "aiohttp", "celery", "redis", "workers.app"}


def test_every_command_of_the_group_loads_and_explains_itself() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        shown = console.run(point.name, "--help")
        assert shown.returncode == 0, shown.stderr
        assert f"rerank-bridge {point.name}" in shown.stdout
        assert "--install-completion" not in shown.stdout


def test_the_version_is_the_installed_one() -> None:
    from importlib.metadata import version

    assert console.run("--version").stdout == f"rerank-bridge {version('rerank-bridge')}\n"


@pytest.mark.parametrize(
    ("arguments", "says"), [(["serach"], "Did you mean 'search'?"), (["search", "--bad"], "--bad")]
)
def test_a_slip_on_the_command_line_is_explained_with_exit_code_2(arguments: list[str], says: str) -> None:
    slipped = console.run(*arguments)
    assert slipped.returncode == 2
    assert says in slipped.stderr


def test_a_failure_is_one_line_without_the_password_and_debug_adds_the_traceback() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://elastic:hunter2@127.0.0.1:{nobody.getsockname()[1]}"
        plain = console.run("mappings", "diff", "--engine-url", url)
        debug = console.run("--debug", "mappings", "diff", "--engine-url", url)
    assert plain.returncode == debug.returncode == 3
    assert plain.stdout == ""
    (line,) = plain.stderr.splitlines()
    assert line.startswith("error: no answer from http://127.0.0.1:")
    assert "Traceback (most recent call last)" in debug.stderr
    assert debug.stderr.splitlines()[-1] == line
    assert "hunter2" not in plain.stderr + debug.stderr


def test_a_setting_that_cannot_be_used_is_named() -> None:
    refused = console.run("doctor", STATE_URL="http://127.0.0.1")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: RERANK_BRIDGE_STATE_URL is no Redis address")
    assert console.run("doctor", ENGINE_CA_FILE="/no/such/file").returncode == 2


def test_a_reader_that_leaves_early_is_no_error_on_the_terminal() -> None:
    showing = subprocess.Popen([console.COMMAND, "mappings", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert showing.stdout is not None
    showing.stdout.close()
    _, complaint = showing.communicate(timeout=60)
    assert complaint == b""
    assert showing.returncode == 1


def test_an_interrupt_ends_with_130_and_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        command = [console.COMMAND, "mappings", "diff", "--engine-url", url]
        asking = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=console.heed_interrupts)
        connection, _ = silent.accept()
        with connection:
            asking.send_signal(signal.SIGINT)
            _, complaint = asking.communicate(timeout=60)
    assert asking.returncode == 130
    assert b"Traceback" not in complaint


def test_a_command_whose_extra_is_missing_says_what_to_install() -> None:
    block = "import sys; sys.modules['openvino'] = sys.modules['torch'] = sys.modules['uvicorn'] = None; "
    start = "sys.argv = ['rerank-bridge', 'serve']; from connector.cli.main import main; main()"
    ran = subprocess.run([sys.executable, "-c", block + start], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 2
    assert "pip install 'rerank-bridge[serve]'" in ran.stderr
