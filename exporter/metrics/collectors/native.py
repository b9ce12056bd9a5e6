"""llama-server's own metrics, passed on with a `model` label."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from exporter.llama.model_process import ModelProcess
from exporter.llama.native import PAIR, NativeFamily, NativePage
from exporter.llama.pages import AsleepError, NativeAnswer
from exporter.llama.processes import Processes
from exporter.metrics.collectors.collector import NoData, Partial
from exporter.metrics.definitions import ALL
from exporter.metrics.definitions import exporter as catalog
from exporter.metrics.exposition import label, occupied
from exporter.metrics.families import Family

LARGE = 5_000
"""Samples of a page above which the label is added beside the event loop."""
OWN = dict.fromkeys((name for metric in ALL for name in occupied(metric.name, metric.kind)), ("", ""))
"""Names that the exporter's own metrics occupy."""


class LabelledFamily(NamedTuple):
    """A family with the `model` label, and the names that it occupies.

    `identity`: families that have the same may share a name. One that brings a `model` label of its own shares it with
    no other model, since its samples could be the same.
    """

    family: Family
    identity: tuple[str, str]
    occupied: set[str]


class LabelledPage(NamedTuple):
    """The families of a page, and the number of its lines that were left out."""

    page: NativePage
    families: list[LabelledFamily]
    bad_lines: int


class NativeCollector:
    """All of `/metrics` of every model that runs: names, HELP, TYPE and digits unchanged, unknown families too."""

    name = "native"
    metrics = (catalog.NATIVE_BAD_LINES,)

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._pages: dict[str, LabelledPage] = {}

    async def collect(self, deadline: float) -> list[Family]:
        """Request each page, or share an answer that is younger than `share_within`."""
        if not self._processes.by_model:
            raise NoData
        pages, errors = await native_pages(self._processes.by_model, deadline)
        self._pages = {model: await self._labelled(model, page) for model, page in pages.items()}
        families = merge(self._pages)
        if errors:
            raise Partial(families, errors)
        return families

    async def _labelled(self, model: str, page: NativePage) -> LabelledPage:
        known = self._pages.get(model)
        if known is not None and known.page is page:
            return known
        if sum(len(family.samples) for family in page.families.values()) > LARGE:
            return await asyncio.to_thread(with_model, page, model)
        return with_model(page, model)


async def native_pages(processes: Mapping[str, ModelProcess], deadline: float) -> tuple[dict[str, NativePage], str]:
    """Return the native pages by model, and what the processes without one answered ("" if none).

    `deadline` is a time of the event loop. That a process ends while it is asked, or has never been awake, is no error.
    """
    asked = dict(processes)
    answers = await asyncio.gather(*(process.native(deadline) for process in asked.values()), return_exceptions=True)
    pages: dict[str, NativePage] = {}
    errors = []
    for (model, process), answer in zip(asked.items(), answers, strict=True):
        if isinstance(answer, NativeAnswer):
            pages[model] = answer.page
        elif not process.gone and not isinstance(answer, AsleepError):
            errors.append(f"{model}: {str(answer) or repr(answer)}")
    return pages, "; ".join(errors)


def merge(pages: dict[str, LabelledPage]) -> list[Family]:
    """Return all families that can stand on one page.

    The exporter's own come first: a name that they or an earlier family need for something else is left out.
    """
    families: list[Family] = []
    bad_lines: dict[tuple[str], float] = {}
    taken = dict(OWN)
    for model, page in pages.items():
        bad_lines[model,] = page.bad_lines
        for family, identity, names in page.families:
            if all(taken.get(name, identity) == identity for name in names):
                taken.update(dict.fromkeys(names, identity))
                families.append(family)
            else:
                bad_lines[model,] += family.size
    return [*families, catalog.NATIVE_BAD_LINES.family(bad_lines)]


def with_model(page: NativePage, model: str) -> LabelledPage:
    """Add a `model` label to every sample that has none of its own."""
    families = []
    bad_lines = page.bad_lines
    for native in page.families.values():
        rendered, has_model, repeated = _rendered(native, label("model", model))
        bad_lines += repeated
        family = Family(native.name, native.kind, native.help, rendered=rendered)
        identity = (f"{native.kind} {native.name}", model if has_model else "")
        families.append(LabelledFamily(family, identity, occupied(native.name, native.kind) | rendered.keys()))
    return LabelledPage(page, families, bad_lines)


def _rendered(family: NativeFamily, ours: str) -> tuple[dict[str, str], bool, int]:
    """Return the lines with the label `ours`, whether a sample has a model of its own, and how many became equal."""
    theirs = {sample: last for sample in family.samples if 'model="' in sample and (last := _model_last(sample))}
    taken = set(theirs.values())
    lines: dict[str, list[str]] = {}
    for sample, value in family.samples.items():
        written = sample
        if sample not in theirs:
            written = f"{sample[:-1]},{ours}}}" if sample.endswith("}") else f"{sample}{{{ours}}}"
        if written not in taken or sample in theirs:
            lines.setdefault(sample.partition("{")[0], []).append(f"{written} {value}")
    repeated = len(family.samples) - sum(map(len, lines.values()))
    return {name: "\n".join(found) for name, found in lines.items()}, bool(theirs), repeated


def _model_last(sample: str) -> str | None:
    """Return a sample with its own `model` label at the end, where the exporter puts its; None when it has none."""
    pairs = PAIR.findall(sample)
    own = [f'{name}="{text}"' for name, text in pairs if name == "model"]
    others = [f'{name}="{text}"' for name, text in pairs if name != "model"]
    return f"{sample.partition('{')[0]}{{{','.join([*others, *own])}}}" if own else None
