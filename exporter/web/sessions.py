"""Sessions of browsers: who gave the token once need not keep it."""

import hashlib
import secrets

LIFETIME = 12 * 3600.0
"""Seconds."""
MAX_SESSIONS = 1000
COOKIE = "llama_exporter_session"


class Sessions:
    """Random identifiers and when they expire (monotonic seconds). In memory only: a new start ends them all.

    What is kept is a digest: neither a dump of the memory nor the time of a look-up gives an identifier away.
    """

    def __init__(self) -> None:
        self._expiry: dict[bytes, float] = {}

    def open(self, now: float) -> str:
        """The identifier of a new session. The oldest goes when there are too many."""
        self._expiry = {digest: until for digest, until in self._expiry.items() if until > now}
        if len(self._expiry) >= MAX_SESSIONS:
            del self._expiry[next(iter(self._expiry))]
        identifier = secrets.token_urlsafe(32)
        self._expiry[_digest(identifier)] = now + LIFETIME
        return identifier

    def valid(self, identifier: str | None, now: float) -> bool:
        """Whether this session is open."""
        return identifier is not None and self._expiry.get(_digest(identifier), now) > now

    def close(self, identifier: str | None) -> None:
        """End this session, if it is one."""
        if identifier is not None:
            self._expiry.pop(_digest(identifier), None)

    def clear(self) -> None:
        """End all: the token that opened them is no longer the token."""
        self._expiry.clear()


def _digest(identifier: str) -> bytes:
    return hashlib.sha256(identifier.encode("utf-8", "surrogateescape")).digest()
