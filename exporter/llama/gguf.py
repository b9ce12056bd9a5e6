"""The architecture that a model file names, which llama-server does not tell.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (magic, version, two counts, then pairs of a key and a
typed value, all little-endian). By its rules the architecture comes first.
"""

import struct
from pathlib import Path

MAGIC = b"GGUF"
KEY = b"general.architecture"
STRING = 8
HEAD = struct.Struct("<4sIQQQ")
LENGTH = struct.Struct("<IQ")
MAX_NAME = 64


def architecture(file: Path) -> str | None:
    """The value of `general.architecture`; None when the file can't be read or begins with something else."""
    try:
        with file.open("rb") as stream:
            start = stream.read(HEAD.size + len(KEY) + LENGTH.size + MAX_NAME)
        magic, _, _, _, length = HEAD.unpack_from(start)
        kind, size = LENGTH.unpack_from(start, HEAD.size + len(KEY))
    except (OSError, struct.error):
        return None
    if magic != MAGIC or length != len(KEY) or start[HEAD.size :][:length] != KEY or kind != STRING or size > MAX_NAME:
        return None
    return start[HEAD.size + length + LENGTH.size :][:size].decode("utf-8", "replace")
