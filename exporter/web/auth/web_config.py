"""The file `web.config_file` in the format of Prometheus' exporter-toolkit: TLS, passwords, headers.

Format: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. What of it this server
can't do is refused with a reason, so that nobody believes in a lock that is not there.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from exporter.config import ConfigError, ConfigErrors
from exporter.config.document import read, unknown_key
from exporter.config.values import Plain, convert

ClientAuth = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
Version = Literal["TLS12", "TLS13"]
KINDS: dict[str, Any] = {
    "tls_server_config.cert_file": str,
    "tls_server_config.key_file": str,
    "tls_server_config.client_auth_type": ClientAuth,
    "tls_server_config.client_ca_file": str,
    "tls_server_config.min_version": Version,
    "http_server_config.http2": bool,
    "http_server_config.headers": dict[str, str],
    "basic_auth_users": dict[str, str],
}
FILES = tuple(key for key in KINDS if key.endswith("_file"))
SECTIONS = frozenset({"tls_server_config", "http_server_config"})
TLS = "tls_server_config."
NOT_HERE = {
    **dict.fromkeys((f"{TLS}cert", f"{TLS}key", f"{TLS}client_ca"), "is read from a file only: use {}_file"),
    **dict.fromkeys(
        (
            *(f"{TLS}{name}" for name in ("max_version", "cipher_suites", "curve_preferences")),
            *(f"{TLS}{name}" for name in ("prefer_server_cipher_suites", "client_allowed_sans")),
            *("rate_limit", "rate_limit.interval", "rate_limit.burst"),
        ),
        "is exporter-toolkit's, and this server does not have it: remove it",
    ),
}
HEADERS = (
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "X-Content-Type-Options",
    "X-Frame-Options",
    "X-XSS-Protection",
)
BCRYPT = re.compile(r"\$2[abxy]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")
MAKE_A_HASH = "make one with: htpasswd -nBC 10 USER"


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """Files of the server's certificate and key, and how to treat certificates of clients."""

    certificate: Path
    key: Path
    client_auth: ClientAuth = "NoClientCert"
    client_ca: Path | None = None
    min_version: Version = "TLS12"

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path is not None)


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says: TLS (None: plain HTTP), headers to add, bcrypt hashes by user (empty: no passwords)."""

    tls: TLSFiles | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)


def read_web_config(file: Path) -> WebConfig:
    """Read the file. Raise `ConfigErrors` with every error that it has."""
    found = read(file, SECTIONS)
    errors, values = list(found.errors), dict[str, Any]()
    for key, plain in found.values.items():
        where = f"{file}:{found.lines[key]}"
        try:
            if key in KINDS:
                values[key] = _value(key, plain, file.parent)
            else:
                reason = NOT_HERE.get(key) or unknown_key(key, [*KINDS, *SECTIONS])
                errors.append(ConfigError(where, key, reason.format(key)))
        except ValueError as error:
            errors.append(ConfigError(where, key, str(error)))
    tls_keys = [key for key in found.values if key.startswith(TLS)]
    if tls_keys or "tls_server_config" in found.lines:
        errors += [ConfigError(str(file), key, message) for key, message in _tls_contradictions(values).items()]
    if errors:
        raise ConfigErrors(errors)
    given = {key: value for key, value in values.items() if value is not None}
    return WebConfig(
        tls=_tls(given) if tls_keys else None,
        headers=given.get("http_server_config.headers", {}),
        users=given.get("basic_auth_users", {}),
    )


def _value(key: str, plain: Plain, folder: Path) -> Any:
    """The value of a key that is known. Raise `ValueError`; it shows no value that may be a password."""
    if plain is None:
        return None  # an empty value is the default
    value = convert(plain, KINDS[key])
    if key in FILES:
        return folder / value
    if key == "basic_auth_users":
        for user, hashed in value.items():
            if not BCRYPT.fullmatch(hashed):
                raise ValueError(f"the value of user {user!r} is not a bcrypt hash; {MAKE_A_HASH}")
    if key == "http_server_config.headers":
        for name, text in value.items():
            if name not in HEADERS:
                raise ValueError(f"{name!r} is none of: {', '.join(HEADERS)}")
            if not text.isascii() or not text.isprintable():
                raise ValueError(f"the value of {name} has characters that a header can't have")
    return value


def _tls_contradictions(values: Mapping[str, Any]) -> dict[str, str]:
    """What TLS lacks, by key."""
    wrong = {f"{TLS}{name}": "is needed for TLS" for name in ("cert_file", "key_file") if not values.get(TLS + name)}
    verifies = values.get(f"{TLS}client_auth_type") in ("VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
    authority = values.get(f"{TLS}client_ca_file")
    if verifies and not authority:
        wrong[f"{TLS}client_ca_file"] = "is needed to verify certificates of clients"
    if authority and not verifies:
        wrong[f"{TLS}client_auth_type"] = "has to be RequireAndVerifyClientCert for client_ca_file to have an effect"
    return wrong


def _tls(values: Mapping[str, Any]) -> TLSFiles:
    return TLSFiles(
        certificate=values[f"{TLS}cert_file"],
        key=values[f"{TLS}key_file"],
        client_auth=values.get(f"{TLS}client_auth_type", "NoClientCert"),
        client_ca=values.get(f"{TLS}client_ca_file"),
        min_version=values.get(f"{TLS}min_version", "TLS12"),
    )
