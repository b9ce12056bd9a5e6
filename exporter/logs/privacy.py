"""Users' words and keys stay in llama-server: what `-v` prints of requests and answers, and secrets among arguments."""

import re

from exporter.logs.record import Record

PRIVATE = re.compile(
    r'"(?:prompt|content|messages|input|text|generated_text|system_prompt)"\s*:'  # bodies, slots, parsed messages
    r"|\b(?:request|response):\s+\S"  # log_server_r of verbose builds: whole bodies
    r"|Parsing |launching slot :|next token:|sampled token"
)
PATH = re.compile(r"(?:done )?request: [A-Z]+ /\S* ")
SECRET_FLAGS = frozenset({"--api-key", "--hf-token", "-hft"})
WITHHELD = "[withheld: {} characters that may hold users' words]"
WITHHELD_SECRET = "[withheld: a secret]"  # noqa: S105 -- the note in its place


def private(message: str) -> bool:
    """True when the message may hold a prompt or an answer.

    Something of each alternative of the pattern is looked for first, which is far cheaper than to search for it.
    """
    if (
        '"' in message
        or "equest:" in message
        or "esponse:" in message
        or "t token:" in message
        or "Parsing " in message
        or "launching slot" in message
        or "sampled token" in message
    ):
        return PRIVATE.search(message) is not None and not PATH.match(message)
    return False


def withhold(message: str) -> str:
    """What is shipped in place of a private message: a note of its length."""
    return WITHHELD.format(len(message))


class Secrets:
    """Follows a router's log, which prints its children's arguments one a line, and takes the values of keys out."""

    def __init__(self) -> None:
        self._next = False

    def hide(self, record: Record) -> None:
        """Change the record when it holds a secret."""
        argument = record.message.strip()
        if self._next:
            record.message = WITHHELD_SECRET
        flag, equals, _ = argument.partition("=")
        if equals and flag in SECRET_FLAGS:
            record.message = f"{flag}={WITHHELD_SECRET}"
        self._next = argument in SECRET_FLAGS
