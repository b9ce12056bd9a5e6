"""Change one section in the text of a configuration file and leave the rest of the text as it is.

Keys that keep their value keep their text, comments and order; all other sections stay the same byte for byte. YAML
that this cannot edit safely (aliases into the section, several documents) is detected by reading the result back.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml


class CannotEditError(Exception):
    """The text cannot be changed without risk to the rest of it."""


BREAKS = set("\n\x85\u2028\u2029")
"""Line breaks of YAML. PyYAML escapes them only in double quotes; in other styles it adds indentation to the text."""


class _Edit(NamedTuple):
    start: int
    end: int
    text: str


class _Flow(yaml.SafeDumper):
    """Writes a value on one line."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if BREAKS & set(text) else None)


_Flow.add_representer(str, _text)


def flow(value: Any) -> str:
    """Return a plain value as one line of YAML."""
    options: dict[str, Any] = {"default_flow_style": True, "sort_keys": False, "allow_unicode": True}
    line: str = yaml.dump([value], Dumper=_Flow, width=float("inf"), **options)
    return line.strip()[1:-1]


def change_section(text: str, section: str, wanted: Mapping[str, Any], kept: frozenset[str]) -> str:
    """Return `text` with the values of `wanted` in this section. Keys in `kept` stay as they are, others are removed.

    The caller must check the result by reading it. Raises: `CannotEditError`; `yaml.YAMLError` if the text is not YAML.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    root = yaml.compose(text, yaml.SafeLoader)
    added = [f"  {key}: {flow(value)}" for key, value in wanted.items()]
    whole = newline.join([f"{section}:", *added]) + newline
    if root is None:
        return _ended(text, newline) + whole
    if not isinstance(root, yaml.MappingNode):
        raise CannotEditError("its top level is not a mapping of sections")
    found = [(key, value) for key, value in root.value if key.value == section]
    if not found:
        if root.flow_style:
            raise CannotEditError(f"it is written in braces and has no section {section}")
        return _ended(text, newline) + whole
    ((key, value),) = found
    if isinstance(value, yaml.MappingNode) and not value.flow_style:
        edits = list(_edits(text, value, wanted, kept, newline))
    elif isinstance(value, yaml.MappingNode):
        parts = [text[name.start_mark.index : _end(text, old)] for name, old in value.value if name.value in kept]
        parts += [f"{name}: {flow(new)}" for name, new in wanted.items()]
        edits = [_Edit(value.start_mark.index, value.end_mark.index, "{" + ", ".join(parts) + "}")]
    else:  # no settings yet: `server:` or `server: null`
        start = text.index(":", key.end_mark.index) + 1
        edits = [_Edit(start, max(start, _end(text, value)), f" {flow(dict(wanted))}")]
    return _applied(text, edits)


def _edits(
    text: str, node: yaml.MappingNode, wanted: Mapping[str, Any], kept: frozenset[str], newline: str
) -> Iterator[_Edit]:
    """Yield the edits of a section in block style."""
    present = set()
    for key, value in node.value:
        present.add(key.value)
        start, end = key.start_mark.index, _end(text, value)
        if end < start:
            raise CannotEditError(f"{key.value} is a YAML alias")
        if key.value in wanted:
            yield _Edit(start, max(end, key.end_mark.index + 1), f"{key.value}: {flow(wanted[key.value])}")
        elif key.value not in kept:
            line_end = text.find("\n", end)
            yield _Edit(text.rfind("\n", 0, start) + 1, len(text) if line_end < 0 else line_end + 1, "")
    new = [f"{key}: {flow(value)}" for key, value in wanted.items() if key not in present]
    if new:
        last = text.find("\n", _end(text, node))
        at = len(text) if last < 0 else last + 1
        indent = " " * node.start_mark.column
        lines = "".join(f"{indent}{line}{newline}" for line in new)
        yield _Edit(at, at, lines if last >= 0 else newline + lines)


def _end(text: str, node: yaml.Node) -> int:
    """Return the end of a value. PyYAML's end mark of a block includes the text up to the next key."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(text, last[1] if isinstance(last, tuple) else last)
    end: int = node.end_mark.index
    while end > node.start_mark.index and text[end - 1].isspace():
        end -= 1
    return end


def _applied(text: str, edits: list[_Edit]) -> str:
    for edit in sorted(edits, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _ended(text: str, newline: str) -> str:
    return text if not text or text.endswith("\n") else text + newline
