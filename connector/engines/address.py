"""Where an engine is and how to be let in, taken from one URL; what is shown of it never holds a credential."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from connector.contract.errors import ConfigurationError

__all__ = ["Address"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """One engine node: `https://user:password@host:9200/prefix` taken apart."""

    scheme: str
    host: str
    port: int
    #: "" or "/prefix", put before every path.
    prefix: str = ""
    #: The Authorization header, or None.
    authorization: str | None = field(default=None, repr=False)
    ca_file: Path | None = None

    @classmethod
    def parse(cls, url: str, *, ca_file: Path | None = None, api_key: str | None = None) -> Address:
        """Takes `url` apart. An API key goes before a user and password in the URL.

        Raises:
            ConfigurationError: no usable http or https address; the message tells nothing of the URL's credentials.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            # The parser's own message may hold the password.
            raise ConfigurationError(f"the engine's address cannot be read: {_EXPECTED}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigurationError(f"the engine's address has no http:// or https:// and host: {_EXPECTED}")
        if parts.query or parts.fragment:
            raise ConfigurationError(
                f"the engine's address has a '?' or '#' in it; in a password write %3F or %23: {_EXPECTED}"
            )
        return cls(
            scheme=parts.scheme,
            host=host,
            port=port or (443 if parts.scheme == "https" else 9200),
            prefix=parts.path.rstrip("/"),
            authorization=_authorization(parts, api_key),
            ca_file=ca_file,
        )

    @property
    def url(self) -> str:
        """The address without credentials, as messages show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.prefix}"

    def ssl_context(self) -> ssl.SSLContext | None:
        """What verifies the engine's certificate: `ca_file` alone, or else the system's authorities; None without TLS.

        Raises:
            ConfigurationError: the CA file cannot be read or holds no certificate.
        """
        if self.scheme != "https":
            return None
        try:
            return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigurationError(
                f"the engine's CA file {self.ca_file} cannot be used ({exc}): a PEM file is needed"
            ) from exc


_EXPECTED = "write it as https://user:password@host:9200, with special characters of the password percent-encoded"


def _authorization(parts: SplitResult, api_key: str | None) -> str | None:
    if api_key:
        if not (api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ConfigurationError("the engine's API key holds characters that no key has: take the encoded form")
        return f"ApiKey {api_key}"
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode()
