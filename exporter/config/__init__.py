"""The configuration: typed settings from a YAML file, the environment and flags, and all errors with their place."""

from exporter.config.document import ConfigError, ConfigErrors
from exporter.config.load import ConfigSource, Loaded, load
from exporter.config.schema import KEYS, START_KEYS, Config, Live, LiveServer, Start, Web, differences
from exporter.config.values import split_address

__all__ = [
    "KEYS",
    "START_KEYS",
    "Config",
    "ConfigError",
    "ConfigErrors",
    "ConfigSource",
    "Live",
    "LiveServer",
    "Loaded",
    "Start",
    "Web",
    "differences",
    "load",
    "split_address",
]
