"""The HTTP door: metrics, health, status."""
