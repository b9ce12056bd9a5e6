"""Users' words and keys stay in llama-server: what it prints of requests and answers, and secrets among arguments.

Source: the LOG macros of `tools/server` and `common` with a text among their arguments, and captured output.
"""

import re

from exporter.logs.grammar import Pattern
from exporter.logs.record import Record

WORDS = (
    Pattern(
        "JSON of a request, an answer or a slot",
        re.compile(
            r'"(?:prompt|content|reasoning_content|messages|input|text|generated_text|system_prompt|arguments)"\s*:'
        ),
        'update_chat_: {"role":"assistant","content":"Hi"}',
    ),
    Pattern("body", re.compile(r"\b(?:request|response):(?:\s|$)"), 'response: {"say":"Hi"}'),
    Pattern("streamed answer", re.compile(r"streamed chunk:"), "http: streamed chunk: data: Hi"),
    Pattern("error, which may quote the request", re.compile(r"got exception:"), "got exception: no Hi"),
    Pattern("parsed answer", re.compile(r"Pars(?:ing|ed) "), "Parsing chat message: Hi"),
    Pattern(
        "answer that cannot be parsed",
        re.compile(r"\bunparsed .*output:|output triggering error"),
        "unparsed hermes output: Hi",
    ),
    Pattern("tool call", re.compile(r"Tool call mismatch"), "Tool call mismatch: prev='Hi' new='Hello'"),
    Pattern("system prompt", re.compile(r"anthropic string"), "anthropic string not as expected: Hi"),
    Pattern("slot", re.compile(r"launching slot :"), 'launching slot : {"id":0}'),
    Pattern("token", re.compile(r"\b(?:next|prompt|prefill|sampled|cache) token\b"), "prompt token   1:    259 ' Hi'"),
    Pattern("draft", re.compile(r"draft candidate"), " - seq_id 0, draft candidate   0, pos   0:   259 (   0.9) ' Hi'"),
    Pattern(
        "comparison of prompts (LLAMA_SERVER_SLOTS_DEBUG)", re.compile(r"(?:old|new): \.\.\. "), "old: ... Hi | there"
    ),
    Pattern(
        "grammar",
        re.compile(r"[Gg]rammar(?: \([^)]*\))?: |[Gg]rammar (?:sampler for|triggered|still)|JSON schema: "),
        'error parsing grammar: expecting name at\n\nroot ::= "Hi"',
    ),
    Pattern("generated parser", re.compile(r"generated parser:|eneration prompt:"), "generated parser:\nLiteral(Hi)"),
    Pattern("address in a request", re.compile(r"downloading image from"), "downloading image from 'http://hi'"),
)
"""What comes with users' words behind it or around it, at any level and in any build."""
PRIVATE = re.compile("|".join(pattern.regex.pattern for pattern in WORDS))
PATH = re.compile(r"(?:done )?request: [A-Z]+ /\S* ")
QUOTED = re.compile(r"""["'`\n]""")
TEXTS = frozenset({"add_text"})
"""Functions that print nothing but text."""
NUMBERS = frozenset({"print_timing", "print_timings", "release", "get_availabl", "log_slot_info"})
"""Functions of slots that print nothing but numbers: most lines of a busy server are theirs."""
EXCEPTION = re.compile(r'(?s)got exception: .*"code":(\d+),.*"type":"(\w+)"\}+$')
SECRET_FLAGS = frozenset({"--api-key", "--hf-token", "-hft"})
SECRET = re.compile(rf"({'|'.join(sorted(SECRET_FLAGS))})=\S+")
WITHHELD = "[withheld: {} characters that may hold users' words]"
WITHHELD_SECRET = "[withheld: a secret]"  # noqa: S105 -- the note in its place


def private(record: Record) -> bool:
    """True when the message may hold a prompt or an answer.

    What a build tells at level debug changes from month to month, so a quoted text there is private whatever is around.
    """
    message = record.message
    if record.function in NUMBERS and "\n" not in message:
        return False
    if PRIVATE.search(message) is not None:
        return PATH.match(message) is None
    return record.level == "debug" and (record.component in TEXTS or QUOTED.search(message) is not None)


def withhold(message: str) -> str:
    """What is shipped in place of a private message: a note of its length, and the code and type of an error."""
    note = WITHHELD.format(len(message))
    found = EXCEPTION.match(message)
    return f"got exception: {found[1]} {found[2]} {note}" if found else note


class Secrets:
    """Takes the values of keys out of arguments: a router prints its children's one a line, an error the wrong one."""

    def __init__(self) -> None:
        self._next = False

    def hide(self, record: Record) -> None:
        """Change the record when it holds a secret."""
        argument = record.message.strip()
        record.message = WITHHELD_SECRET if self._next else SECRET.sub(rf"\1={WITHHELD_SECRET}", record.message)
        self._next = argument in SECRET_FLAGS
