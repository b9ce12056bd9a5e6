"""The file that tells the NVML of `nvml.c` what to answer."""

import os
from pathlib import Path


class Stub:
    """Holds lines KEY=VALUE; each change is seen by the next call of the library, as a whole."""

    def __init__(self, control: Path) -> None:
        self.control = control
        self._values: dict[str, object] = {}
        self.put()

    def put(self, values: dict[str, object] | None = None) -> None:
        """Set values; None takes one away."""
        self._values |= values or {}
        lines = [f"{key}={value}\n" for key, value in self._values.items() if value is not None]
        written = self.control.with_suffix(".new")
        written.write_text("".join(lines))
        os.replace(written, self.control)  # noqa: PTH105
