"""Passwords of users (RFC 7617), kept as bcrypt hashes, and guessing them made slow."""

import asyncio
import base64
import binascii
import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

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
        """The hash is part of it: a changed password is checked again. Only a digest is kept."""
        parts = (user, self.users.get(user, NOBODY), password)
        return hashlib.sha256(
            "/".join(part.encode("utf-8", "surrogateescape").hex() for part in parts).encode()
        ).digest()


def parse_basic_auth(header: str) -> tuple[str, str] | None:
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


FREE = 3
"""Wrong tries before the first pause: people mistype."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
FORGET_AFTER = 900.0
"""Seconds without a wrong try after which a peer starts from zero."""
MAX_PEERS = 4096


class _Record(NamedTuple):
    failures: int
    last: float
    until: float


class Throttle:
    """Counts wrong tries by peer. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def pause(self, peer: str | None, now: float) -> float:
        """Seconds that this peer has to wait before its next try is looked at; 0 when it need not."""
        record = self._records.get(network_of(peer))
        return max(0.0, record.until - now) if record else 0.0

    def failed(self, peer: str | None, now: float) -> None:
        """Count a wrong try of this peer."""
        network = network_of(peer)
        before = self._records.pop(network, None)
        failures = 1 if before is None or now - before.last > FORGET_AFTER else before.failures + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (failures - FREE)) if failures >= FREE else 0.0
        self._records[network] = _Record(failures, now, now + pause)
        if len(self._records) > MAX_PEERS:
            self._records.popitem(last=False)

    def succeeded(self, peer: str | None) -> None:
        """Forget the wrong tries of this peer: it was right."""
        self._records.pop(network_of(peer), None)


def network_of(peer: str | None) -> str:
    """Who counts as one: an IPv4 address, or the /64 network of an IPv6 address, which one host has all of."""
    try:
        address = ip_address(peer or "")
    except ValueError:
        return peer or ""
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or int(address) >> 64)
    return str(address)
