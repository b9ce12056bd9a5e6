"""What a server says of itself: model, build, sizes. It does not change while a process runs."""

import asyncio
import os
import stat
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from exporter.llama.api import Model, ModelsAnswer, Props, UpstreamError
from exporter.llama.client import LlamaClient

# A GGUF file: magic, version, two counts, then pairs of a key and a typed value, all little-endian. By its rules the
# architecture comes first. https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
MAGIC = b"GGUF"
KEY = b"general.architecture"
STRING = 8
HEAD = struct.Struct("<4sIQQQ")
LENGTH = struct.Struct("<IQ")
MAX_NAME = 64
LOOPBACK = "http://127.0.0.1"
READ_TIMEOUT = 2.0
"""Seconds for the first bytes of a model file, which may lie on a mount that hangs."""


class Facts(NamedTuple):
    """Size in bytes; contexts in tokens, `context` of all slots together. `mode`: single, router or attached."""

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

    @property
    def is_router(self) -> bool:
        """Return whether the server runs others, one a loaded model."""
        return self.mode == "router"


class Target(NamedTuple):
    """The llama-server to follow: where it answers, what its relative paths are relative to, may it fall asleep.

    `started` is the monotonic time of its start, None for one that something else runs.
    """

    url: str
    folder: Path
    sleeps: bool
    started: float | None

    @property
    def supervised(self) -> bool:
        """Return whether the server is our child, so that its own children are on this machine."""
        return self.started is not None

    @property
    def is_here(self) -> bool:
        """Return whether the server is on this machine, as far as its address shows."""
        host = urlsplit(self.url).hostname or ""
        try:
            return self.supervised or host == "localhost" or ip_address(host).is_loopback
        except ValueError:
            return False


async def identify(client: LlamaClient, target: Target, model: str | None = None) -> Facts:
    """Return the facts of the server at `client`. Safe at any time: neither loads nor wakes a model.

    `model` is the name to look for where a router answers for several. Raise `UpstreamError`.
    """
    props = await client.props()
    if props.role == "router" and model is None:
        return Facts("", props.build_info, "router")
    mode = "router" if model is not None else "single" if target.supervised else "attached"
    facts = combine(props, await client.models(), mode, model)
    if not facts.file:
        return facts
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            return facts._replace(architecture=await asyncio.to_thread(architecture, target.folder / facts.file))
    except TimeoutError:
        return facts


async def find_child(router: LlamaClient, model: str, port: int, target: Target) -> tuple[LlamaClient, Facts]:
    """Return a client of the router's child that runs `model`, and its facts. Raise `UpstreamError`.

    The child's own port leaves no trace in the router; where it can't be used, the router passes requests on. The API
    key goes to this machine's loopback only for a router that is here, and, if that is not our child, only after the
    process at the port has given the model's name.
    """
    if target.is_here:
        direct = f"{LOOPBACK}:{port}"
        try:
            if not target.supervised:
                await _check_name(router, direct, model)
            return await _identified(router.beside(direct), target, model)
        except UpstreamError:
            if target.supervised:
                raise
    return await _identified(router.beside(query={"model": model, "autoload": "false"}), target, model)


async def _check_name(router: LlamaClient, url: str, model: str) -> None:
    """Raise `UpstreamError` unless the server at `url` says, without a key, that it runs `model`."""
    async with router.beside(url, with_key=False) as stranger:
        entries = (await stranger.models()).data
    if not any(model in (entry.id, *entry.aliases) for entry in entries):
        raise UpstreamError(f"GET {url}/v1/models: it is another server")


async def _identified(client: LlamaClient, target: Target, model: str) -> tuple[LlamaClient, Facts]:
    try:
        return client, await identify(client, target, model)
    except UpstreamError:
        await client.close()
        raise


def combine(props: Props, models: ModelsAnswer, mode: str, model: str | None = None) -> Facts:
    """Return the facts in two answers. Raise `UpstreamError` when there is no such model.

    A list of several models must have `model`; the only one of a list may have another name.
    """
    entry = _entry(models.data, model)
    meta = entry.meta
    per_slot = props.default_generation_settings.n_ctx if props.default_generation_settings else None
    return Facts(
        model=model or entry.id,
        build=props.build_info,
        mode=mode,
        file=props.model_path,
        quantization=props.model_ftype or (meta.ftype if meta else None),
        parameters=meta.n_params if meta else None,
        size=meta.size if meta else None,
        context=per_slot * props.total_slots if per_slot and props.total_slots else None,
        train_context=meta.n_ctx_train if meta else None,
        slots=props.total_slots,
    )


def _entry(entries: list[Model], name: str | None) -> Model:
    found = entries if len(entries) == 1 else [entry for entry in entries if entry.id == name]
    if not found:
        raise UpstreamError(f"GET /v1/models answered {len(entries)} models, none of them {name or 'the only one'}")
    return found[0]


def architecture(file: Path) -> str | None:
    """Return `general.architecture` of a model file; None when it can't be read or begins with something else."""
    try:
        # Not blocking: opening a FIFO that somebody calls a model would wait for a writer.
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):  # the latter for a NUL in the path
        return None
    try:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        start = os.read(handle, HEAD.size + len(KEY) + LENGTH.size + MAX_NAME) if regular else b""
    except OSError:
        return None
    finally:
        os.close(handle)
    try:
        magic, _, _, _, length = HEAD.unpack_from(start)
        kind, size = LENGTH.unpack_from(start, HEAD.size + len(KEY))
    except struct.error:
        return None
    if magic != MAGIC or length != len(KEY) or start[HEAD.size :][:length] != KEY or kind != STRING or size > MAX_NAME:
        return None
    return start[HEAD.size + length + LENGTH.size :][:size].decode("utf-8", "replace")
