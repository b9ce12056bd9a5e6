"""One exporter in one process: its log first, then its parts, then the log again."""

import asyncio
import sys
from pathlib import Path

from loguru import logger

from exporter.config import Source
from exporter.config.secrets import read_secret
from exporter.llama.client import LlamaClient
from exporter.logs.output import LogOutput
from exporter.logs.own import to_output
from exporter.logs.record import text_lines
from exporter.parts import Parts
from exporter.supervisor.command import base_url

SINK_CLOSE_TIMEOUT = 5.0


class App:
    """One exporter, from the first loading of the configuration (`load` may raise `ConfigErrors`) to its end."""

    def __init__(self, load: Source, watched: Path | None = None) -> None:
        self._load = load
        self._watched = watched
        self._loaded = load()
        self._config = config = self._loaded.config
        logs = config.logs
        as_text = text_lines(colour=sys.stdout.isatty()) if logs.format == "text" else None
        self.log = LogOutput(
            sys.stdout.fileno(), buffer=logs.buffer, level=logs.level, tail=logs.tail_lines, as_text=as_text
        )
        to_output(self.log, config.logs.level)

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code: 0 when stopped as asked, 1 when it could not run."""
        server = self._config.server
        try:
            api_key = read_secret(server.api_key_file)
        except (OSError, ValueError) as error:
            logger.error("server.api_key_file: cannot be read: {}", error)
            return 1
        timeout = self._config.metrics.scrape_timeout

        def asked(path: str) -> None:
            parts.server_log.asked(path)

        async with (
            LlamaClient(base_url(server), timeout=timeout, api_key=api_key, asking=asked) as client,
            LlamaClient(base_url(server), timeout=server.health.timeout, asking=asked) as health_client,
        ):
            parts = Parts(self.log, self._loaded, self._load, client, health_client, api_key, self._watched)
            return await parts.run()

    def close(self) -> None:
        """Write out what is left of the log."""
        self.log.close(SINK_CLOSE_TIMEOUT)


def run(load: Source, watched: Path | None = None) -> int:
    """Run an exporter in this process until it is told to stop. Raise `ConfigErrors` when it can't begin.

    A change of the file `watched` is a reload.
    """
    app = App(load, watched)
    try:
        return asyncio.run(app.run())
    finally:
        app.close()
