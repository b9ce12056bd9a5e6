"""Users' words stay in llama-server: what `-v` prints of requests and answers is withheld."""

import re

PRIVATE = re.compile(
    r'"(?:prompt|content|messages|input|text|generated_text|system_prompt)"\s*:'  # bodies, slots, parsed messages
    r"|\b(?:request|response):\s+\S"  # log_server_r of verbose builds: whole bodies
    r"|Parsing (?:PEG )?input|launching slot :|next token:|sampled token"
)
PATH = re.compile(r"(?:done )?request: [A-Z]+ /\S* ")
WITHHELD = "[withheld: {} characters that may hold users' words]"


def withhold(message: str) -> str:
    """The message, or a note of its length in place of one that may hold a prompt or an answer."""
    if PRIVATE.search(message) is None or PATH.match(message):
        return message
    return WITHHELD.format(len(message))
