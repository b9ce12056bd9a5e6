"""The kernel's count of OOM kills: of the whole machine, and of our cgroup."""

import re
from pathlib import Path

COUNTERS = (Path("/proc/vmstat"), Path("/sys/fs/cgroup/memory.events"))
OOM_KILL = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def oom_kills(counters: tuple[Path, ...] = COUNTERS) -> int:
    """The highest of the counters that can be read (proc(5), cgroup-v2 `memory.events`); 0 where there is none."""
    highest = 0
    for file in counters:
        try:
            found = OOM_KILL.search(file.read_text("ascii", "replace"))
        except OSError:
            continue
        highest = max(highest, int(found[1]) if found else 0)
    return highest
