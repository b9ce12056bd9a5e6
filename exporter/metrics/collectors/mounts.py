"""The mount table of Linux, the space of filesystems, and where cgroups are mounted."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from exporter.metrics.definitions import host as catalog
from exporter.metrics.families import Family

_ESCAPED = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted filesystem."""

    device: str
    """Identifies a filesystem: major:minor."""
    root: str
    """The folder of the filesystem that is mounted, `/` for all of it."""
    point: str
    kind: str
    options: frozenset[str]
    """Those of the filesystem; controllers of a cgroup v1 hierarchy are among them."""


def read_mounts(root: Path = Path("/")) -> Iterator[Mount]:
    """Read `/proc/self/mountinfo` (proc_pid_mountinfo(5)); mounts that cover others come after them."""
    # A mountpoint need not be UTF-8.
    for line in (root / "proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        mount, _, filesystem = line.partition(" - ")
        _id, _parent, device, folder, point, *_ = mount.split(" ")
        kind, _source, options = filesystem.split(" ")[:3]
        yield Mount(device, _unescaped(folder), _unescaped(point), kind, frozenset(options.split(",")))


def _unescaped(path: str) -> str:
    # Blanks, newlines and backslashes are written as three octal digits.
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), path) if "\\" in path else path


def filesystems(paths: Iterable[Path], mounts: Sequence[tuple[str, str]]) -> list[Family]:
    """Read statvfs(3) once for each filesystem that holds one of `paths`, or will hold it once it exists.

    `mounts` are pairs of device and mountpoint. One filesystem is one sample, however often it is mounted: the
    mountpoint that the first of the paths lies under names it.
    """
    found: dict[str, tuple[str, os.statvfs_result]] = {}
    for path in paths:
        try:
            place = _existing(path)
            device, point = _mount_of(place, mounts)
            if device not in found:
                found[device] = point, os.statvfs(place)
        except (OSError, ValueError):
            continue  # the other paths can be read
    rows = found.values()
    return [
        catalog.FILESYSTEM_SIZE.family(((point,), room.f_blocks * room.f_frsize) for point, room in rows),
        catalog.FILESYSTEM_AVAILABLE.family(((point,), room.f_bavail * room.f_frsize) for point, room in rows),
    ]


def _existing(path: Path) -> Path:
    # Links are followed first: a model in a Hugging Face cache is a link to a file that may be elsewhere.
    place = Path(os.path.realpath(path))
    return next(folder for folder in (place, *place.parents) if folder.exists())


def _mount_of(place: Path, mounts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    # By name, not by walking up while st_dev stays the same: on overlayfs files and folders differ in it.
    around = {str(place), *map(str, place.parents)}
    above = [mount for mount in mounts if mount[1] in around]
    # Of mounts at the same point the last is on top; max() takes the first of equals.
    return max(reversed(above), key=lambda mount: len(mount[1]))


class Cgroups:
    """Folders of the cgroups that this process is in: its own first, then those above it that are visible here."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mounts = [mount for mount in read_mounts(root) if mount.kind in {"cgroup", "cgroup2"}]
        # "0::/a" for v2, "4:cpu,cpuacct:/b" for a hierarchy of v1; a path may hold colons.
        lines = (root / "proc/self/cgroup").read_text(errors="surrogateescape").splitlines()
        self._paths = [line.split(":", 2)[1:] for line in lines]

    def __bool__(self) -> bool:
        return bool(self._mounts)

    def v1(self, controller: str) -> list[Path]:
        """Folders of a controller that is mounted as v1. What is not there can still be in v2: both may be mounted."""
        return self._folders(
            (mount for mount in self._mounts if mount.kind == "cgroup" and controller in mount.options),
            (path for controllers, path in self._paths if controller in controllers.split(",")),
        )

    def v2(self) -> list[Path]:
        """Folders of the unified hierarchy."""
        return self._folders(
            (mount for mount in self._mounts if mount.kind == "cgroup2"),
            (path for controllers, path in self._paths if not controllers),
        )

    def _folders(self, mounts: Iterator[Mount], paths: Iterator[str]) -> list[Path]:
        mount, path = next(mounts, None), next(paths, None)
        if mount is None or path is None:
            return []
        top = self._root / mount.point.lstrip("/")
        within = PurePosixPath(path)
        # A container without a cgroup namespace sees its path on the host, but only its own part is mounted. What
        # is outside of that part can't be reached: then the top is the nearest.
        below = within.relative_to(mount.root) if within.is_relative_to(mount.root) else PurePosixPath()
        if ".." in below.parts or not (top / below).is_dir():
            below = PurePosixPath()
        return [top / below, *(top / above for above in below.parents)]
