"""Reload the configuration of a running exporter: apply all live settings, or none if there is an error."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from loguru import logger

from exporter.config import START_KEYS, Config, ConfigErrors, Live, Loaded, differences
from exporter.logs.output import LogOutput

WATCH_INTERVAL = 2.0
PROCESS_KEYS = tuple(f"server.{name}" for name in ("binary", "command", "args", "env", "cwd", "host", "port"))
"""Settings that llama-server gets when it starts: a change needs a new process."""
_process_settings = attrgetter(*PROCESS_KEYS)


def needs_new_process(before: Live, after: Live) -> bool:
    """Return whether llama-server must be restarted to apply the difference."""
    return bool(_process_settings(before) != _process_settings(after))


@dataclass(slots=True)
class Reloader:
    """Loads the configuration again with `load` and passes its live part to `apply(live, restart)`.

    `restart` is whether llama-server needs a new process. `current` holds the settings in force: `current.start` never
    changes. `origins` says where each setting in force comes from, by dotted key.
    """

    load: Callable[[], Loaded]
    apply: Callable[[Live, bool], None]
    log: LogOutput
    current: Config
    origins: dict[str, str]
    successful: bool = True
    succeeded_at: float = 0.0

    def reload(self) -> ConfigErrors | None:
        """Reload. Return the errors, in which case nothing has changed, or None."""
        try:
            loaded = self.load()
        except ConfigErrors as errors:
            self.successful = False
            for error in errors.errors:
                logger.error("reload: {}", error)
            return errors
        before, live = self.current, loaded.config.live
        restart = before.start.server.attach is None and needs_new_process(before.live, live)
        self.apply(live, restart)
        self.current = Config(before.start, live)
        self.origins = loaded.origins | {key: self.origins[key] for key in START_KEYS}
        self.successful = True
        self.succeeded_at = time.time()
        if pending := differences(self.current, loaded.config):
            logger.warning("reload: restart the exporter to apply {}", ", ".join(pending))
        changed = differences(before, self.current)
        self.log.event("config_reloaded", "configuration reloaded", changed=changed, restart=restart)
        return None


async def watch(file: Path, reload: Callable[[], object], interval: float = WATCH_INTERVAL) -> None:
    """Call `reload` whenever `file` changes or is replaced, until cancelled.

    Checks every `interval` seconds: inotify misses mounted ConfigMaps and editors that replace a file.
    """
    before = stamp(file)
    while True:
        await asyncio.sleep(interval)
        now = stamp(file)
        if now != before and now is not None:
            before = now
            reload()


def stamp(file: Path) -> tuple[int, int, int] | None:
    """Return what identifies the content of a file, or None if there is no file, as while it is being replaced."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
