"""The mount table of Linux."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted filesystem."""

    device: str
    """What tells two filesystems apart: major:minor."""
    root: str
    """The folder of the filesystem that is mounted, `/` for all of it."""
    point: str
    kind: str
    options: frozenset[str]
    """Those of the filesystem; controllers of a cgroup v1 hierarchy are among them."""


def read_mounts(root: Path = Path("/")) -> Iterator[Mount]:
    """Read `/proc/self/mountinfo` (proc_pid_mountinfo(5)); mounts that lie over others come after them."""
    # A mountpoint need not be UTF-8.
    for line in (root / "proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mount, _, filesystem = line.partition(" - ")
        _id, _parent, device, folder, point, *_ = mount.split(" ")
        kind, _source, options = filesystem.split(" ")[:3]
        yield Mount(device, _unescaped(folder), _unescaped(point), kind, frozenset(options.split(",")))


def _unescaped(path: str) -> str:
    # Blanks, newlines and backslashes are written as three octal digits.
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path
