"""Load the configuration: flags override the environment, the environment the file, the file the defaults."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from exporter.config import document
from exporter.config.document import ConfigError, ConfigErrors, unknown_key
from exporter.config.schema import KEYS, Config, Live, Start
from exporter.config.values import Plain, convert
from exporter.usage.histograms import BUCKETS

PREFIX = "LLAMA_EXPORTER_"
FLAGS = {
    "web.listen_address": "--web.listen-address",
    "web.config_file": "--web.config.file",
    "logs.level": "--log.level",
    "logs.format": "--log.format",
    "server.args": "arguments after --",
}


class Loaded(NamedTuple):
    """The settings, and the origin of each by dotted key: default, file, environment or flag."""

    config: Config
    origins: dict[str, str]


SECTIONS = frozenset(key[:end] for key in KEYS for end in range(len(key)) if key[end] == ".")
VARIABLES = {PREFIX + key.upper().replace(".", "__"): key for key in KEYS}


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Loaded:
    """Return the settings. Raise `ConfigErrors` with all errors."""
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
    """Values by dotted key; a layer overrides those added before it."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins = dict.fromkeys(KEYS, "default")
        self.errors: list[ConfigError] = []

    def add_file(self, file: Path) -> None:
        found = document.read(file, SECTIONS)
        self.errors += found.errors
        for key, plain in found.values.items():
            where = f"{file}:{found.lines[key]}"
            if key in KEYS:
                self._take(key, _resolved(plain, KEYS[key], file.parent), where, "file")
            else:
                self.errors.append(ConfigError(where, key, unknown_key(key, [*KEYS, *SECTIONS])))

    def add_environment(self, environ: Mapping[str, str]) -> None:
        for name, text in environ.items():
            if not name.startswith(PREFIX):
                continue
            if key := VARIABLES.get(name):
                try:
                    self._take(key, _from_text(text, KEYS[key]), name, "environment")
                except ValueError as error:
                    self.errors.append(ConfigError(name, key, str(error)))
            else:
                meant = name.removeprefix(PREFIX).lower().replace("__", ".")
                self.errors.append(ConfigError(name, "", unknown_key(meant, KEYS)))

    def add_flags(self, flags: Mapping[str, object]) -> None:
        for key, value in flags.items():
            plain: Plain = [str(item) for item in value] if isinstance(value, list | tuple) else str(value)
            self._take(key, plain, FLAGS.get(key, key), "flag")

    def _take(self, key: str, plain: Plain, where: str, origin: str) -> None:
        if plain is None:
            return  # an empty value keeps the default
        try:
            self.values[key] = convert(plain, KEYS[key])
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
    """Return X for `X | None`, and any other type as it is."""
    arguments = [argument for argument in get_args(kind) if argument is not type(None)]
    return arguments[0] if type(None) in get_args(kind) else kind


def _resolved(plain: Plain, kind: Any, folder: Path) -> Plain:
    """Resolve a relative path against the directory of the configuration file."""
    inner = _inner(kind)
    if isinstance(plain, str) and get_origin(inner) is Annotated and inner.__metadata__ == ("path",):
        return str(folder / plain)
    return plain


def _from_text(text: str, kind: Any) -> Plain:
    """Parse a variable: lists and mappings are YAML; a list can also be words, split as a shell splits them."""
    origin = get_origin(_inner(kind))
    if origin is tuple and not text.lstrip().startswith("["):
        return list(shlex.split(text))
    return document.parse_value(text) if origin in (tuple, dict) else text


def _contradictions(values: Mapping[str, Any]) -> Iterator[ConfigError]:
    """Find settings that cannot be combined."""
    if "server.binary" in values and values.get("server.command") is not None:
        yield ConfigError("", "server.command", "replaces server.binary; set only one of them")
    if values.get("server.command") == ():
        yield ConfigError("", "server.command", "must not be empty")
    for name in values.get("metrics.buckets", {}):
        if name not in BUCKETS:
            yield ConfigError("", f"metrics.buckets.{name}", unknown_key(name, BUCKETS))
    restart = Live().server.restart
    initial = values.get("server.restart.initial_backoff", restart.initial_backoff)
    if initial > (longest := values.get("server.restart.max_backoff", restart.max_backoff)):
        message = f"{initial:g} s is longer than max_backoff ({longest:g} s)"
        yield ConfigError("", "server.restart.initial_backoff", message)


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the configuration comes from: a file or None, the environment, and flags. A call loads it, see `load`."""

    file: Path | None
    environ: Mapping[str, str]
    flags: Mapping[str, object]

    def __call__(self) -> Loaded:
        """Return the settings as they are now. Raise `ConfigErrors`."""
        return self.with_file(self.file)

    def with_file(self, file: Path | None) -> Loaded:
        """Return the settings with `file` in place of the configuration file. Raise `ConfigErrors`."""
        return load(file, self.environ, self.flags)
