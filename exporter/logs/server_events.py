"""What the log reports about the server: a router's children, and HTTP requests."""

import re
from collections import Counter
from typing import NamedTuple

from exporter.logs.record import Record

LINE = re.compile(r"(?:done )?request: [A-Z]+ (/\S*) (\S+) (\d{3})$")
FUNCTION = "log_server_r"
LOOPBACK = ("127.0.0.1", "::1")
MAX_OPEN = 64
"""Questions of ours for whose line we wait at most: most builds print none for them."""
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
"""Values of the `path` label; all others are `other`, since a client can ask for anything."""


class Access:
    """Counts requests by path and status code in `counts`, those of the exporter itself left out."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._own: Counter[str] = Counter()

    def asked(self, path: str) -> None:
        """The exporter is asking for this path now."""
        if self._own[path] < MAX_OPEN:
            self._own[path] += 1

    def own(self, record: Record) -> bool:
        """Count the request in this record, if it is one; True when the exporter itself has made it."""
        if record.function != FUNCTION:
            return False
        found = LINE.match(record.message)
        if found is None:
            return False
        path, peer, code = found.groups()
        if peer in LOOPBACK and self._own[path] > 0:
            self._own[path] -= 1
            return True
        self.counts[path if path in PATHS else "other", code] += 1
        return False


SPAWNED = re.compile(r"spawning server instance with name=(.+) on port (\d+)$")
ENDED = re.compile(r"instance name=(.+) exited with status (-?\d+)$")


class Spawned(NamedTuple):
    """A process was started for the model; it will listen on this port of the loopback."""

    model: str
    port: int


class Ended(NamedTuple):
    """The model's process has ended."""

    model: str
    exit_code: int


def read_router_event(record: Record) -> Spawned | Ended | None:
    """The event in a record of the router's own; None in nearly all."""
    if record.component != "srv" or "instance" not in record.message:
        return None
    if found := SPAWNED.match(record.message):
        return Spawned(found[1], int(found[2]))
    if found := ENDED.match(record.message):
        return Ended(found[1], int(found[2]))
    return None
