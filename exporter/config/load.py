"""Put the configuration together: defaults < file < environment < flags."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from exporter.config import document
from exporter.config.document import ConfigError, ConfigErrors, unknown_key
from exporter.config.schema import KINDS, Config, Live, Start
from exporter.config.values import Plain, convert
from exporter.usage.histograms import BUCKETS

PREFIX = "LLAMA_EXPORTER_"
FLAGS = {
    "web.listen_address": "--web.listen-address",
    "web.config_file": "--web.config.file",
    "logs.level": "--log.level",
    "logs.format": "--log.format",
    "server.args": "arguments behind --",
}


class Loaded(NamedTuple):
    """The settings, and where each comes from: dotted key to default, file, environment or flag."""

    config: Config
    origins: dict[str, str]


SECTIONS = frozenset(key[:end] for key in KINDS for end in range(len(key)) if key[end] == ".")
VARIABLES = {PREFIX + key.upper().replace(".", "__"): key for key in KINDS}


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Loaded:
    """The configuration in force. Raise `ConfigErrors` with every error that it has."""
    layers = _Layers()
    if file is not None:
        layers.add_file(file)
    layers.add_environment(environ)
    layers.add_flags(flags)
    errors = layers.errors + list(_contradictions(layers.values))
    if errors:
        raise ConfigErrors(errors)
    config = Config(_build(Start, layers.values), _build(Live, layers.values))
    return Loaded(config, layers.origins)


class _Layers:
    """Values by dotted key, where the later layer wins."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins = dict.fromkeys(KINDS, "default")
        self.errors: list[ConfigError] = []

    def add_file(self, file: Path) -> None:
        found = document.read(file, SECTIONS)
        self.errors += found.errors
        for key, entry in found.entries.items():
            where = f"{file}:{entry.line}"
            if key in KINDS:
                self._take(key, _resolved(entry.value, KINDS[key], file.parent), where, "file")
            elif key not in SECTIONS:
                self.errors.append(ConfigError(where, key, unknown_key(key, [*KINDS, *SECTIONS])))
            elif entry.value is not None:
                self.errors.append(ConfigError(where, key, "has to be a mapping of settings"))

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in environ.items():
            if not name.startswith(PREFIX):
                continue
            if key := VARIABLES.get(name):
                try:
                    self._take(key, _from_text(text, KINDS[key]), name, "environment")
                except ValueError as error:
                    self.errors.append(ConfigError(name, key, str(error)))
            else:
                meant = name.removeprefix(PREFIX).lower().replace("__", ".")
                self.errors.append(ConfigError(name, "", unknown_key(meant, KINDS)))

    def add_flags(self, flags: Mapping[str, object]) -> None:
        for key, value in flags.items():
            plain: Plain = [str(item) for item in value] if isinstance(value, list | tuple) else str(value)
            self._take(key, plain, FLAGS.get(key, key), "flag")

    def _take(self, key: str, plain: Plain, where: str, origin: str) -> None:
        if plain is None:
            return  # an empty value is the default
        try:
            self.values[key] = convert(plain, KINDS[key])
            self.origins[key] = origin
        except ValueError as error:
            self.errors.append(ConfigError(where, key, str(error)))


def _build(struct: type[Any], values: Mapping[str, Any], prefix: str = "") -> Any:
    """Return a `struct` with the values of its dotted keys; other keys are ignored."""
    arguments: dict[str, Any] = {}
    for name, kind in get_type_hints(struct).items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            arguments[name] = _build(kind, values, f"{prefix}{name}.")
        elif prefix + name in values:
            arguments[name] = values[prefix + name]
    return struct(**arguments)


def _inner(kind: Any) -> Any:
    """The type inside `X | None`."""
    arguments = [argument for argument in get_args(kind) if argument is not type(None)]
    return arguments[0] if type(None) in get_args(kind) else kind


def _resolved(plain: Plain, kind: Any, folder: Path) -> Plain:
    """A path of a file's is relative to the file."""
    inner = _inner(kind)
    if isinstance(plain, str) and get_origin(inner) is Annotated and inner.__metadata__ == ("path",):
        return str(folder / plain)
    return plain


def _from_text(text: str, kind: Any) -> Plain:
    """Lists and mappings of the environment are YAML; a list may also be words as for a shell."""
    origin = get_origin(_inner(kind))
    if origin is tuple and not text.lstrip().startswith("["):
        return list(shlex.split(text))
    return document.parse_value(text) if origin in (tuple, dict) else text


def _contradictions(values: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Settings that are good alone and bad together."""
    if "server.binary" in values and values.get("server.command") is not None:
        yield ConfigError("", "server.command", "replaces server.binary: give one of them")
    if values.get("server.command") == ():
        yield ConfigError("", "server.command", "is empty")
    for name in values.get("metrics.buckets", {}):
        if name not in BUCKETS:
            yield ConfigError("", f"metrics.buckets.{name}", unknown_key(name, BUCKETS))
    restart = Live().server.restart
    initial = values.get("server.restart.initial_backoff", restart.initial_backoff)
    if initial > (longest := values.get("server.restart.max_backoff", restart.max_backoff)):
        yield ConfigError("", "server.restart.initial_backoff", f"{initial:g} s is above max_backoff, {longest:g} s")


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """A file (None when there is none), the environment, and flags. Called, it loads them; see `load`."""

    file: Path | None
    environ: Mapping[str, str]
    flags: Mapping[str, object]

    def __call__(self) -> Loaded:
        """The configuration as it is now. Raise `ConfigErrors`."""
        return self.with_file(self.file)

    def with_file(self, file: Path | None) -> Loaded:
        """As it would be with another file. Raise `ConfigErrors`."""
        return load(file, self.environ, self.flags)
