"""Read a YAML file: the plain value and the line of each key, and all errors."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from exporter.config.values import Plain


class ConfigError(NamedTuple):
    """One error: its place (`file:line`, environment variable or flag), the dotted key, and what is wrong."""

    where: str
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class ConfigErrors(Exception):  # noqa: N818 -- it holds several errors
    """All errors of one configuration."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


SECRETS = {"server.api_key": "server.api_key_file"}


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the most similar key of `known`.

    The same name in another section comes first, then a similar name in the same section, then any similar key.
    """
    if key in SECRETS:
        return f"secrets are only read from files; use {SECRETS[key]}"
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


class Document(NamedTuple):
    """The content of a YAML file by dotted key: values of settings, and lines (from 1) of settings and sections."""

    values: dict[str, Plain]
    lines: dict[str, int]
    errors: list[ConfigError]


def read(file: Path, sections: frozenset[str]) -> Document:
    """Read `file`, where the keys in `sections` contain settings. Raise `ConfigErrors` if it is not valid YAML."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _whole(file, f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise _whole(file, f"is larger than {MAX_FILE} bytes")
    try:
        root = yaml.compose(data.decode("utf-8"), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise _whole(file, f"is not valid UTF-8 (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _whole(f"{file}:{line}", f"invalid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise _whole(file, f"invalid YAML: {error}".replace("\n", " ")) from None
    except RecursionError:
        raise _whole(file, "is nested too deeply") from None
    document = Document({}, {}, [])
    if root is None or root.tag == NULL:
        return document
    if not isinstance(root, yaml.MappingNode):
        raise _whole(file, f"the top level must be a mapping of sections: {_top(sections)}")
    _walk(root, "", file, sections, document)
    return document


def parse_value(text: str) -> Plain:
    """Return a YAML value from the environment. Raise `ValueError` if it is not valid YAML."""
    try:
        node = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        raise ValueError(f"{text!r} is not valid YAML") from None
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
            into.errors.append(ConfigError(where, prefix.rstrip("."), "a key must be a single word"))
            continue
        key = prefix + key_node.value
        if key in into.lines:
            into.errors.append(ConfigError(where, key, f"duplicate key (first defined on line {into.lines[key]})"))
            continue
        into.lines[key] = line
        if key not in sections:
            try:
                into.values[key] = _plain(value, 0)
            except ValueError as error:
                into.errors.append(ConfigError(where, key, str(error)))
        elif isinstance(value, yaml.MappingNode):
            _walk(value, f"{key}.", file, sections, into)
        elif value.tag != NULL:
            into.errors.append(ConfigError(where, key, "must be a mapping of settings"))


def _plain(node: yaml.Node, depth: int) -> Plain:
    """Return a node's value with scalars as text: what `0644`, `1.0` and `yes` mean depends on the setting's type."""
    if depth > MAX_DEPTH:
        raise ValueError("is nested too deeply")
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == NULL else str(node.value)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, depth + 1) for item in node.value]
    found: dict[str, Any] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError("a key must be a single word")  # noqa: TRY004 -- bad data, not a bad call
        if key.value in found:
            raise ValueError(f"duplicate key {key.value}")
        found[key.value] = _plain(value, depth + 1)
    return found
