"""The slots of the models that run: what each works on, and how full its context is."""

from exporter.catalog import server as catalog
from exporter.catalog.metric import Family
from exporter.collectors.collector import NoData
from exporter.llama.instance import Instance
from exporter.llama.models import Models
from exporter.llama.usage import LoggedUsage


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

    async def collect(self) -> list[Family]:
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
