"""Fixtures of every test: the real servers, started once a session when the first test asks for them."""

import os

import pytest

pytest_plugins = ["tests.fixtures.servers", "tests.fixtures.workers"]


@pytest.fixture(autouse=True, scope="session")
def _clean_environment() -> None:
    """No setting of the machine reaches a test."""
    for name in [
        name for name in os.environ if name.startswith("RERANK_BRIDGE_") and name != "RERANK_BRIDGE_CACHE_DIR"
    ]:
        del os.environ[name]
