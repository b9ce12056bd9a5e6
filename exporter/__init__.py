"""llama-server exporter: supervise llama-server and export all that one needs to know about it."""

__version__ = "0.1.0"
