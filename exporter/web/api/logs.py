"""`GET /api/v1/logs` and `GET /api/v1/history`."""

import re
from dataclasses import dataclass
from typing import Any, get_args

from aiohttp import web

from exporter.logs.record import LEVELS, LogSource
from exporter.logs.tail import Tail
from exporter.metrics.history import INTERVAL, History
from exporter.web.responses import json_response

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_TEXT = 200
"""Characters of a search; two of the longest, encoded for a URL, fit into the 8 KiB of a request line."""
PARAMETERS = ("limit", "level", "model", "source", "search", "before")
SOURCES: tuple[LogSource, ...] = get_args(LogSource)


class LogsHandler:
    """Searches `tail`."""

    def __init__(self, tail: Tail) -> None:
        self._tail = tail

    async def get(self, request: web.Request) -> web.Response:
        """Records, newest first: `before` the `id` of the last one goes on from there."""
        query = request.query
        if unknown := sorted(set(query) - set(PARAMETERS)):
            raise web.HTTPBadRequest(text=f"unknown parameter {unknown[0]}; there are: {', '.join(PARAMETERS)}")
        limit = query.get("limit", str(DEFAULT_LIMIT))
        if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= MAX_LIMIT:
            raise web.HTTPBadRequest(text=f"limit has to be 1 to {MAX_LIMIT}")
        before = query.get("before")
        if before is not None and not re.fullmatch(r"[0-9]{1,18}", before):
            raise web.HTTPBadRequest(text="before has to be the id of a record")
        if any(len(query.get(name, "")) > MAX_TEXT for name in ("search", "model")):
            raise web.HTTPBadRequest(text=f"search and model have at most {MAX_TEXT} characters")
        level, source = _one_of(query.get("level"), "level", LEVELS), _one_of(query.get("source"), "source", SOURCES)
        found = self._tail.search(
            limit=int(limit),
            level=level,
            model=query.get("model"),
            source=source,
            text=query.get("search"),
            before=None if before is None else int(before),
        )
        body = b'{"records":[' + b",".join(found) + b"]}"
        return web.Response(body=body, content_type="application/json")


def _one_of(text: str | None, name: str, known: tuple[str, ...]) -> Any:
    if text is not None and text not in known:
        raise web.HTTPBadRequest(text=f"{name} {text!r} is none of: {', '.join(known)}")
    return text


@dataclass(frozen=True, slots=True)
class HistoryHandler:
    """Shows the points of `history`."""

    history: History

    async def get(self, _: web.Request) -> web.Response:
        """The points of the last quarter of an hour, oldest first."""
        return json_response({"interval_seconds": INTERVAL, "points": list(self.history.points)})
