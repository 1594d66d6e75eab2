"""Log lines as JSON objects, one a line. No query, no document, no header value goes into them."""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["configure"]


#: What every record has; anything else is a field that the line was given.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonFormatter(logging.Formatter):
    """`{"time", "level", "event", …fields}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure(level: str) -> None:
    """Sends every record of `level` and above to standard error. Called by the program, in each of its processes."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Who starts and stops is said by our own lines; of uvicorn's, what went wrong is worth reading.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
