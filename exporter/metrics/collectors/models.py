"""The models and their slots: state, loads, what a running one reports of itself, and what each slot works on."""

from pathlib import PurePath

from exporter.llama.instance import Instance
from exporter.llama.models import Models
from exporter.llama.server import Facts
from exporter.metrics.collectors.collector import NoData
from exporter.metrics.definitions import server as catalog
from exporter.metrics.families import Family
from exporter.usage.from_log import LoggedUsage


class ModelsCollector:
    """Reads what is known: costs nothing and never fails."""

    name = "models"
    metrics = (
        catalog.INFO,
        catalog.MODEL_STATE,
        catalog.MODEL_LOADS,
        catalog.MODEL_LOAD_SECONDS,
        catalog.MODEL_EXIT_CODE,
        catalog.MODEL_INFO,
        catalog.MODEL_PARAMETERS,
        catalog.MODEL_SIZE,
        catalog.MODEL_CONTEXT,
        catalog.MODEL_TRAIN_CONTEXT,
        catalog.MODEL_SLOTS,
    )

    def __init__(self, models: Models) -> None:
        self._models = models

    async def collect(self, _deadline: float) -> list[Family]:
        """What is known now."""
        server = self._models.server.facts
        families = [*self._states(), *self._facts([instance.facts for instance in self._models.instances.values()])]
        if server is not None:
            families.append(catalog.INFO.one(1, server.build, server.mode))
        if not any(family.samples for family in families):
            raise NoData
        return families

    def _states(self) -> list[Family]:
        entries = sorted(self._models.roster.entries.values(), key=lambda entry: entry.name)
        present = [entry for entry in entries if entry.state is not None]
        return [
            *(catalog.MODEL_STATE.state(entry.state, entry.name) for entry in present),
            catalog.MODEL_LOADS.family(
                ((entry.name, result), count) for entry in entries for result, count in entry.loads.items()
            ),
            catalog.MODEL_LOAD_SECONDS.family(
                ((entry.name,), entry.load_seconds) for entry in present if entry.load_seconds is not None
            ),
            catalog.MODEL_EXIT_CODE.family(
                ((entry.name,), entry.exit_code) for entry in present if entry.exit_code is not None
            ),
        ]

    @staticmethod
    def _facts(running: list[Facts]) -> list[Family]:
        families = [
            catalog.MODEL_INFO.one(
                1, facts.model, facts.architecture or "", facts.quantization or "", PurePath(facts.file or "").name
            )
            for facts in running
        ]
        for facts in running:
            families += [
                catalog.MODEL_PARAMETERS.one(facts.parameters, facts.model),
                catalog.MODEL_SIZE.one(facts.size, facts.model),
                catalog.MODEL_CONTEXT.one(facts.context, facts.model),
                catalog.MODEL_TRAIN_CONTEXT.one(facts.train_context, facts.model),
                catalog.MODEL_SLOTS.one(facts.slots, facts.model),
            ]
        return families


class SlotsCollector:
    """Shows the last look at the running requests. `/slots` is never asked while nothing runs: it wakes a model."""

    name = "slots"
    metrics = (
        catalog.SLOT_PROCESSING,
        catalog.SLOT_CONTEXT,
        catalog.SLOT_USED,
        catalog.CONTEXT_USAGE,
        catalog.PROMPT_PROGRESS,
    )

    def __init__(self, models: Models) -> None:
        self._models = models

    async def collect(self, _deadline: float) -> list[Family]:
        """The slots now."""
        families = [family for instance in self._models.instances.values() for family in self._of(instance)]
        if not families:
            raise NoData
        return families

    @staticmethod
    def _of(instance: Instance) -> list[Family]:
        facts, usage = instance.facts, instance.account.usage
        if not facts.slots:
            return []
        used = {slot.slot: instance.used(slot) for slot in instance.slots}
        progress: dict[tuple[str, str], float] = {}
        if isinstance(usage, LoggedUsage):
            for slot in instance.slots:
                if (ratio := usage.progress.get((instance.child, slot.task))) is not None:
                    progress[instance.model, str(slot.slot)] = ratio
        model, names = instance.model, [(number, (instance.model, str(number))) for number in range(facts.slots)]
        return [
            catalog.SLOT_PROCESSING.family((labels, number in used) for number, labels in names),
            catalog.SLOT_CONTEXT.family((labels, facts.slot_context) for _, labels in names if facts.slot_context),
            catalog.SLOT_USED.family((labels, used.get(number, 0)) for number, labels in names),
            catalog.CONTEXT_USAGE.one(instance.context_used / facts.context if facts.context else None, model),
            catalog.PROMPT_PROGRESS.family(progress),
        ]
