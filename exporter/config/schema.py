"""The settings: one typed tree. Names, meanings and defaults are the interface; times are seconds, sizes bytes."""

from typing import Annotated, Literal

import msgspec

Duration = Annotated[float, "duration"]
"""Seconds, above 0."""
Size = Annotated[int, "size"]
"""Bytes, above 0."""
Port = Annotated[int, "port"]
Count = Annotated[int, "count"]
"""A whole number, at least 1."""
Address = Annotated[str, "address"]
"""HOST:PORT to listen on."""
Url = Annotated[str, "url"]
"""http://HOST:PORT without a path."""
Buckets = Annotated[tuple[float, ...], "buckets"]
"""Upper bounds of buckets, rising; +Inf is added."""
Link = Annotated[str, "link"]
"""An address for a browser, with any path."""
FilePath = Annotated[str, "path"]
"""A path; in a configuration file relative to the file's folder."""


class Restart(msgspec.Struct, frozen=True):
    """What to do when llama-server ends by itself."""

    policy: Literal["always", "on-failure", "never"] = "always"
    initial_backoff: Duration = 1.0
    """Pause before the first new start; doubles with every failure in a row."""
    max_backoff: Duration = 60.0
    give_up_after: Count = 10
    """So many failures within `within` are too many: failed, until somebody asks."""
    within: Duration = 600.0


class HealthCheck(msgspec.Struct, frozen=True):
    """How to find a server that hangs."""

    interval: Duration = 2.0
    timeout: Duration = 5.0
    unresponsive_after: Duration = 60.0
    action: Literal["restart", "report"] = "restart"


class Server(msgspec.Struct, frozen=True):
    """How to run llama-server, or where to find one that runs."""

    binary: str = "llama-server"
    command: tuple[str, ...] | None = None
    """A command instead of `binary`; `args` are appended."""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: FilePath | None = None
    host: str = "127.0.0.1"
    port: Port = 8080
    api_key_file: FilePath | None = None
    """File with llama-server's API key."""
    attach: Url | None = None
    """A server that something else runs: not supervised."""
    autostart: bool = True
    start_timeout: Duration = 600.0
    stop_timeout: Duration = 40.0
    restart: Restart = Restart()
    health: HealthCheck = HealthCheck()


class Web(msgspec.Struct, frozen=True):
    """The exporter's own HTTP server."""

    listen_address: Address = "127.0.0.1:9842"
    config_file: FilePath | None = None
    """File in the format of exporter-toolkit's `web.config`: TLS, passwords, headers."""
    control_token_file: FilePath | None = None
    """File with the token that whoever changes something has to give. Without one, only this machine may."""
    grafana_url: Link | None = None
    """Where the page's link to the boards leads."""


Wanted = bool | Literal["auto"]
"""With `auto` nothing is said when there is none, with true it is a failure."""


class Collectors(msgspec.Struct, frozen=True):
    """Which sources are read."""

    host: bool = True
    container: bool = True
    process: bool = True
    gpu_nvidia: Wanted = "auto"
    gpu_amd: Wanted = "auto"
    """GPUs of AMD, Intel and others that the kernel's DRM shows."""


class Metrics(msgspec.Struct, frozen=True):
    """What `/metrics` holds, and when."""

    rate_window: Duration = 10.0
    share_within: Duration = 1.0
    scrape_timeout: Duration = 5.0
    collectors: Collectors = Collectors()
    buckets: dict[str, Buckets] = {}
    """Bounds of a histogram's buckets by its name."""


class Logs(msgspec.Struct, frozen=True):
    """What goes to stdout."""

    format: Literal["json", "text"] = "json"
    level: Literal["debug", "info", "warn", "error"] = "info"
    prompts: bool = False
    """Ship lines that carry users' words."""
    buffer: Size = 64 * 1024 * 1024
    tail_lines: Count = 10_000
    """Records that the page and the API can show."""


class Config(msgspec.Struct, frozen=True):
    """All settings."""

    server: Server = Server()
    web: Web = Web()
    metrics: Metrics = Metrics()
    logs: Logs = Logs()
