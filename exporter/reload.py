"""Apply a changed configuration to a running exporter: all of it or nothing, and llama-server only if it must."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from exporter.config import KINDS, Config, ConfigErrors, Loaded
from exporter.logs.output import LogOutput

WATCH_INTERVAL = 2.0
AT_START_ONLY = frozenset(
    {
        "server.attach",
        "server.api_key_file",
        "server.autostart",
        "web.listen_address",
        "web.config_file",
        "web.control_token_file",
        "metrics.collectors.host",
        "metrics.collectors.container",
        "metrics.collectors.process",
        "metrics.buckets",
        "metrics.collectors.gpu_nvidia",
        "metrics.collectors.gpu_amd",
        "logs.buffer",
        "logs.format",
    }
)
"""Settings that a running exporter keeps as they were; the rest changes live."""


def value(config: Config, key: str) -> object:
    """The setting with this dotted key."""
    found: object = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


PROCESS_KEYS = tuple(f"server.{name}" for name in ("binary", "command", "args", "env", "cwd", "host", "port"))
"""Settings that a process is started with: when one differs, only a new process helps."""


def needs_new_process(before: Config, after: Config) -> bool:
    """Whether only a new process takes over the difference."""
    return any(value(before, key) != value(after, key) for key in PROCESS_KEYS)


@dataclass(slots=True)
class Reloader:
    """Loads anew with `load`, and hands the result to `apply` with whether llama-server has to be started anew.

    `current` is what is in force, `origins` where each of its settings comes from.
    """

    load: Callable[[], Loaded]
    apply: Callable[[Config, bool], None]
    log: LogOutput
    current: Config
    origins: dict[str, str]
    successful: bool = True
    succeeded_at: float = 0.0

    def reload(self) -> ConfigErrors | None:
        """Reload; the errors when there are any, and then nothing has changed."""
        try:
            config, origins = self.load()
        except ConfigErrors as errors:
            self.successful = False
            for error in errors.errors:
                logger.error("reload: {}", error)
            return errors
        changed = [key for key in KINDS if value(config, key) != value(self.current, key)]
        ignored = sorted(AT_START_ONLY.intersection(changed))
        restart = needs_new_process(self.current, config)
        self.apply(config, restart)
        self.current, self.origins = config, origins
        self.successful = True
        self.succeeded_at = time.time()
        if ignored:
            logger.warning("reload: {} will change when the exporter is started anew", ", ".join(ignored))
        self.log.event("config_reloaded", "configuration reloaded", changed=changed, restart=restart)
        return None


async def watch(file: Path, reload: Callable[[], object], interval: float = WATCH_INTERVAL) -> None:
    """Reload whenever `file` has another content or is another file, until cancelled.

    Looks at the file every `interval` seconds: mounted ConfigMaps and editors that replace a file defeat notification.
    """
    before = _stamp(file)
    while True:
        await asyncio.sleep(interval)
        now = _stamp(file)
        if now != before and now is not None:
            before = now
            reload()


def _stamp(file: Path) -> tuple[int, int, int] | None:
    """What changes with a file; None while there is none, as in the middle of its replacement."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
