"""Secrets: read from files, hidden where settings are shown, and taken back as what they were."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def read_secret(file: str | None) -> str | None:
    """The content of a secret's file without the newline at its end. Raise `OSError`, or `ValueError` when empty."""
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
"""Environment variables whose value is one."""


def hide_args(args: Sequence[str]) -> list[str]:
    """The arguments, with secrets hidden."""
    return [HIDDEN if index and args[index - 1] in FLAGS else arg for index, arg in enumerate(args)]


def hide_env(env: Mapping[str, str]) -> dict[str, str]:
    """The variables, with secrets hidden."""
    return {name: HIDDEN if NAMES.search(name) else value for name, value in env.items()}


def reveal_args(args: Sequence[Any], current: Sequence[str]) -> list[Any]:
    """Arguments as somebody sends them back, with the secrets of the current ones. Raise `ValueError` for others."""
    secrets = [(current[index - 1], arg) for index, arg in enumerate(current) if index and current[index - 1] in FLAGS]
    revealed = list(args)
    for index, arg in enumerate(args):
        if arg == HIDDEN:
            known = [secret for secret in secrets if index and secret[0] == args[index - 1]]
            if not known:
                raise ValueError(f"{HIDDEN} stands for a value that is in force, and there is none for it")
            secrets.remove(known[0])
            revealed[index] = known[0][1]
    return revealed


def reveal_env(env: Mapping[str, Any], current: Mapping[str, str]) -> dict[str, Any]:
    """Variables as somebody sends them back, with the secrets of the current ones. Raise `ValueError` for others."""
    if unknown := [name for name, value in env.items() if value == HIDDEN and name not in current]:
        raise ValueError(f"{HIDDEN} stands for a value that is in force, and {unknown[0]} has none")
    return {name: current[name] if value == HIDDEN else value for name, value in env.items()}
