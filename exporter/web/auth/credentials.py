"""The files that protect the HTTP server: read, checked, and read again when they change."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from exporter.config import ConfigError, ConfigErrors, Web
from exporter.config.secrets import read_secret
from exporter.reload import stamp
from exporter.web.auth.web_config import TLS, ClientAuth, TLSFiles, Version, WebConfig, read_web_config

MIN_TOKEN = 16
TOKEN_KEY = "web.control_token_file"  # noqa: S105 -- the name of a setting


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the files say: `web.config`, a TLS context of it (None: plain HTTP), the control token (None: none)."""

    web: WebConfig
    tls: ssl.SSLContext | None
    token: str | None
    files: tuple[Path, ...]
    """Every file that was read."""


def read_credentials(settings: Web) -> Credentials:
    """Read the files that the settings name. Raise `ConfigErrors` with what is wrong."""
    file = None if settings.config_file is None else Path(settings.config_file)
    web = WebConfig() if file is None else read_web_config(file)
    named = (file, *(web.tls.paths if web.tls else ()), settings.control_token_file)
    return Credentials(
        web=web,
        tls=server_context(web.tls) if web.tls else None,
        token=_read_token(settings.control_token_file),
        files=tuple(Path(name) for name in named if name is not None),
    )


def stamps(files: Iterable[Path]) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what identifies the content of each of these files; None for one that is missing."""
    return tuple(stamp(file) for file in files)


def _read_token(file: str | None) -> str | None:
    try:
        token = read_secret(file)
    except (OSError, ValueError) as error:
        raise ConfigErrors([ConfigError("", TOKEN_KEY, f"cannot be read: {error}")]) from None
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii() or not token.isprintable()):
        advice = "make one with: openssl rand -hex 32"
        raise ConfigErrors([ConfigError(str(file), TOKEN_KEY, f"needs {MIN_TOKEN} plain characters or more; {advice}")])
    return token


VERSIONS: dict[Version, ssl.TLSVersion] = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFY: dict[ClientAuth, ssl.VerifyMode] = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


def server_context(files: TLSFiles) -> ssl.SSLContext:
    """A context for a server. Raise `ConfigErrors` when a file can't be read, or the key is another certificate's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[files.min_version]
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key with a password would be asked for at a terminal that nobody sits at: it is wrong instead.
        context.load_cert_chain(files.certificate, files.key, password=str)
    except (OSError, ValueError) as error:
        message = f"{files.certificate} with the key {files.key} cannot be used: {_reason(error)}"
        raise ConfigErrors([ConfigError("", f"{TLS}cert_file", message)]) from None
    context.verify_mode = VERIFY[files.client_auth]
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ValueError) as error:
            message = f"{files.client_ca} cannot be used: {_reason(error)}"
            raise ConfigErrors([ConfigError("", f"{TLS}client_ca_file", message)]) from None
    return context


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
