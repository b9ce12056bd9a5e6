"""A YAML file to plain values with the line of each key, and what is wrong with it."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from exporter.config.values import Plain


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


MAX_FILE = 1024 * 1024
MAX_DEPTH = 8
NULL = "tag:yaml.org,2002:null"


class Entry(NamedTuple):
    """A value and the line that its key is on."""

    value: Plain
    line: int


class Document(NamedTuple):
    """Leaves by dotted key. `sections` tells which keys hold others; only those are gone into."""

    entries: dict[str, Entry]
    errors: list[ConfigError]


def read(file: Path, sections: frozenset[str]) -> Document:
    """Read `file`. Raise `ConfigErrors` when it can't be read as YAML at all."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _whole(file, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise _whole(file, f"has more than {MAX_FILE} bytes")
    try:
        root = yaml.compose(data.decode("utf-8"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise _whole(file, f"is not UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _whole(f"{file}:{line}", f"is not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise _whole(file, f"is not YAML: {error}".replace("\n", " ")) from None
    except RecursionError:
        raise _whole(file, "is nested too deeply") from None
    document = Document({}, [])
    if root is None or root.tag == NULL:
        return document
    if not isinstance(root, yaml.MappingNode):
        raise _whole(file, f"the top level has to be a mapping of sections: {_top(sections)}")
    _walk(root, "", file, sections, document)
    return document


def parse_value(text: str) -> Plain:
    """One YAML value from the environment or a flag. Raise `ValueError` when it is none."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"{text!r} is not YAML") from None
    return _plain(node, 0) if node is not None else None


def _top(sections: frozenset[str]) -> str:
    return ", ".join(sorted(section for section in sections if "." not in section))


def _whole(where: object, message: str) -> ConfigErrors:
    return ConfigErrors([ConfigError(str(where), "", message)])


def _walk(node: yaml.MappingNode, prefix: str, file: Path, sections: frozenset[str], into: Document) -> None:
    for key_node, value in node.value:
        line = key_node.start_mark.line + 1
        where = f"{file}:{line}"
        if not isinstance(key_node, yaml.ScalarNode):
            into.errors.append(ConfigError(where, prefix.rstrip("."), "a key has to be a single word"))
            continue
        key = prefix + key_node.value
        if key in into.entries:
            into.errors.append(ConfigError(where, key, f"is there twice (first on line {into.entries[key].line})"))
        elif key in sections and isinstance(value, yaml.MappingNode):
            into.entries[key] = Entry(None, line)
            _walk(value, f"{key}.", file, sections, into)
        else:
            try:
                into.entries[key] = Entry(_plain(value, 0), line)
            except ValueError as error:
                into.errors.append(ConfigError(where, key, str(error)))


def _plain(node: yaml.Node, depth: int) -> Plain:
    """Scalars stay as they were written: `0644`, `1.0` and `yes` are texts until a type is known."""
    if depth > MAX_DEPTH:
        raise ValueError("is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == NULL else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, depth + 1) for item in node.value]
    found: dict[str, Any] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError("a key has to be a single word")  # noqa: TRY004 -- bad data, not a bad call
        if key.value in found:
            raise ValueError(f"{key.value} is there twice")
        found[key.value] = _plain(value, depth + 1)
    return found
