"""Apply a changed configuration to a running exporter: all of it or nothing, and llama-server only if it must."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from loguru import logger

from exporter.config import KINDS, Config, ConfigErrors, Loaded, Server
from exporter.logs.stream import LogStream

AT_START_ONLY = frozenset(
    {
        "server.attach",
        "server.api_key_file",
        "server.autostart",
        "web.listen_address",
        "metrics.collectors.host",
        "metrics.collectors.container",
        "metrics.collectors.process",
        "logs.buffer",
    }
)
"""Settings that a running exporter keeps as they were; the rest changes live."""


def value(config: Config, key: str) -> object:
    """The setting with this dotted key."""
    found: object = config
    for part in key.split("."):
        found = getattr(found, part)
    return found


def process_settings(server: Server) -> tuple[object, ...]:
    """What the process was started with: when this differs, only a new process helps."""
    return (server.binary, server.command, server.args, tuple(server.env.items()), server.cwd, server.host, server.port)


@dataclass(slots=True)
class Reloader:
    """Loads anew with `load`, and hands the result to `apply` with whether llama-server has to be started anew."""

    load: Callable[[], Loaded]
    apply: Callable[[Config, bool], None]
    log: LogStream
    current: Config
    successful: bool = True
    succeeded_at: float = 0.0

    def reload(self) -> ConfigErrors | None:
        """Reload; the errors when there are any, and then nothing has changed."""
        try:
            config = self.load().config
        except ConfigErrors as errors:
            self.successful = False
            for error in errors.errors:
                logger.error("reload: {}", error)
            return errors
        changed = [key for key in KINDS if value(config, key) != value(self.current, key)]
        ignored = sorted(AT_START_ONLY.intersection(changed))
        restart = process_settings(config.server) != process_settings(self.current.server)
        self.apply(config, restart)
        self.current = config
        self.successful = True
        self.succeeded_at = time.time()
        if ignored:
            logger.warning("reload: {} will change when the exporter is started anew", ", ".join(ignored))
        self.log.event("config_reloaded", "configuration reloaded", changed=changed, restart=restart)
        return None
