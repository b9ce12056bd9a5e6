"""Every metric of the exporter's own, declared once: collectors, docs and dashboards take names and texts from here."""

from exporter.metrics.definitions import exporter, gpu, host, server, usage
from exporter.metrics.families import Metric

MODULES = (usage, server, gpu, host, exporter)
"""In the order of docs/metrics.md."""
ALL = tuple(value for module in MODULES for value in vars(module).values() if isinstance(value, Metric))
