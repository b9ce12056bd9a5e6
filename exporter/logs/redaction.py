"""Redaction: users' words that llama-server prints of requests and answers, and keys among its arguments.

Source: the LOG macros of `tools/server` and `common` with a text among their arguments, and captured output.
"""

import re
from contextlib import suppress
from typing import Annotated, NamedTuple

import msgspec

from exporter.logs.record import Record


class Mark(NamedTuple):
    """Text that llama-server prints with users' words around it, at any level and in any build, and how that looks."""

    text: str
    sample: str


MARKS = (
    Mark('":', '{"id":0,"prompt":"Hi"}'),  # JSON of a body, a slot, a message
    Mark("request:", "request:  Hi"),
    Mark("response:", "response: Hi"),
    Mark("streamed chunk:", "http: streamed chunk: data: Hi"),
    Mark("got exception:", "got exception: in Hi"),
    Mark("launching slot :", "launching slot : Hi"),
    Mark("next token:", "n_decoded = 2, n_remaining = 3, next token:   259 'Hi'"),
    Mark("prompt token ", "prompt token   1:    259 'Hi'"),
    Mark("prefill token:", "prefill token: 259 = Hi"),
    Mark("cache token ", "cache token   1:    259 'Hi'"),
    Mark("draft candidate", " - seq_id 0, draft candidate   0, pos   0:    259 (   0.900) 'Hi'"),
    Mark("Parsing ", "Parsing chat message: Hi"),
    Mark("Parsed ", "Parsed message: Hi"),
    Mark("generated parser:", "generated parser:\nLiteral(Hi)"),
    Mark("eneration prompt:", "Generation prompt: 'Hi'"),
    Mark("unparsed ", "unparsed peg-native output: Hi"),
    Mark("output triggering error:", "full peg-native output triggering error:\n=== BEGIN ===\nHi"),
    Mark("Tool call mismatch:", "Tool call mismatch: prev='Hi' new='Ho'"),
    Mark("anthropic string", "anthropic string not as expected: Hi"),
    Mark("JSON schema:", "JSON schema: Hi"),
    Mark("rammar: ", 'Grammar: root ::= "Hi"'),
    Mark("Grammar (", 'Grammar (user): root ::= "Hi"'),
    Mark("grammar sampler for", "error initializing grammar sampler for grammar:\nHi"),
    Mark("Grammar triggered", "Grammar triggered on token 259 (`Hi`)"),
    Mark("Grammar still", "Grammar still awaiting trigger after token 259 (`Hi`)"),
    Mark(": ... ", "old: ... Hi | Ho"),  # with LLAMA_SERVER_SLOTS_DEBUG
    Mark("downloading image", "downloading image from 'https://hi/?secret'"),
)
TEXTS = tuple(mark.text for mark in MARKS)
PATH = re.compile(r"(?:done )?request: [A-Z]+ /\S* ")
QUOTED = re.compile(r"""["'`\n]""")
TEXT_FUNCTIONS = frozenset({"add_text"})
"""They print nothing but text."""
NUMBERS = frozenset({"print_timing", "release", "get_availabl"})
"""Functions of slots that print nothing but numbers: half of the lines of a busy server are theirs."""
EXCEPTION = "got exception: "
"""What stands before the JSON of an error."""
SECRET_FLAGS = frozenset({"--api-key", "--hf-token", "-hft"})
SECRET = re.compile(rf"({'|'.join(sorted(SECRET_FLAGS))})=\S+")
WITHHELD = "[withheld: {} characters that may hold users' words]"
WITHHELD_SECRET = "[withheld: a secret]"  # noqa: S105 -- the note in its place


class Error(msgspec.Struct):
    """What is no user's text in the JSON of an error."""

    code: Annotated[int, msgspec.Meta(ge=0, le=999)]
    type: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,64}\Z")]


class ErrorBody(msgspec.Struct):
    """An error as mid and new builds print it; old ones print `Error` itself."""

    error: Error


_error = msgspec.json.Decoder(Error)
_error_body = msgspec.json.Decoder(ErrorBody)


def private(record: Record) -> bool:
    """Return True when the message may hold a prompt or an answer.

    What a build prints at level debug changes from month to month, so a quoted text there is private whatever it is.
    """
    message = record.message
    # All marks come with one of these, and most records have neither.
    if (":" in message or "`" in message) and any(text in message for text in TEXTS):
        return PATH.match(message) is None
    return record.level == "debug" and (record.component in TEXT_FUNCTIONS or QUOTED.search(message) is not None)


def withhold(message: str) -> str:
    """Return what is shipped in place of a private message: a note of its length, and the code and type of an error."""
    note = WITHHELD.format(len(message))
    if message.startswith(EXCEPTION):
        text = message.removeprefix(EXCEPTION)
        with suppress(msgspec.DecodeError, UnicodeEncodeError, RecursionError):  # what is no such JSON is all private
            error = _error_body.decode(text).error if text.startswith('{"error":') else _error.decode(text)
            return f"{EXCEPTION}{error.code} {error.type} {note}"
    return note


class ArgumentRedactor:
    """Removes the values of keys from arguments: a router prints its children's one a line, an error the wrong one."""

    def __init__(self) -> None:
        self._next = False

    def redact(self, record: Record) -> None:
        """Change the record when it holds a secret."""
        argument = record.message.strip()
        record.message = WITHHELD_SECRET if self._next else SECRET.sub(rf"\1={WITHHELD_SECRET}", record.message)
        self._next = argument in SECRET_FLAGS
