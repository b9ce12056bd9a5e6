"""The files that lock the HTTP server: read, checked, and read again when they change."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.config import ConfigError, ConfigErrors, Web
from exporter.config.secret import read_secret
from exporter.web.tls import server_context
from exporter.web.webconfig import WebConfig, read_web_config

MIN_TOKEN = 16
TOKEN_KEY = "web.control_token_file"  # noqa: S105 -- the name of a setting


@dataclass(frozen=True, slots=True)
class Locks:
    """What the files say: `web.config`, a TLS context of it (None: plain HTTP), the control token (None: none)."""

    web: WebConfig
    tls: ssl.SSLContext | None
    token: str | None
    files: tuple[Path, ...]
    """Every file that was read."""


def read_locks(settings: Web) -> Locks:
    """Read the files that the settings name. Raise `ConfigErrors` with what is wrong."""
    file = None if settings.config_file is None else Path(settings.config_file)
    web = WebConfig() if file is None else read_web_config(file)
    named = (file, *(web.tls.paths if web.tls else ()), settings.control_token_file)
    return Locks(
        web=web,
        tls=server_context(web.tls) if web.tls else None,
        token=_read_token(settings.control_token_file),
        files=tuple(Path(name) for name in named if name is not None),
    )


def stamps(files: Iterable[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """What changes with each of these files; None for one that is not there."""
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read_token(file: str | None) -> str | None:
    try:
        token = read_secret(file)
    except (OSError, ValueError) as error:
        raise ConfigErrors([ConfigError("", TOKEN_KEY, f"cannot be read: {error}")]) from None
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
        advice = "make one with: openssl rand -hex 32"
        raise ConfigErrors([ConfigError(str(file), TOKEN_KEY, f"needs {MIN_TOKEN} plain characters or more; {advice}")])
    return token
