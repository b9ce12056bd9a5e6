"""What is wrong with a configuration, all of it at once."""

import difflib
from collections.abc import Iterable
from typing import NamedTuple


class ConfigError(NamedTuple):
    """One error: where it stands (`file:line`, a variable, a flag), the key, and what to do."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class ConfigErrors(Exception):  # noqa: N818 -- there are several
    """All errors of one loading."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


SECRETS = {"server.api_key": "server.api_key_file"}


def unknown_key(key: str, known: Iterable[str]) -> str:
    """The message for a key that does not exist, with the nearest that does: one of that name, a sibling, any."""
    if key in SECRETS:
        return f"secrets are read from files only: use {SECRETS[key]}"
    known = list(known)
    section = key.rpartition(".")[0]
    siblings = [name for name in known if name.rpartition(".")[0] == section]
    last = {name.rpartition(".")[2]: name for name in reversed(known)}
    same = [last[key.rpartition(".")[2]]] if key.rpartition(".")[2] in last else []
    near = same or difflib.get_close_matches(key, siblings, 1, 0.75) or difflib.get_close_matches(key, known, 1, 0.8)
    near = near or [last[name] for name in difflib.get_close_matches(key.rpartition(".")[2], last, 1, 0.75)]
    return f"unknown key; did you mean {near[0]}?" if near else "unknown key"
