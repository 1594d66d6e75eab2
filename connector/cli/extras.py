"""Which extra brings a package that is not installed, read from the distribution's own metadata."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

from connector.contract.errors import MissingExtra

__all__ = ["explain", "named_when_missing", "of"]

#: Import names that are not the distribution's name.
_IMPORTED_AS = {"pystemmer": "stemmer"}
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+).*;.*extra\s*==\s*['\"]([^'\"]+)['\"]")
#: Extras for those who work on the project: never the answer to a user.
_NOT_FOR_USERS = ("dev", "light-dev")


@contextmanager
def named_when_missing(distribution: str, command: str) -> Iterator[None]:
    """Turns an ImportError of an optional package into `MissingExtra`; any other goes through."""
    try:
        yield
    except ImportError as exc:
        raise explain(exc, distribution, command=command) from exc


def explain(exc: ImportError, distribution: str, *, command: str | None) -> Exception:
    """`MissingExtra` for the package that `exc` misses, or `exc` itself when no extra brings it."""
    package = (exc.name or "").partition(".")[0]
    extra = of(package, metadata.requires(distribution) or [], preferred=command)
    if extra is None:
        return exc
    return MissingExtra(f"`{command}`" if command else f"this (package {package})", extra)


def of(package: str, requirements: list[str], *, preferred: str | None = None) -> str | None:
    """The extra that brings `package`: `preferred` when it is one of them, else the first listed; None without any."""
    found = []
    for requirement in requirements:
        match = _REQUIREMENT.match(requirement)
        if match is None or match[2] in _NOT_FOR_USERS:
            continue
        name = re.sub(r"[-.]+", "_", match[1].lower())
        if _IMPORTED_AS.get(name, name) == package.lower():
            found.append(match[2])
    return preferred if preferred in found else next(iter(found), None)
