"""One llama-server that answers: who it is, its native page, its running requests."""

import asyncio
import time
from pathlib import Path
from typing import Any, NamedTuple

from exporter.llama import gguf, native, slots
from exporter.llama.client import LlamaClient, UpstreamError
from exporter.llama.native import NativePage
from exporter.usage.tokens import Tokens

LARGE = 256 * 1024
"""Bytes of a page above which it is read beside the event loop: a second for ten million of them."""


class Facts(NamedTuple):
    """What does not change while a server runs. Size in bytes; contexts in tokens, `context` of all slots together."""

    model: str
    build: str
    mode: str
    file: str | None = None
    architecture: str | None = None
    quantization: str | None = None
    parameters: int | None = None
    size: int | None = None
    context: int | None = None
    train_context: int | None = None
    slots: int | None = None

    @property
    def slot_context(self) -> int | None:
        """Tokens of the context that one slot has."""
        return self.context // self.slots if self.context and self.slots else None


class NativeAnswer(NamedTuple):
    """llama-server's own `/metrics`, and the monotonic time before it was asked for."""

    page: NativePage
    asked_at: float

    @property
    def counters(self) -> Tokens:
        """The token counters, which move when a request ends."""
        names = (
            "llamacpp:prompt_tokens_total",
            "llamacpp:prompt_tokens_cached_total",
            "llamacpp:tokens_predicted_total",
            "llamacpp:spec_decode_num_draft_tokens_total",
            "llamacpp:spec_decode_num_accepted_tokens_total",
        )
        return Tokens(*(int(self.page.value(name) or 0) for name in names))

    @property
    def harmless(self) -> bool:
        """True when the build answers this page without waking the model or keeping it awake.

        That came in late August 2026 (llama.cpp #27376); builds tell no usable number, but the count of cached prompt
        tokens is as young.
        """
        return self.page.value("llamacpp:prompt_tokens_cached_total") is not None


class LlamaServer:
    """Asks one server, and remembers for `share_within` seconds what it answered, so that two scrapers share an answer.

    `mode` is what to call it: single or attached (a router says of itself that it is one). `model` is the name of the
    one to ask for where a router answers for several; `folder` is what relative paths of models are relative to.
    """

    def __init__(
        self, client: LlamaClient, *, mode: str, share_within: float, folder: Path, model: str | None = None
    ) -> None:
        self._client = client
        self._mode = mode
        self._model = model
        self.folder = folder
        self.share_within = share_within
        self._native: asyncio.Task[NativeAnswer] | None = None
        self._native_at = float("-inf")
        self._asking = asyncio.Lock()
        self.facts: Facts | None = None

    async def who(self) -> Facts:
        """Its facts, asked for once. Safe at any time: neither `/props` nor `/v1/models` loads or wakes a model."""
        async with self._asking:
            if self.facts is None:
                props = await self._client.get_json("/props")
                models = await self._client.get_json("/v1/models")
                facts = read_facts(props, models, self._mode, self._model)
                file = self.folder / (facts.file or "")
                self.facts = facts._replace(architecture=await asyncio.to_thread(gguf.architecture, file))
            return self.facts

    async def asleep(self) -> bool:
        """Has it given up its memory until the next request? Builds that can't sleep say nothing of it."""
        return bool((await self._client.get_json("/props")).get("is_sleeping"))

    async def names(self) -> set[str]:
        """All names that its models go by."""
        entries = (await self._client.get_json("/v1/models")).get("data", [])
        return {name for entry in entries for name in (entry.get("id"), *entry.get("aliases", ())) if name}

    def forget(self) -> None:
        """It is gone: what comes next may be another."""
        self.facts = None
        self._native_at = float("-inf")

    async def native(self) -> NativeAnswer:
        """Its `/metrics`, at most `share_within` seconds old. Raise `UpstreamError` when it gives none."""
        now = time.monotonic()
        if self._native is None or (self._native.done() and now - self._native_at >= self.share_within):
            self._native = asyncio.create_task(self._fetch_native())
            self._native_at = now
        # Shielded: that one scraper hangs up must not cost the other its answer.
        return await asyncio.shield(self._native)

    async def busy_slots(self) -> list[slots.Slot]:
        """Its busy slots. Only to be asked while requests run: `/slots` wakes a sleeping model."""
        try:
            return slots.read(await self._client.get_json("/slots"))
        except (ValueError, TypeError, KeyError) as error:
            raise UpstreamError(f"GET /slots answered something else than slots: {error}") from None

    async def _fetch_native(self) -> NativeAnswer:
        asked_at = time.monotonic()
        body = await self._client.get("/metrics")
        page = await asyncio.to_thread(native.read, body) if len(body) > LARGE else native.read(body)
        return NativeAnswer(page, asked_at)


def read_facts(props: Any, models: Any, mode: str, model: str | None = None) -> Facts:
    """Facts from decoded `/props` and `/v1/models`. Raise `UpstreamError` when they are not llama-server's.

    A list of several models has to have `model`, which is its name then; the only one of a list may call itself
    otherwise.
    """
    try:
        if props.get("role") == "router":
            return Facts("", str(props.get("build_info", "")), "router")
        entries = models["data"]
        entry = entries[0] if len(entries) == 1 else next(entry for entry in entries if entry["id"] == model)
        meta = entry.get("meta") or {}
        slot_count = props.get("total_slots")
        per_slot = props.get("default_generation_settings", {}).get("n_ctx")
        return Facts(
            model=model or str(entry["id"]),
            build=str(props.get("build_info", "")),
            mode=mode,
            file=props.get("model_path"),
            quantization=props.get("model_ftype") or meta.get("ftype"),
            parameters=meta.get("n_params"),
            size=meta.get("size"),
            context=per_slot * slot_count if per_slot and slot_count else None,
            train_context=meta.get("n_ctx_train"),
            slots=slot_count,
        )
    except (AttributeError, KeyError, IndexError, TypeError, StopIteration) as error:
        raise UpstreamError(f"/props and /v1/models are not llama-server's: {error!r}") from None
