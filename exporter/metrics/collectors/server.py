"""llama-server: its state, its models and their slots."""

from collections.abc import Callable, Mapping
from pathlib import PurePath

from exporter.llama.facts import Facts
from exporter.llama.model_process import ModelProcess
from exporter.llama.processes import Processes
from exporter.metrics.collectors.collector import NoData
from exporter.metrics.definitions import server as definitions
from exporter.metrics.families import Family
from exporter.supervisor.states import Snapshot, State
from exporter.usage.from_log import FromLog


class ServerCollector:
    """Reads the snapshot: costs nothing and never fails."""

    name = "server"
    metrics = (
        definitions.UP,
        definitions.DESIRED,
        definitions.STATE,
        definitions.START_TIME,
        definitions.READY_SECONDS,
        definitions.RESTARTS,
        definitions.EXITS,
        definitions.HTTP_REQUESTS,
    )

    def __init__(self, snapshot: Callable[[], Snapshot], requests: Mapping[tuple[str, str], int]) -> None:
        self._snapshot = snapshot
        self._requests = requests

    async def collect(self, _: float) -> list[Family]:
        """The state now."""
        snapshot = self._snapshot()
        ready = None
        if snapshot.ready is not None and snapshot.started is not None:
            ready = snapshot.ready - snapshot.started
        return [
            definitions.UP.one(snapshot.state is State.READY),
            definitions.DESIRED.one(snapshot.desired),
            definitions.STATE.state(snapshot.state),
            definitions.START_TIME.one(snapshot.started_at),
            definitions.READY_SECONDS.one(ready),
            definitions.RESTARTS.family(((reason,), count) for reason, count in snapshot.restarts),
            definitions.EXITS.family(((code,), count) for code, count in snapshot.exits),
            definitions.HTTP_REQUESTS.family(self._requests),
        ]


class ModelsCollector:
    """Reads what is known: costs nothing and never fails."""

    name = "models"
    metrics = (
        definitions.INFO,
        definitions.MODEL_STATE,
        definitions.MODEL_LOADS,
        definitions.MODEL_LOAD_SECONDS,
        definitions.MODEL_EXIT_CODE,
        definitions.MODEL_INFO,
        definitions.MODEL_PARAMETERS,
        definitions.MODEL_SIZE,
        definitions.MODEL_CONTEXT,
        definitions.MODEL_TRAIN_CONTEXT,
        definitions.MODEL_SLOTS,
    )

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def collect(self, _: float) -> list[Family]:
        """What is known now."""
        server = self._processes.facts
        families = [*self._states(), *self._facts([process.facts for process in self._processes.by_model.values()])]
        if server is not None:
            families.append(definitions.INFO.one(1, server.build, server.mode))
        if not any(family.samples for family in families):
            raise NoData
        return families

    def _states(self) -> list[Family]:
        entries = sorted(self._processes.models.entries.values(), key=lambda entry: entry.name)
        present = [entry for entry in entries if entry.state is not None]
        return [
            *(definitions.MODEL_STATE.state(entry.state, entry.name) for entry in present),
            definitions.MODEL_LOADS.family(
                ((entry.name, result), count) for entry in entries for result, count in entry.loads.items()
            ),
            definitions.MODEL_LOAD_SECONDS.family(
                ((entry.name,), entry.load_seconds) for entry in present if entry.load_seconds is not None
            ),
            definitions.MODEL_EXIT_CODE.family(
                ((entry.name,), entry.exit_code) for entry in present if entry.exit_code is not None
            ),
        ]

    @staticmethod
    def _facts(running: list[Facts]) -> list[Family]:
        families = [
            definitions.MODEL_INFO.one(
                1, facts.model, facts.architecture or "", facts.quantization or "", PurePath(facts.file or "").name
            )
            for facts in running
        ]
        for facts in running:
            families += [
                definitions.MODEL_PARAMETERS.one(facts.parameters, facts.model),
                definitions.MODEL_SIZE.one(facts.size, facts.model),
                definitions.MODEL_CONTEXT.one(facts.context, facts.model),
                definitions.MODEL_TRAIN_CONTEXT.one(facts.train_context, facts.model),
                definitions.MODEL_SLOTS.one(facts.slots, facts.model),
            ]
        return families


class SlotsCollector:
    """Shows the last look at the running requests. `/slots` is never asked while nothing runs: it wakes a model."""

    name = "slots"
    metrics = (
        definitions.SLOT_PROCESSING,
        definitions.SLOT_CONTEXT,
        definitions.SLOT_USED,
        definitions.CONTEXT_USAGE,
        definitions.PROMPT_PROGRESS,
    )

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    async def collect(self, _: float) -> list[Family]:
        """The slots now."""
        families = [family for process in self._processes.by_model.values() for family in self._of(process)]
        if not families:
            raise NoData
        return families

    @staticmethod
    def _of(process: ModelProcess) -> list[Family]:
        facts, tokens = process.facts, process.usage.tokens
        if not facts.slots:
            return []
        used = {slot.id: process.used(slot) for slot in process.slots}
        progress: dict[tuple[str, str], float] = {}
        if isinstance(tokens, FromLog):
            for slot in process.slots:
                if (ratio := tokens.progress.get((process.child, slot.task))) is not None:
                    progress[process.model, str(slot.id)] = ratio
        model, names = process.model, [(number, (process.model, str(number))) for number in range(facts.slots)]
        return [
            definitions.SLOT_PROCESSING.family((labels, number in used) for number, labels in names),
            definitions.SLOT_CONTEXT.family((labels, facts.slot_context) for _, labels in names if facts.slot_context),
            definitions.SLOT_USED.family((labels, used.get(number, 0)) for number, labels in names),
            definitions.CONTEXT_USAGE.one(process.context_used / facts.context if facts.context else None, model),
            definitions.PROMPT_PROGRESS.family(progress),
        ]
