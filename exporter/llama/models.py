"""The models that are known, what state each is in, and how its loads went: from `/models` and its events."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from exporter.llama.api import IN_MEMORY, ModelsAnswer, ModelState

MAX_MODELS = 10_000
LOADS = ("loaded", "failed")


class Listed(NamedTuple):
    """A model in a router's `/models`.

    `port` is that of its child, of the last one where none runs; `sleeps`: the child falls asleep when idle.
    """

    name: str
    state: ModelState
    port: int | None = None
    exit_code: int | None = None
    sleeps: bool = False

    @classmethod
    def of(cls, answer: ModelsAnswer) -> "list[Listed]":
        """Return the models of a router's answer; those without a status are none of its."""
        return [
            cls(model.id, model.status.state, model.status.port, model.status.exit_code, model.status.sleeps)
            for model in answer.data
            if model.status is not None
        ]


@dataclass(slots=True)
class KnownModel:
    """One model. `state` is None while there is no server to know it. `loading_since` is monotonic."""

    name: str
    state: ModelState | None = None
    port: int | None = None
    exit_code: int | None = None
    sleeps: bool = False
    waking: bool = False
    """It loads what it gave back to sleep; the process is the same, so that is no load."""
    loading_since: float | None = None
    load_seconds: float | None = None
    stalled: float | None = None
    """Seconds for which its requests have been running without progress, once that is too long."""
    loads: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LOADS, 0))

    @property
    def runs(self) -> bool:
        """True while a process runs that has loaded it, or had, and is loading it again after sleep."""
        return self.state in IN_MEMORY or self.waking


Observer = Callable[[KnownModel, ModelState | None], None]
"""Told of every change of state: the entry as it is now, and the state before."""


class ModelList:
    """Records states, counts loads, and calls `observe` at changes.

    Loads and their counts stay when a model is deleted or the server ends. A list is a picture that may have missed
    something: another port than before means that another process was started in between.
    """

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self.entries: dict[str, KnownModel] = {}

    def listed(self, models: Iterable[Listed], now: float) -> None:
        """Take the list of all models that there are, at monotonic time `now`."""
        present = {model.name: model for model in models}
        for name, entry in list(self.entries.items()):
            if name not in present:
                self._enter(entry, None, now)
                if not any(entry.loads.values()):
                    del self.entries[name]  # nothing to remember: lists of ever new names take no memory
        for model in present.values():
            entry = self.entries.setdefault(model.name, KnownModel(model.name))
            other = None not in (entry.port, model.port) and entry.port != model.port
            if other and model.state in (*IN_MEMORY, ModelState.FAILED) and entry.state is not ModelState.LOADING:
                self._enter(entry, ModelState.LOADING, now, unseen=True)
            entry.port, entry.sleeps = model.port, model.sleeps
            self._enter(entry, model.state, now, model.exit_code)

    def changed(self, name: str, state: ModelState, now: float, exit_code: int | None = None) -> None:
        """Take an event: the model is in this state now.

        A loaded model does not begin to load: that event was overtaken by a list.
        """
        if name not in self.entries and len(self.entries) >= MAX_MODELS:
            return
        entry = self.entries.setdefault(name, KnownModel(name))
        if state is ModelState.LOADING and entry.state is ModelState.LOADED:
            return
        if state is ModelState.LOADING and entry.state not in (ModelState.LOADING, ModelState.SLEEPING):
            entry.port = None  # the list will tell the new one
        self._enter(entry, state, now, exit_code)

    def gone(self, now: float) -> None:
        """There is no server to know the states."""
        for entry in self.entries.values():
            entry.port = None
            if entry.state is not None:
                self._enter(entry, None, now)

    def _enter(
        self,
        entry: KnownModel,
        state: ModelState | None,
        now: float,
        exit_code: int | None = None,
        *,
        unseen: bool = False,
    ) -> None:
        before = entry.state
        if state is before:
            return
        entry.state = state
        woken, entry.waking = entry.waking, state is ModelState.LOADING and before is ModelState.SLEEPING
        if state is ModelState.LOADING:
            entry.loading_since = None if unseen else now
        elif state in IN_MEMORY and before not in IN_MEMORY and not woken:
            entry.exit_code = None
            if before is not None:
                entry.loads["loaded"] += 1
            entry.load_seconds = now - entry.loading_since if entry.loading_since is not None else None
            entry.loading_since = None
        elif state is ModelState.FAILED:
            entry.exit_code = exit_code
            entry.loading_since = None
            # Out of memory it had been loaded: that is a crash, and no load that failed.
            if before not in (None, *IN_MEMORY) and not woken:
                entry.loads["failed"] += 1
        if not unseen:
            self._observe(entry, before)
