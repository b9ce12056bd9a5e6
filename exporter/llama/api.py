"""What llama-server answers over HTTP, as typed structs: the border behind which nothing is unchecked.

Types and bounds are strict, unknown keys are ignored: builds add keys every week. What does not fit is one
`UpstreamError` that names the endpoint, the field, and what came instead. `GET /metrics` is text: see `native.py`.
"""

from collections.abc import Sequence
from enum import Enum, StrEnum
from typing import Annotated, TypeVar

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
"""Tokens, bytes, parameters. Up to 2**53 a float holds every whole number, and so does Prometheus."""
TaskId = Annotated[int, msgspec.Meta(ge=-1, le=2**53)]
"""-1 in a slot that has not worked on any."""
SlotId = Annotated[int, msgspec.Meta(ge=0, le=4095)]
SlotCount = Annotated[int, msgspec.Meta(ge=0, le=4096)]
"""llama.cpp allows 256 sequences; every slot is some samples on the page."""
Name = Annotated[str, msgspec.Meta(max_length=512)]
"""A model's name becomes a label of every sample of it."""
Text = Annotated[str, msgspec.Meta(max_length=4096)]
Argument = Annotated[str, msgspec.Meta(max_length=1024 * 1024)]
ExitCode = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**32)]

T = TypeVar("T")


class UpstreamError(Exception):
    """llama-server gave no usable answer; the message names the endpoint, and what it gave instead."""


class Health(Enum):
    """What `GET /health` answered."""

    OK = "ok"
    LOADING = "loading"
    """503: the model is being loaded."""
    ERROR = "error"
    """Another status."""
    NO_ANSWER = "no answer"
    """Refused, reset, or silent for longer than the timeout."""


class GenerationSettings(msgspec.Struct, frozen=True):
    """Of `/props`: `n_ctx` is the context of one slot in tokens."""

    n_ctx: Count | None = None


class Props(msgspec.Struct, frozen=True):
    """`GET /props`, of a model's server or of a router (`role`)."""

    role: Text | None = None
    build_info: Annotated[str, msgspec.Meta(max_length=256)] = ""
    total_slots: SlotCount | None = None
    model_path: Text | None = None
    model_ftype: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    default_generation_settings: GenerationSettings | None = None
    is_sleeping: bool = False
    """It gave its memory back and loads the model again at the next request."""


class ModelMeta(msgspec.Struct, frozen=True):
    """Of a model that runs: parameters, bytes of tensors, context it was trained with."""

    n_params: Count | None = None
    size: Count | None = None
    n_ctx_train: Count | None = None
    ftype: Annotated[str, msgspec.Meta(max_length=256)] | None = None


class ModelState(StrEnum):
    """What llama-server calls the state of a model; `failed` is an unloaded one whose last process ended badly."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    LOADED = "loaded"
    SLEEPING = "sleeping"
    DOWNLOADING = "downloading"
    FAILED = "failed"


IN_MEMORY = frozenset({ModelState.LOADED, ModelState.SLEEPING})
"""A process runs and has loaded the model, though a sleeping one has given its memory back."""


class ModelStatus(msgspec.Struct, frozen=True):
    """A router's word on one model. `args` are those of its last child process."""

    value: Name
    args: Annotated[list[Argument], msgspec.Meta(max_length=10_000)] = []
    failed: bool = False
    exit_code: ExitCode | None = None

    @property
    def state(self) -> ModelState:
        """Return the state; a name that is not known yet is something on the way to being loaded."""
        return state_of(self.value, self.exit_code, failed=self.failed)

    @property
    def port(self) -> int | None:
        """Return the child's port on the loopback, None before it has one."""
        text = self.args[self.args.index("--port") + 1] if "--port" in self.args[:-1] else ""
        return int(text) if text.isascii() and text.isdecimal() and 0 < int(text[:6]) < 2**16 else None

    @property
    def sleeps(self) -> bool:
        """Return whether the child was started to fall asleep when idle."""
        return "--sleep-idle-seconds" in self.args


class Model(msgspec.Struct, frozen=True):
    """An entry of a list of models; only a router gives `status`."""

    id: Name
    aliases: Annotated[list[Name], msgspec.Meta(max_length=1000)] = []
    meta: ModelMeta | None = None
    status: ModelStatus | None = None


class ModelsAnswer(msgspec.Struct, frozen=True):
    """`GET /v1/models` of a model's server, and `GET /models` of a router."""

    data: Annotated[list[Model], msgspec.Meta(max_length=10_000)]


class NextToken(msgspec.Struct, frozen=True):
    """Of a slot: tokens generated so far."""

    n_decoded: Count = 0


class Slot(msgspec.Struct, frozen=True):
    """An entry of `GET /slots`. An idle slot has only `id n_ctx is_processing`.

    `next_token` is an object in builds of 2025 and a list of one later. `held` are tokens of its context that are
    filled; `prompt_*` and `held` are None in builds before late 2026.
    """

    id: SlotId
    task: TaskId = msgspec.field(default=-1, name="id_task")
    context_tokens: Count = msgspec.field(default=0, name="n_ctx")
    is_processing: bool = False
    next_token: NextToken | Annotated[list[NextToken], msgspec.Meta(max_length=64)] | None = None
    prompt_processed: Count | None = msgspec.field(default=None, name="n_prompt_tokens_processed")
    prompt_cached: Count | None = msgspec.field(default=None, name="n_prompt_tokens_cache")
    held: Count | None = msgspec.field(default=None, name="n_prompt_tokens")

    @property
    def generated(self) -> int:
        """Tokens that its request has generated."""
        following = self.next_token
        if isinstance(following, list):
            following = following[0] if following else None
        return following.n_decoded if following is not None else 0


SlotsAnswer = Annotated[list[Slot], msgspec.Meta(max_length=4096)]


class EventData(msgspec.Struct, frozen=True):
    """What a router's event reports: `status` only where a model's state changed."""

    status: Name | None = None
    exit_code: ExitCode | None = None


class RouterEvent(msgspec.Struct, frozen=True):
    """An event of `GET /models/sse`."""

    model: Name
    data: EventData | None = None


def decode(endpoint: str, body: bytes, kind: type[T]) -> T:
    """Return the body as `kind`. Raise `UpstreamError` with the field that does not fit."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:  # a ValidationError is a DecodeError
        raise UpstreamError(f"{endpoint} answered something unexpected: {error}") from None


def busy(slots: Sequence[Slot]) -> list[Slot]:
    """Return the slots that work on a request."""
    return [slot for slot in slots if slot.is_processing and slot.task >= 0]


def state_of(value: str, exit_code: int | None, *, failed: bool = False) -> ModelState:
    """Return the state for llama-server's word and the exit code of the last process."""
    if value == ModelState.UNLOADED:
        return ModelState.FAILED if failed or exit_code else ModelState.UNLOADED
    try:
        return ModelState(value)
    except ValueError:
        return ModelState.LOADING
