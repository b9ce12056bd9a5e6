"""Secrets: read them from files, hide them in settings that are shown, and restore them in settings sent back."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read_secret(file: str | None) -> str | None:
    """Return the content of a secret's file, stripped. Raise `OSError`, or `ValueError` if it is empty."""
    if file is None:
        return None
    secret = Path(file).read_text("utf-8").strip()
    if not secret:
        raise ValueError(f"{file} is empty")
    return secret


HIDDEN = "<hidden>"
FLAGS = ("--api-key", "--hf-token", "-hft")
"""Options of llama-server whose value is a secret."""
NAMES = re.compile(r"(?i)(key|token|secret|passw|credential)(?!.*_FILE$)")
"""Environment variables whose value is a secret."""


def hide_args(args: Sequence[str]) -> list[str]:
    """Return the arguments with secrets hidden."""
    return [HIDDEN if index and args[index - 1] in FLAGS else arg for index, arg in enumerate(args)]


def hide_env(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with secrets hidden."""
    return {name: HIDDEN if NAMES.search(name) else value for name, value in env.items()}


def reveal_args(args: Sequence[Any], current: Sequence[str]) -> list[Any]:
    """Return arguments that a client sent back, with hidden ones restored. Raise `ValueError` if there is no secret."""
    secrets = [(current[index - 1], arg) for index, arg in enumerate(current) if index and current[index - 1] in FLAGS]
    revealed = list(args)
    for index, arg in enumerate(args):
        if arg == HIDDEN:
            known = [secret for secret in secrets if index and secret[0] == args[index - 1]]
            if not known:
                raise ValueError(f"{HIDDEN} stands for the current secret, but the current arguments have none here")
            secrets.remove(known[0])
            revealed[index] = known[0][1]
    return revealed


def reveal_env(env: Mapping[str, Any], current: Mapping[str, str]) -> dict[str, Any]:
    """Return variables that a client sent back, with hidden ones restored. Raise `ValueError` if there is no secret."""
    if unknown := [name for name, value in env.items() if value == HIDDEN and name not in current]:
        raise ValueError(f"{HIDDEN} stands for the current secret, but {unknown[0]} has no current value")
    return {name: current[name] if value == HIDDEN else value for name, value in env.items()}
