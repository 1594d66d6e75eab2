"""Search engines: `connect(url)` asks the server what it is and gives back the adapter for it."""

from __future__ import annotations

from connector.engines.base import Engine, EngineResponse
from connector.engines.connecting import connect

__all__ = ["Engine", "EngineResponse", "connect"]
