"""One exporter in one process: its log first, then its parts, then the log again."""

import asyncio
import sys
from pathlib import Path

from loguru import logger

from exporter.config import ConfigSource
from exporter.config.secrets import read_secret
from exporter.llama.client import LlamaClient
from exporter.logs.output import text_lines
from exporter.logs.own import to_stream
from exporter.logs.stream import LogStream
from exporter.parts import Parts
from exporter.supervisor.command import base_url

SINK_CLOSE_TIMEOUT = 5.0


class App:
    """One exporter, from the first loading of the configuration (`load` may raise `ConfigErrors`) to its end."""

    def __init__(self, load: ConfigSource, watched: Path | None = None) -> None:
        self._load = load
        self._watched = watched
        self._loaded = load()
        self._config = config = self._loaded.config
        output, logs = config.start.logs, config.live.logs
        as_text = text_lines(colour=sys.stdout.isatty()) if output.format == "text" else None
        self.log = LogStream(
            sys.stdout.fileno(), buffer=output.buffer, level=logs.level, tail=logs.tail_lines, as_text=as_text
        )
        self.log.prompts = logs.prompts
        to_stream(self.log, logs.level)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code: 0 when stopped as asked, 1 when it could not run."""
        try:
            api_key = read_secret(self._config.start.server.api_key_file)
        except (OSError, ValueError) as error:
            logger.error("server.api_key_file: cannot be read: {}", error)
            return 1
        url, live = base_url(self._config), self._config.live
        timeout, health_timeout = live.metrics.scrape_timeout, live.server.health.timeout
        async with (
            LlamaClient(url, timeout=timeout, api_key=api_key, asking=self.log.access.asked) as client,
            LlamaClient(url, timeout=health_timeout, asking=self.log.access.asked) as health_client,
        ):
            parts = Parts(self.log, self._loaded, self._load, client, health_client, api_key, self._watched)
            return await parts.run()

    def close(self) -> None:
        """Write out what is left of the log."""
        self.log.close(SINK_CLOSE_TIMEOUT)


def run(load: ConfigSource, watched: Path | None = None) -> int:
    """Run an exporter in this process until it is told to stop. Raise `ConfigErrors` when it can't begin.

    A change of the file `watched` is a reload.
    """
    app = App(load, watched)
    try:
        return asyncio.run(app.run())
    finally:
        app.close()
