"""Passwords of users (RFC 7617), kept as bcrypt hashes.

As in exporter-toolkit a right password is remembered, since bcrypt is made to be slow and Prometheus asks every few
seconds, and a user that does not exist costs as much time as one that does.
"""

import asyncio
import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

NOBODY = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"
"""A hash for users that do not exist, exporter-toolkit's own."""
REMEMBERED = 100
AT_ONCE = 2
"""Hashes worked on at the same time: guessing must not take every core and thread from the scrapes."""
MAX_PASSWORD = 72
"""Bytes that bcrypt looks at."""


class BasicAuth:
    """Knows `users`: bcrypt hashes by name."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self.users = users
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._working = asyncio.Semaphore(AT_ONCE)

    def remembers(self, user: str, password: str) -> bool:
        """Whether `check` found this to be right before. Wrong ones are not kept: they would push out the right."""
        return self._key(user, password) in self._right

    async def check(self, user: str, password: str) -> bool:
        """Whether this is the user's password. Takes a tenth of a second or more, in a thread."""
        key, hashed = self._key(user, password), self.users.get(user)
        given = password.encode("utf-8", "surrogateescape")[:MAX_PASSWORD]
        async with self._working:
            same = b"\0" not in given and await asyncio.to_thread(bcrypt.checkpw, given, (hashed or NOBODY).encode())
        right = same and hashed is not None
        if right:
            self._right[key] = None
            if len(self._right) > REMEMBERED:
                self._right.popitem(last=False)
        return right

    def _key(self, user: str, password: str) -> bytes:
        """The hash is part of it: a changed password is asked anew. Only a digest is kept."""
        parts = (user, self.users.get(user, NOBODY), password)
        return hashlib.sha256(
            "/".join(part.encode("utf-8", "surrogateescape").hex() for part in parts).encode()
        ).digest()


def credentials(header: str) -> tuple[str, str] | None:
    """User and password of an `Authorization` header, None when it holds none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = decoded.partition(":")
    return (user, password) if colon else None
