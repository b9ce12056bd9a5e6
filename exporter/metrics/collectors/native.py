"""llama-server's own metrics, passed on with a `model` label."""

from exporter.llama.exposition import with_model
from exporter.llama.instance import Instance
from exporter.llama.models import Models
from exporter.metrics.collectors.collector import NoData, Partial, gather
from exporter.metrics.definitions import exporter as catalog
from exporter.metrics.families import Family


class NativeCollector:
    """All of `/metrics` of every model that runs: names, HELP, TYPE and digits unchanged, unknown families too."""

    name = "native"
    metrics = (catalog.NATIVE_BAD_LINES,)

    def __init__(self, models: Models) -> None:
        self._models = models

    async def collect(self) -> list[Family]:
        """Ask each, or share an answer that is younger than `share_within`."""
        if not self._models.instances:
            raise NoData
        families, errors = await gather(self._models.instances, self._page)
        if errors:
            raise Partial(families, errors)
        return families

    @staticmethod
    async def _page(instance: Instance) -> list[Family]:
        page = await instance.native()
        return [
            *with_model(page.families, instance.model),
            catalog.NATIVE_BAD_LINES.one(page.bad_lines, instance.model),
        ]
