"""`GET /api/v1/history`."""

from dataclasses import dataclass

from aiohttp import web

from exporter.history import INTERVAL, History
from exporter.web.body import json_response


@dataclass(frozen=True, slots=True)
class HistoryHandler:
    """Shows the points of `history`."""

    history: History

    async def get(self, _: web.Request) -> web.Response:
        """The points of the last quarter of an hour, oldest first."""
        return json_response({"interval_seconds": INTERVAL, "points": list(self.history.points)})
