"""`GET /metrics`."""

import gzip
import math

from aiohttp import web

from exporter.metrics.exposition import negotiate, render
from exporter.metrics.scrape import Scraper, families_of

TIMEOUT_HEADER = "X-Prometheus-Scrape-Timeout-Seconds"
OFFSET = 0.5
"""Seconds before Prometheus' own timeout at which the page must be on its way."""
GZIP_LEVEL = 1
"""A page shrinks to a seventh at the lowest level; higher ones cost more time than the network saves."""


class MetricsHandler:
    """Answers a scrape. `timeout` is the deadline in seconds for scrapers that name none of their own."""

    def __init__(self, scraper: Scraper, timeout: float) -> None:
        self._scraper = scraper
        self.timeout = timeout

    async def get(self, request: web.Request) -> web.Response:
        """The page, in the format and encoding that the scraper asks for; `collect[]` picks collectors."""
        only = frozenset(request.query.getall("collect[]", []))
        if unknown := sorted(only - set(self._scraper.names)):
            raise web.HTTPBadRequest(
                text=f"unknown collector {', '.join(unknown)}; there are: {', '.join(self._scraper.names)}\n"
            )
        outcomes = await self._scraper.scrape(self._deadline(request), only)
        if request.query.get("debug") == "true":
            lines = [
                f"{outcome.collector:<12} {outcome.seconds * 1e3:8.2f} ms  "
                f"{sum(len(family.samples) for family in outcome.families):6} samples  {outcome.error or 'ok'}"
                for outcome in outcomes
            ]
            return web.Response(text="\n".join(lines) + "\n")
        content_type = negotiate(request.headers.get("Accept", ""))
        body = render(families_of(outcomes), content_type)
        headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, GZIP_LEVEL, mtime=0)
        return web.Response(body=body, headers=headers)

    def _deadline(self, request: web.Request) -> float:
        """Seconds that the collectors have: what Prometheus allows less an offset, our own setting otherwise."""
        try:
            allowed = float(request.headers.get(TIMEOUT_HEADER, ""))
        except ValueError:
            return self.timeout
        if not math.isfinite(allowed) or allowed <= 0:
            return self.timeout
        return min(self.timeout, max(allowed - OFFSET, allowed / 2))
