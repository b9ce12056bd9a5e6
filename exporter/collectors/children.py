"""The PIDs of a router's children, which it starts with their port among their arguments."""

import time

import psutil

PAUSE = 5.0
"""Seconds between two walks over the host's processes while a child is missing."""


class Children:
    """Finds each child once in its life: a walk over all processes is dear, to ask a known one is not."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}
        self._missing: frozenset[int] = frozenset()
        self._walked_at = float("-inf")

    def by_port(self, router: int, ports: frozenset[int]) -> dict[int, int]:
        """PID by port, for those of `ports` whose process is there."""
        self._known = {port: process for port, process in self._known.items() if port in ports and process.is_running()}
        missing = ports.difference(self._known)
        now = time.monotonic()
        if missing and (missing - self._missing or now - self._walked_at >= PAUSE):
            self._walked_at = now
            self._find(router, missing)
        self._missing = missing
        return {port: process.pid for port, process in self._known.items()}

    def _find(self, router: int, missing: frozenset[int]) -> None:
        try:
            children = psutil.Process(router).children()
        except psutil.Error:
            return
        for child in children:
            try:
                arguments = child.cmdline()
            except psutil.Error:
                continue  # it has just ended
            value = arguments[arguments.index("--port") + 1] if "--port" in arguments[:-1] else ""
            if value.isdecimal() and int(value) in missing:
                self._known[int(value)] = child
