"""Space of the filesystems where given paths lie."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from exporter.catalog import host as catalog
from exporter.catalog.metric import Family


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
            continue  # of this path nothing can be known, of the others it can
    rows = found.values()
    return [
        catalog.FILESYSTEM_SIZE.family(((point,), room.f_blocks * room.f_frsize) for point, room in rows),
        catalog.FILESYSTEM_AVAILABLE.family(((point,), room.f_bavail * room.f_frsize) for point, room in rows),
    ]


def _existing(path: Path) -> Path:
    # Links are followed first: a model in a Hugging Face cache is a link to a file that may lie elsewhere.
    place = Path(os.path.realpath(path))
    return next(folder for folder in (place, *place.parents) if folder.exists())


def _mount_of(place: Path, mounts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    # By name, not by walking up while st_dev stays the same: on overlayfs files and folders differ in it.
    around = {str(place), *map(str, place.parents)}
    above = [mount for mount in mounts if mount[1] in around]
    # Of mounts at the same point the last is on top; max() takes the first of equals.
    return max(reversed(above), key=lambda mount: len(mount[1]))
