"""Records to events of the server: a router's processes start and end, HTTP requests are answered."""

import re
from collections import Counter
from typing import NamedTuple

from exporter.logs.record import Record

ACCESS_FUNCTION = "log_server_r"
"""The function that prints the lines, cut off at 12 characters as everywhere in the log."""
REQUEST = re.compile(r"(?:done )?request: [A-Z]{1,16} (/\S*) (\S+) ([1-5]\d\d)$")
LOOPBACK = ("127.0.0.1", "::1")
MAX_OPEN = 64
"""Requests of the exporter whose line is waited for, a path: most builds print none for them."""
PATHS = frozenset(
    {
        *("/", "/health", "/metrics", "/props", "/slots", "/models", "/tokenize", "/detokenize", "/apply-template"),
        *("/completion", "/completions", "/infill", "/embedding", "/embeddings", "/rerank", "/reranking"),
        *("/chat/completions", "/responses", "/messages", "/lora-adapters", "/models/load", "/models/unload"),
        *("/api/tags", "/api/show", "/api/chat"),
        *("/v1/models", "/v1/completions", "/v1/chat/completions", "/v1/embeddings", "/v1/rerank", "/v1/reranking"),
        *("/v1/responses", "/v1/messages", "/v1/health", "/v1/audio/transcriptions"),
    }
)
"""Values of the `path` label; all others are `other`, since a client can request anything."""


class HttpAccessLog:
    """Counts requests by path and status code in `counts`, those of the exporter itself left out."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._open: Counter[str] = Counter()

    def asked(self, path: str) -> None:
        """Note that the exporter requests this path now."""
        if self._open[path] < MAX_OPEN:
            self._open[path] += 1

    def forget(self) -> None:
        """Wait for no more lines: the process that would have printed them has ended."""
        self._open.clear()

    def own(self, record: Record) -> bool:
        """Count the request in this record, if it is one; return True when the exporter itself has made it."""
        if record.function != ACCESS_FUNCTION:
            return False
        found = REQUEST.match(record.message)
        if found is None:
            return False
        path, peer, code = found.groups()
        if peer in LOOPBACK and self._open[path] > 0:
            self._open[path] -= 1
            return True
        self.counts[path if path in PATHS else "other", code] += 1
        return False


SPAWNED = re.compile(r"spawning server instance with name=(.{1,256}) on port (\d{1,5})$")
ENDED = re.compile(r"instance name=(.{1,256}) exited with status (-?\d{1,10})$")


class Spawned(NamedTuple):
    """A router has started a process for the model; it will listen on this port of the loopback."""

    model: str
    port: int


class Ended(NamedTuple):
    """A router's process for the model has ended."""

    model: str
    exit_code: int


def read_router_event(record: Record) -> Spawned | Ended | None:
    """Return the event in a record of the router's own; None in nearly all."""
    if record.component != "srv" or "instance" not in record.message:
        return None
    if found := SPAWNED.match(record.message):
        return Spawned(found[1], int(found[2]))
    if found := ENDED.match(record.message):
        return Ended(found[1], int(found[2]))
    return None
