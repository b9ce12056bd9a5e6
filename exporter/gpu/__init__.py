"""GPUs: what their drivers report, read without changing anything."""
