"""The answer of `GET /slots`, across builds: what a running request has done so far."""

from typing import Any, NamedTuple


class Slot(NamedTuple):
    """One slot that processes a request.

    Tokens: `held` are those of its context that it has filled, prompt and generation. Prompt counts and `held` are None
    in builds that do not tell them (before late 2026).
    """

    slot: int
    task: int
    context_tokens: int
    generated: int
    prompt_processed: int | None
    prompt_cached: int | None
    held: int | None


def read(answer: Any) -> list[Slot]:
    """The busy slots of a decoded answer. Raise `ValueError` when it is nothing like one.

    `next_token` is an object in old builds and a list of one in later ones; idle slots lack most keys.
    """
    if not isinstance(answer, list):
        raise ValueError("not a list of slots")  # noqa: TRY004 -- bad data, not a bad call
    return [
        _slot(item) for item in answer if isinstance(item, dict) and item.get("is_processing") and "id_task" in item
    ]


def _slot(item: dict[str, Any]) -> Slot:
    following = item.get("next_token") or {}
    if isinstance(following, list):
        following = following[0] if following else {}
    cached, processed = item.get("n_prompt_tokens_cache"), item.get("n_prompt_tokens_processed")
    return Slot(
        int(item["id"]),
        int(item["id_task"]),
        int(item.get("n_ctx", 0)),
        int(following.get("n_decoded", 0)),
        None if processed is None else int(processed),
        None if cached is None else int(cached),
        None if "n_prompt_tokens" not in item else int(item["n_prompt_tokens"]),
    )
