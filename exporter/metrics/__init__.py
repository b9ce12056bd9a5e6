"""Metrics: their definitions, the collectors that read them, and the page."""
