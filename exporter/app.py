"""One exporter in one process: build, start, serve, stop."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from loguru import logger

from exporter.config import ConfigSource
from exporter.config.secrets import read_secret
from exporter.logs.output import LogOutput
from exporter.logs.own import to_output
from exporter.logs.record import text_lines
from exporter.parts import Parts, build
from exporter.reload import watch
from exporter.supervisor.process import reap_orphans
from exporter.supervisor.systemd import stay_alive
from exporter.tasks import DaemonThreads

OUTPUT_CLOSE_TIMEOUT = 5.0
LAST_RESORT = 10.0
"""Seconds after a second SIGTERM until the process ends without order; the guard then ends llama-server."""


class App:
    """One exporter, from the first loading of the configuration (`load` may raise `ConfigErrors`) to its end."""

    def __init__(self, load: ConfigSource, watched: Path | None = None) -> None:
        self._load = load
        self._watched = watched
        self._loaded = load()
        start, live = self._loaded.config.start.logs, self._loaded.config.live.logs
        as_text = text_lines(colour=sys.stdout.isatty()) if start.format == "text" else None
        self.output = LogOutput(
            sys.stdout.fileno(), buffer=start.buffer, level=live.level, tail=live.tail_lines, as_text=as_text
        )
        to_output(self.output, live.level)
        self._terminations = 0

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Return the exit code: 0 when stopped as asked, 1 when it could not run."""
        asyncio.get_running_loop().set_default_executor(DaemonThreads())
        start = self._loaded.config.start
        try:
            api_key = read_secret(start.server.api_key_file)
        except (OSError, ValueError) as error:
            logger.error("server.api_key_file: cannot be read: {}", error)
            return 1
        parts = build(self.output, self._loaded, self._load, api_key)
        try:
            await parts.web.start()
        except OSError as error:
            logger.error("web.listen_address: cannot listen on {}: {}", start.web.listen_address, error)
            return 1
        else:
            await self._serve(parts)
            return 0
        finally:
            await parts.web.stop()
            for client in parts.clients:
                await client.close()

    async def _serve(self, parts: Parts) -> None:
        """Run everything until the server is stopped for good. A task that fails goes on (`Border`)."""
        if self._loaded.config.start.server.autostart:
            parts.server.start()
        self._handle_signals(parts)
        forever = parts.border.keep_running
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(forever("models of llama-server", parts.poller.follow)),
                group.create_task(forever("requests of llama-server", parts.poller.watch)),
                group.create_task(forever("history", parts.history.run)),
                group.create_task(forever("systemd watchdog", lambda: stay_alive(parts.notifier))),
            ]
            if (watched := self._watched) is not None:
                watching = forever("configuration file", lambda: watch(watched, parts.reloader.reload))
                background.append(group.create_task(watching))
            parts.notifier.send("READY=1")
            await forever("supervisor", parts.server.run)
            parts.notifier.send("STOPPING=1")
            for task in background:
                task.cancel()

    def _handle_signals(self, parts: Parts) -> None:
        loop = asyncio.get_running_loop()

        def in_loop(call: Callable[[], object]) -> Callable[[int, object], None]:
            def handle(_number: int, _frame: object) -> None:
                loop.call_soon_threadsafe(call)

            return handle

        def terminate(number: int, frame: object) -> None:
            self._terminations += 1
            if self._terminations > 1:  # also when the loop is blocked
                last_resort = threading.Timer(LAST_RESORT, os._exit, (1,))
                last_resort.daemon = True
                last_resort.start()
            in_loop(parts.server.close)(number, frame)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, terminate)
        signal.signal(signal.SIGHUP, in_loop(parts.border.callback("reload", parts.reloader.reload)))
        if os.getpid() == 1:
            reap = parts.border.callback("reaper", lambda: reap_orphans(lambda: parts.server.snapshot.pid))
            signal.signal(signal.SIGCHLD, in_loop(reap))

    def close(self) -> None:
        """Write out what is left of the log."""
        self.output.close(OUTPUT_CLOSE_TIMEOUT)


def run(load: ConfigSource, watched: Path | None = None) -> int:
    """Run an exporter in this process until it is stopped. Raise `ConfigErrors` when it can't begin.

    A change of the file `watched` is a reload.
    """
    app = App(load, watched)
    try:
        return asyncio.run(app.run())
    finally:
        app.close()
