"""Small files of the kernel's sysfs: each a number or a word, absent where a device has none."""

import errno
import os

ABSENT = frozenset(
    {
        errno.ENOENT,
        errno.EACCES,
        errno.EPERM,  # amdgpu while it resets or sleeps
        errno.EINVAL,  # a sensor that this chip lacks, as EOPNOTSUPP
        errno.EOPNOTSUPP,
        errno.ENODATA,
        errno.EBUSY,
    }
)
"""Errors that mean "not here, or not now": the value is absent, and nothing is wrong."""
LONGEST = 4096


class Folder:
    """Reads files of one folder. `failures` takes what went wrong with single ones."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.failures: list[str] = []

    def text(self, name: str) -> str | None:
        """The text of a file without blanks around it; None where there is none."""
        try:
            file = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                return os.read(file, LONGEST).decode(errors="replace").strip() or None
            finally:
                os.close(file)
        except OSError as error:
            if error.errno not in ABSENT:
                self.failures.append(f"{name}: {error.strerror}")
            return None

    def number(self, *names: str, over: float = 1) -> float | None:
        """The number in the first of the files that has one, divided by `over`."""
        for name in names:
            text = self.text(name)
            if text is not None:
                try:
                    return int(text) / over
                except ValueError:
                    self.failures.append(f"{name}: {text[:40]!r} is no number")
        return None
