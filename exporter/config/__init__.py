"""The configuration: one typed tree from YAML, environment and flags, and every error in it with its place."""

from exporter.config.errors import ConfigError, ConfigErrors
from exporter.config.loader import KINDS, Loaded, load
from exporter.config.source import Source
from exporter.config.tree import Collectors, Config, HealthCheck, Logs, Metrics, Restart, Server, Web
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
