"""The configuration: one typed tree from YAML, environment and flags, and every error in it with its place."""

from exporter.config.document import ConfigError, ConfigErrors
from exporter.config.load import KINDS, Loaded, Source, load
from exporter.config.schema import Collectors, Config, HealthCheck, Logs, Metrics, Restart, Server, Web
from exporter.config.values import split_address

__all__ = [
    "KINDS",
    "Collectors",
    "Config",
    "ConfigError",
    "ConfigErrors",
    "HealthCheck",
    "Loaded",
    "Logs",
    "Metrics",
    "Restart",
    "Server",
    "Source",
    "Web",
    "load",
    "split_address",
]
