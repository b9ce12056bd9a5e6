"""Where the cgroups of this process lie, v1 or v2 (cgroups(7))."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from exporter.collectors.mounts import Mount, read_mounts


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
        # A container without a cgroup namespace is told its path on the host, but only its own part is mounted. What
        # lies outside of that part can't be reached: then the top is the nearest.
        below = within.relative_to(mount.root) if within.is_relative_to(mount.root) else PurePosixPath()
        if ".." in below.parts or not (top / below).is_dir():
            below = PurePosixPath()
        return [top / below, *(top / above for above in below.parents)]
