"""The settings as two types: `Start` is fixed while an exporter runs, `Live` is what a reload applies.

The keys that users write do not show the split: `server.attach` is `config.start.server.attach`, `server.args` is
`config.live.server.args`. Names, defaults and meanings are a public interface. Times are in seconds, sizes in bytes.
"""

from collections.abc import Iterator
from operator import attrgetter
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

Duration = Annotated[float, "duration"]
"""Seconds, greater than 0."""
Size = Annotated[int, "size"]
"""Bytes, greater than 0."""
Port = Annotated[int, "port"]
Count = Annotated[int, "count"]
"""An integer, at least 1."""
Address = Annotated[str, "address"]
"""HOST:PORT to listen on."""
Url = Annotated[str, "url"]
"""http://HOST:PORT without a path."""
Buckets = Annotated[tuple[float, ...], "buckets"]
"""Upper bounds of a histogram's buckets, increasing, without +Inf."""
Link = Annotated[str, "link"]
"""A URL for a browser, with any path."""
FilePath = Annotated[str, "path"]
"""A path; in a configuration file, relative to the file's directory."""
Detect = bool | Literal["auto"]
"""`auto`: no data if the hardware is missing. `true`: a failure if the hardware is missing."""


class StartServer(msgspec.Struct, frozen=True):
    """Whether the exporter runs llama-server itself, and how it authenticates to it."""

    attach: Url | None = None
    """A llama-server that something else runs; the exporter does not supervise it."""
    api_key_file: FilePath | None = None
    """File with llama-server's API key."""
    autostart: bool = True


class Web(msgspec.Struct, frozen=True):
    """The exporter's own HTTP server."""

    listen_address: Address = "127.0.0.1:9842"
    config_file: FilePath | None = None
    """File in the format of exporter-toolkit's `web.config`: TLS, passwords, headers."""
    control_token_file: FilePath | None = None
    """File with the control token. Without it, only clients on this machine can change anything."""
    grafana_url: Link | None = None
    """Target of the page's link to Grafana."""


class Collectors(msgspec.Struct, frozen=True):
    """Which sources are read."""

    host: bool = True
    container: bool = True
    process: bool = True
    gpu_nvidia: Detect = "auto"
    gpu_amd: Detect = "auto"
    """AMD, Intel and other GPUs that the kernel's DRM exposes."""


class StartMetrics(msgspec.Struct, frozen=True):
    """Which metrics exist."""

    collectors: Collectors = Collectors()
    buckets: dict[str, Buckets] = {}
    """Bucket bounds by name of the histogram."""


class StartLogs(msgspec.Struct, frozen=True):
    """How records are written to stdout."""

    buffer: Size = 64 * 1024 * 1024
    format: Literal["json", "text"] = "json"


class Start(msgspec.Struct, frozen=True):
    """Settings that a running exporter keeps until it is restarted."""

    server: StartServer = StartServer()
    web: Web = Web()
    metrics: StartMetrics = StartMetrics()
    logs: StartLogs = StartLogs()


class Restart(msgspec.Struct, frozen=True):
    """What to do when llama-server exits unexpectedly."""

    policy: Literal["always", "on-failure", "never"] = "always"
    initial_backoff: Duration = 1.0
    """Delay before the first restart; doubles with each consecutive failure."""
    max_backoff: Duration = 60.0
    give_up_after: Count = 10
    """After this many failures within `within`, the state is `failed` until a user starts llama-server."""
    within: Duration = 600.0


class HealthCheck(msgspec.Struct, frozen=True):
    """How to detect a llama-server that hangs."""

    interval: Duration = 2.0
    timeout: Duration = 5.0
    unresponsive_after: Duration = 60.0
    action: Literal["restart", "report"] = "restart"


class LiveServer(msgspec.Struct, frozen=True):
    """How to run llama-server."""

    binary: str = "llama-server"
    command: tuple[str, ...] | None = None
    """A command that replaces `binary`; `args` are appended."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: FilePath | None = None
    host: str = "127.0.0.1"
    port: Port = 8080
    start_timeout: Duration = 600.0
    stop_timeout: Duration = 40.0
    restart: Restart = Restart()
    health: HealthCheck = HealthCheck()


class LiveMetrics(msgspec.Struct, frozen=True):
    """How `/metrics` is computed."""

    rate_window: Duration = 10.0
    share_within: Duration = 1.0
    scrape_timeout: Duration = 5.0


class LiveLogs(msgspec.Struct, frozen=True):
    """Which records are written to stdout and kept."""

    level: Literal["debug", "info", "warn", "error"] = "info"
    prompts: bool = False
    """Write lines that contain user input."""
    tail_lines: Count = 10_000
    """Records kept for the page and the API."""


class Live(msgspec.Struct, frozen=True):
    """Settings that a reload applies."""

    server: LiveServer = LiveServer()
    metrics: LiveMetrics = LiveMetrics()
    logs: LiveLogs = LiveLogs()


def _keys(struct: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, kind in get_type_hints(struct, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, kind


START_KEYS = dict(_keys(Start))
"""The settings in `Start`: dotted key to type annotation."""
LIVE_KEYS = dict(_keys(Live))
"""The settings in `Live`: dotted key to type annotation."""
KEYS = {
    key: kind
    for section in Start.__struct_fields__
    for key, kind in (LIVE_KEYS | START_KEYS).items()
    if key.startswith(f"{section}.")
}
"""All settings, by section: server, web, metrics, logs."""


class Config(msgspec.Struct, frozen=True):
    """All settings. Both parts come from one load, or `start` from the running exporter and `live` from a reload."""

    start: Start = Start()
    live: Live = Live()

    def value(self, key: str) -> Any:
        """Return the setting with this dotted key."""
        return attrgetter(key)(self.start if key in START_KEYS else self.live)


def differences(before: Config, after: Config) -> list[str]:
    """Return the dotted keys whose values differ."""
    return [key for key in KEYS if before.value(key) != after.value(key)]
