"""Secrets, which come from files only."""

from pathlib import Path


def read_secret(file: str | None) -> str | None:
    """The content of a secret's file without the newline at its end. Raise `OSError`, or `ValueError` when empty."""
    if file is None:
        return None
    secret = Path(file).read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"{file} is empty")
    return secret
