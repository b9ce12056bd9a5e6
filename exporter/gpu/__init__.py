"""GPUs: what drivers tell of them, read without changing anything."""
