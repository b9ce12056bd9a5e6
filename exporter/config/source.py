"""Where the configuration comes from, kept for every later loading."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.config.loader import Loaded, load


@dataclass(frozen=True, slots=True)
class Source:
    """A file (None when there is none), the environment, and flags. Called, it loads them; see `load`."""

    file: Path | None
    environ: Mapping[str, str]
    flags: Mapping[str, object]

    def __call__(self) -> Loaded:
        """The configuration as it is now. Raise `ConfigErrors`."""
        return self.with_file(self.file)

    def with_file(self, file: Path | None) -> Loaded:
        """As it would be with another file. Raise `ConfigErrors`."""
        return load(file, self.environ, self.flags)
