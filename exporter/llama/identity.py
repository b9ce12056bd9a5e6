"""Which process answers at an address that something else runs: the same as before, another one, or several in turn.

llama-server sends `Process-Start-Time-Unix` with its metrics, which is constant for a process. A health check that is
late, or a connection that is refused for a moment, says nothing about the process.
"""

from collections import deque
from enum import Enum

SURE_AFTER = 3
"""Answers in a row by another process before it is the successor: one may come from a balancer's other server."""
REMEMBERED = 32


class Identity(Enum):
    """Who gave an answer."""

    SAME = "same"
    """The process that is known; the first one, too, and any that does not identify itself."""
    UNSURE = "unsure"
    """Another one, for too short a time to know whether it has taken over."""
    NEW = "new"
    """Another one, which has taken over: what it counts began at 0 after the last answer of the one before."""
    SEVERAL = "several"
    """One that was there before another: several processes answer in turn."""


class AnsweringProcess:
    """Follows the processes behind one address. `several` is final: no number of such an address means anything."""

    def __init__(self) -> None:
        self.several = False
        self._known: str | None = None
        self._candidate: str | None = None
        self._seen = 0
        self._former: deque[str] = deque(maxlen=REMEMBERED)

    def see(self, process: str | None) -> Identity:
        """Judge an answer by what identifies its process (None: nothing does)."""
        if self.several:
            return Identity.SEVERAL
        if process is None or self._known in (None, process):
            self._known = self._known or process
            if self._candidate is None or process is None:
                return Identity.SAME
        if process in self._former or process == self._known:
            self.several = True
            return Identity.SEVERAL
        if process != self._candidate:
            if self._candidate is not None:
                self._former.append(self._candidate)
            self._candidate, self._seen = process, 0
        self._seen += 1
        if self._seen < SURE_AFTER:
            return Identity.UNSURE
        if self._known is not None:
            self._former.append(self._known)
        self._known, self._candidate = process, None
        return Identity.NEW
